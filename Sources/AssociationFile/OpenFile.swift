// An open file: one owner that closes it.
import Glibc
import SystemPackage

/// What tells one file from another, whatever its name.
struct FileIdentity: Equatable {
  let device: DeviceID
  let inode: Inode

  init(_ status: Stat) {
    device = status.deviceID
    inode = status.inode
  }
}

/// An open file. What fails is a `StateFileError.system`.
final class OpenFile: Sendable {
  let path: String
  private let file: FileDescriptor

  /// Opens what is there (open(2)).
  init(_ path: String, _ mode: FileDescriptor.AccessMode) throws(StateFileError) {
    self.path = path
    file = try attempt("open", path) { try .open(path, mode, options: OpenFile.options) }
  }

  /// Makes a file where nothing is, for this user alone (open(2)).
  init(making path: String, _ mode: FileDescriptor.AccessMode) throws(StateFileError) {
    self.path = path
    file = try attempt("make", path) {
      try .open(
        path, mode, options: [.create, .exclusiveCreate, OpenFile.options],
        permissions: .ownerReadWrite)
    }
  }

  /// Never a symbolic link, and without waiting for the other end of a pipe.
  private static let options: FileDescriptor.OpenOptions = [
    .closeOnExec, .noFollow, .nonBlocking, .init(rawValue: O_NOCTTY),
  ]

  deinit { try? file.close() }

  /// What stands at a path, a symbolic link itself (lstat(2)); `nil` where nothing does.
  static func look(at path: String) throws(StateFileError) -> Stat? {
    do throws(Errno) {
      return try Stat(path, followTargetSymlink: false)
    } catch .noSuchFileOrDirectory {
      return nil
    } catch {
      throw .system(operation: "look at", path: path, errno: error)
    }
  }

  /// fstat(2).
  func status() throws(StateFileError) -> Stat {
    try attempt("look at", path) { try file.stat() }
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
    while flock(file.rawValue, LOCK_EX | LOCK_NB) != 0 {
      let error = Errno(rawValue: errno)
      if error == .wouldBlock { return false }
      guard error == .interrupted else {
        throw .system(operation: "lock", path: path, errno: error)
      }
    }
    return true
  }

  /// Reads until the buffer is full or the file ends (pread(2)).
  ///
  /// - Returns: how many octets were read.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(StateFileError)
    -> Int
  {
    try attempt("read", path) {
      var filled = 0
      while filled < buffer.count {
        let count = try file.read(
          fromAbsoluteOffset: Int64(offset + filled),
          into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
        if count == 0 { break }
        filled += count
      }
      return filled
    }
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
    _ = try attempt("write", path) { try file.writeAll(bytes) }
  }

  /// Waits until what was written is on the disk (fdatasync(2)).
  func synchronise() throws(StateFileError) {
    guard fdatasync(file.rawValue) == 0 else {
      throw .system(operation: "write", path: path, errno: Errno(rawValue: errno))
    }
  }
}

/// Calls the system, and says what of the state file was tried where that fails.
private func attempt<Result>(
  _ operation: String, _ path: String, _ call: () throws -> Result
) throws(StateFileError) -> Result {
  do {
    return try call()
  } catch {
    // swift-system throws nothing else.
    throw .system(operation: operation, path: path, errno: error as? Errno ?? .ioError)
  }
}
