// Reads a regular file whole, and tells one state of a file from another.
import CommandLine
import Glibc
import LoadBalancing
import SystemPackage

/// What tells one state of a file from the next.
struct FileFingerprint: Equatable {
  let device: DeviceID
  let inode: Inode
  let size: Int64
  let modified: Timestamp
  let changed: Timestamp

  init(_ status: Stat) {
    device = status.deviceID
    inode = status.inode
    size = status.size
    modified = Timestamp(
      seconds: Int64(status.st_mtim.tv_sec), nanoseconds: Int64(status.st_mtim.tv_nsec))
    changed = Timestamp(
      seconds: Int64(status.st_ctim.tv_sec), nanoseconds: Int64(status.st_ctim.tv_nsec))
  }

  /// The state of a file now; `nil` where there is none to be seen.
  init?(path: String) {
    guard let status = try? Stat(path) else { return nil }
    self.init(status)
  }
}

/// Reads files that an operator may be replacing, cutting or breaking at this moment.
enum FileReader {
  /// The largest file that is read, in bytes: some 400,000 real servers.
  static let largest = 16 << 20

  /// The bytes of a regular file and the state they were read in. Never waits for a pipe.
  static func read(_ path: String) -> Result<(bytes: [UInt8], state: FileFingerprint), FileError> {
    do {
      let file = try FileDescriptor.open(path, .readOnly, options: options)
      defer { try? file.close() }
      let status = try file.stat()
      switch status.type {
      case .regular: break
      case .directory: throw Errno.isDirectory
      default: throw FileError(.invalidArgument, reason: "Not a regular file")
      }
      guard status.size <= largest else { throw FileError.tooLarge }
      return .success((try bytes(of: file), FileFingerprint(status)))
    } catch let error as FileError {
      return .failure(error)
    } catch {
      // swift-system throws nothing else.
      return .failure(FileError(error as? Errno ?? .ioError))
    }
  }

  private static let options: FileDescriptor.OpenOptions = [
    .nonBlocking, .closeOnExec, .init(rawValue: O_NOCTTY),
  ]

  private static func bytes(of file: FileDescriptor) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = try buffer.withUnsafeMutableBytes { try file.read(into: $0) }
      guard count > 0 else { return bytes }
      bytes += buffer[..<count]
      guard bytes.count <= largest else { throw FileError.tooLarge }
    }
  }

  /// The same, for a start: a file that was written to within the last moment is read again until
  /// two reads 100 ms apart agree, at most for two seconds.
  static func readSettled(_ path: String)
    -> Result<(bytes: [UInt8], state: FileFingerprint), FileError>
  {
    var last = read(path)
    for _ in 0..<20 {
      guard case .success(let (bytes, state)) = last, state.isRecent else { break }
      usleep(100_000)
      let again = read(path)
      guard case .success(let (bytesNow, stateNow)) = again else { return again }
      if bytesNow == bytes, stateNow == state { break }
      last = again
    }
    return last
  }
}

extension FileFingerprint {
  /// Modified within the last 100 ms, or in the future.
  fileprivate var isRecent: Bool {
    let now = Clock.now
    let age =
      (now.seconds - changed.seconds) * 1_000_000_000 + now.nanoseconds - changed.nanoseconds
    return age < 100_000_000
  }
}

extension FileError {
  fileprivate static var tooLarge: FileError {
    FileError(.fileTooLarge, reason: "Larger than \(FileReader.largest >> 20) MiB")
  }
}
