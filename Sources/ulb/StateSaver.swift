// Writes the state file a piece at a time, and puts it in place only when it is whole.
import AssociationFile
import DataPlane
import Glibc
import LoadBalancing

/// A save under way. The file under its own name is the last whole one at any instant.
final class StateSaver {
  private let path: String
  private let temporary: String
  private let reader: AssociationReader
  private let descriptor: Int32
  private let family: AddressFamily
  private var checksum = CRC32()
  private var count: UInt64 = 0
  private var isDone = false

  /// What is added to the path while the file is being written.
  static let temporarySuffix = ".new"

  /// Begins a save of what the data plane holds.
  init(_ dataPlane: DataPlane, to path: String) throws {
    self.path = path
    temporary = path + StateSaver.temporarySuffix
    family = dataPlane.configuration.family
    reader = try dataPlane.readAssociations()
    let preamble = Preamble(
      family: family, roundPosition: try dataPlane.roundPosition,
      realServers: reader.realServers)
    descriptor = open(
      temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
    guard descriptor >= 0 else { throw StateError(temporary, errno) }
    try write(preamble.bytes)
  }

  deinit {
    close(descriptor)
    if !isDone { unlink(temporary) }
  }

  /// Saves the next piece.
  ///
  /// - Returns: whether all is saved and in place.
  func step() throws -> Bool {
    if let associations = try reader.next() {
      count += UInt64(associations.count)
      try write(Record.encode(associations, family))
      return false
    }
    try write(Format.trailer(recordCount: count, checksum: checksum))
    guard fdatasync(descriptor) == 0 else { throw StateError(temporary, errno) }
    guard rename(temporary, path) == 0 else { throw StateError(path, errno) }
    isDone = true
    return true
  }

  private func write(_ bytes: [UInt8]) throws {
    var offset = 0
    try bytes.withUnsafeBytes { bytes in
      checksum.update(bytes)
      while offset < bytes.count {
        let count = Glibc.write(
          descriptor, bytes.baseAddress! + offset, bytes.count - offset)
        guard count > 0 else { throw StateError(temporary, errno) }
        offset += count
      }
    }
  }
}

/// Why the state file could not be written or read.
struct StateError: Error, CustomStringConvertible {
  let description: String

  init(_ path: String, _ number: Int32) {
    description = "\(path): \(String(cString: strerror(number)))"
  }
}
