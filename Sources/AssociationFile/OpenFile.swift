// An open file: one owner that closes it. Thin over the calls of POSIX.
import Glibc

/// What tells one file from another, whatever its name.
struct FileIdentity: Equatable {
  let device: dev_t
  let inode: ino_t

  init(_ status: stat) {
    device = status.st_dev
    inode = status.st_ino
  }
}

/// An open file. What fails is a `StateFileError.system`.
final class OpenFile {
  let path: String
  private let descriptor: Int32

  /// Opens a file, never a symbolic link, and never waits for the other end of a pipe (open(2)).
  ///
  /// - Parameter flags: besides those that every file is opened with.
  init(_ path: String, _ flags: Int32, mode: mode_t = 0) throws(StateFileError) {
    self.path = path
    descriptor = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode)
    guard descriptor >= 0 else {
      throw .system(operation: flags & O_CREAT == 0 ? "open" : "make", path: path, errno: errno)
    }
  }

  deinit { close(descriptor) }

  /// What stands at a path, a symbolic link itself (lstat(2)); `nil` where nothing does.
  static func look(at path: String) throws(StateFileError) -> stat? {
    var status = stat()
    if lstat(path, &status) == 0 { return status }
    if errno == ENOENT { return nil }
    throw .system(operation: "look at", path: path, errno: errno)
  }

  /// fstat(2).
  func status() throws(StateFileError) -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure("look at") }
    return status
  }

  /// Whether this is what stands at a path.
  func stands(at path: String) throws(StateFileError) -> Bool {
    guard let status = try OpenFile.look(at: path) else { return false }
    return FileIdentity(status) == FileIdentity(try self.status())
  }

  /// Locks the file until it is closed, which the end of the process does as well (flock(2)).
  ///
  /// - Returns: false where somebody else has locked it.
  func lock() throws(StateFileError) -> Bool {
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno == EWOULDBLOCK { return false }
      guard errno == EINTR else { throw failure("lock") }
    }
    return true
  }

  /// Reads until the buffer is full or the file ends (pread(2)).
  ///
  /// - Returns: how many octets were read.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(StateFileError)
    -> Int
  {
    var filled = 0
    while filled < buffer.count {
      let count = pread(
        descriptor, buffer.baseAddress! + filled, buffer.count - filled, off_t(offset + filled))
      if count == 0 { break }
      if count > 0 { filled += count } else if errno != EINTR { throw failure("read") }
    }
    return filled
  }

  /// The octets from an offset on, fewer where the file ends before.
  func read(count: Int, at offset: Int) throws(StateFileError) -> [UInt8] {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
    defer { buffer.deallocate() }
    let filled = try read(into: buffer, at: offset)
    return Array(buffer.prefix(filled))
  }

  /// Writes all of it (write(2)).
  func write(_ bytes: UnsafeRawBufferPointer) throws(StateFileError) {
    var written = 0
    while written < bytes.count {
      let count = Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
      if count > 0 { written += count } else if errno != EINTR { throw failure("write") }
    }
  }

  /// Waits until what was written is on the disk (fdatasync(2)).
  func synchronise() throws(StateFileError) {
    guard fdatasync(descriptor) == 0 else { throw failure("write") }
  }

  private func failure(_ operation: String) -> StateFileError {
    .system(operation: operation, path: path, errno: errno)
  }
}
