// Reads a regular file whole, and tells one state of a file from another.
import CommandLine
import Glibc
import LoadBalancing

/// What tells one state of a file from the next.
struct FileFingerprint: Equatable {
  let device: UInt
  let inode: UInt
  let size: Int
  let modified: Timestamp
  let changed: Timestamp

  init(_ status: stat) {
    device = UInt(status.st_dev)
    inode = UInt(status.st_ino)
    size = Int(status.st_size)
    modified = Timestamp(
      seconds: Int64(status.st_mtim.tv_sec), nanoseconds: Int64(status.st_mtim.tv_nsec))
    changed = Timestamp(
      seconds: Int64(status.st_ctim.tv_sec), nanoseconds: Int64(status.st_ctim.tv_nsec))
  }

  /// The state of a file now; `nil` where there is none to be seen.
  init?(path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(status)
  }
}

/// Reads files that an operator may be replacing, cutting or breaking at this moment.
enum FileReader {
  /// The largest file that is read, in bytes: some 400,000 real servers.
  static let largest = 16 << 20

  /// The bytes of a regular file and the state they were read in. Never waits for a pipe.
  static func read(_ path: String) -> Result<(bytes: [UInt8], state: FileFingerprint), FileError> {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
    guard descriptor >= 0 else { return .failure(.system(errno)) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return .failure(.system(errno)) }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: return .failure(.system(EISDIR))
    default: return .failure(FileError(code: EINVAL, reason: "Not a regular file"))
    }
    guard status.st_size <= largest else { return .failure(.tooLarge) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      guard count >= 0 else { return .failure(.system(errno)) }
      guard count > 0 else { return .success((bytes, FileFingerprint(status))) }
      bytes += buffer[..<count]
      guard bytes.count <= largest else { return .failure(.tooLarge) }
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
  static func system(_ code: Int32) -> FileError {
    FileError(code: code, reason: String(cString: strerror(code)))
  }

  fileprivate static var tooLarge: FileError {
    FileError(code: EFBIG, reason: "Larger than \(FileReader.largest >> 20) MiB")
  }
}
