// Writes the state file a piece at a time, and puts it in place only when it is whole.
import Glibc
import LoadBalancing

/// A save under way. The file under its own name is the last whole one at any instant.
final class Save {
  private let target: StateFile
  private let file: OpenFile
  private var checksum = CRC32()
  private var counts: (ipv4: UInt64, ipv6: UInt64) = (0, 0)
  private var isDone = false

  /// Begins a save.
  init(_ target: StateFile, _ preamble: Preamble) throws(StateFileError) {
    self.target = target
    try target.removeLeftover()
    file = try OpenFile(making: target.temporary, .writeOnly)
    guard try file.lock() else { throw .inUse(path: target.temporary) }
    try write(preamble.bytes)
  }

  deinit {
    if !isDone { unlink(target.temporary) }
  }

  /// Saves some more.
  ///
  /// - Parameter associations: of one family, and of IPv4 before any of IPv6.
  func write(_ associations: [Association]) throws(StateFileError) {
    guard let family = associations.first?.client.address.family else { return }
    switch family {
    case .ipv4:
      precondition(counts.ipv6 == 0, "those of IPv4 come first")
      counts.ipv4 += UInt64(associations.count)
    case .ipv6: counts.ipv6 += UInt64(associations.count)
    }
    try write(Record.encode(associations, family))
  }

  /// All is there: puts the save in the file's place.
  func commit() throws(StateFileError) {
    try write(Format.trailer(recordCounts: counts, checksum: checksum))
    try file.synchronise()
    try target.replace(with: file)
    isDone = true
  }

  private func write(_ bytes: [UInt8]) throws(StateFileError) {
    try bytes.withUnsafeBufferPointer { bytes throws(StateFileError) in
      let bytes = UnsafeRawBufferPointer(bytes)
      checksum.update(bytes)
      try file.write(bytes)
    }
  }
}
