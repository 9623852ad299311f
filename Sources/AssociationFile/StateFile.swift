// The state file of one daemon: opened and locked at the start, read, and replaced by whole saves.
// Knows associations, and nothing of where they come from.
import Glibc
import LoadBalancing
import Synchronization
import SystemPackage

/// The state file, locked for as long as this lives.
///
/// What is locked is the file itself: a save is locked before it takes the file's place, so that no
/// file of another name stays behind, and a lock ends with its process. Where there is no file yet
/// an empty one is made to be locked; an empty file is one that nothing was saved in yet.
public final class StateFile: Sendable {
  /// The path that it was opened with.
  public let path: String
  private let state: Mutex<State>

  private struct State {
    /// The locked file.
    var file: OpenFile
    /// Whether `file` was made to be locked, and nothing else.
    var isPlaceholder: Bool
    /// Whether what is in the file has to be kept aside before a save takes its place.
    var isRefused = false
  }

  /// Where a save is written until it is whole.
  var temporary: String { path + ".new" }

  /// Opens the file and locks it. Nothing that stands there is changed, but for the rest of an
  /// interrupted save, which is removed.
  public init(_ path: String) throws(StateFileError) {
    self.path = path
    let (file, isPlaceholder) = try StateFile.openLocked(path)
    state = Mutex(State(file: file, isPlaceholder: isPlaceholder))
    guard Format.isOurs(try file.read(count: Format.magic.count, at: 0)) else {
      throw .foreign(path: path)
    }
    try removeLeftover()
  }

  deinit {
    state.withLock { state in
      guard state.isPlaceholder, (try? state.file.stands(at: path)) == true,
        (try? state.file.status().size) == 0
      else { return }
      unlink(path)
    }
  }

  // MARK: Opening

  private static func openLocked(_ path: String) throws(StateFileError) -> (
    file: OpenFile, isPlaceholder: Bool
  ) {
    // Another daemon's save may take the file's place meanwhile: then that one counts.
    for _ in 0..<100 {
      guard let (file, isNew) = try open(path) else { continue }
      guard try file.lock() else { throw .inUse(path: path) }
      if try file.stands(at: path) { return (file, isNew) }
    }
    throw .inUse(path: path)
  }

  /// Opens the file, or makes one; `nil` where it came or went meanwhile.
  private static func open(_ path: String) throws(StateFileError) -> (
    file: OpenFile, isNew: Bool
  )? {
    guard let status = try OpenFile.look(at: path) else {
      do throws(StateFileError) {
        return (try OpenFile(making: path, .readWrite), true)
      } catch .system(_, _, .fileExists) {
        return nil
      }
    }
    try requireRegular(status, path)
    do throws(StateFileError) {
      let file = try openForReading(path)
      try requireRegular(try file.status(), path)
      return (file, false)
    } catch .system(_, _, .noSuchFileOrDirectory) {
      return nil
    }
  }

  /// For writing too where that is allowed, as some file systems want it for a lock.
  private static func openForReading(_ path: String) throws(StateFileError) -> OpenFile {
    do throws(StateFileError) {
      return try OpenFile(path, .readWrite)
    } catch {
      return try OpenFile(path, .readOnly)
    }
  }

  private static func requireRegular(_ status: Stat, _ path: String) throws(StateFileError) {
    let kind =
      switch status.type {
      case .regular: nil as String?
      case .directory: "a directory"
      case .symbolicLink: "a symbolic link"
      case .fifo: "a named pipe"
      case .socket: "a socket"
      default: "a device"
      }
    if let kind { throw .notRegular(path: path, kind: kind) }
  }

  /// Removes what a save left that was interrupted. A file system that cannot is told of at the
  /// first save.
  func removeLeftover() throws(StateFileError) {
    guard let status = try OpenFile.look(at: temporary) else { return }
    try StateFile.requireRegular(status, temporary)
    let head = try OpenFile(temporary, .readOnly).read(count: Format.magic.count, at: 0)
    // After a power cut a file may have its length, but not yet what was written into it.
    guard Format.isOurs(head) || head.allSatisfy({ $0 == 0 }) else {
      throw .foreign(path: temporary)
    }
    unlink(temporary)
  }

  // MARK: Reading

  /// What the file holds; `nil` where nothing was saved in it yet.
  ///
  /// - Parameter virtualServers: those that are configured. What is in the file of others is handed
  ///   over as well, but it is refused where there is nothing else.
  public func load(for virtualServers: [VirtualServer]) throws(Refusal) -> SavedAssociations? {
    guard let (content, preamble, records) = try read(for: virtualServers) else { return nil }
    return SavedAssociations(preamble: preamble, content: content, records: records)
  }

  /// What the control socket had set when the file was saved. The whole file is checked for it.
  ///
  /// - Parameter virtualServers: as for ``load(for:)``.
  public func overrides(for virtualServers: [VirtualServer]) throws(Refusal) -> Overrides {
    try read(for: virtualServers)?.preamble.overrides ?? Overrides()
  }

  private func read(for virtualServers: [VirtualServer]) throws(Refusal) -> (
    content: WholeFile, preamble: Preamble, records: [Records]
  )? {
    guard let size = try check(for: virtualServers) else { return nil }
    let file = state.withLock { $0.file }
    let content: WholeFile
    do throws(StateFileError) {
      content = try WholeFile(file, size: size)
    } catch {
      throw .unreadable(errno: error.errno)
    }
    let (preamble, records) = try Format.check(content.bytes)
    return (content, preamble, records)
  }

  /// Whether the file's first and last octets and its size are those of a usable file; looks at no
  /// record.
  ///
  /// - Parameter virtualServers: as for ``load(for:)``.
  /// - Returns: the file's size in octets; `nil` where nothing was saved in it yet.
  @discardableResult
  public func check(for virtualServers: [VirtualServer]) throws(Refusal) -> Int? {
    let file = state.withLock { $0.file }
    func read(_ count: Int, at offset: Int) throws(Refusal) -> [UInt8] {
      do throws(StateFileError) {
        return try file.read(count: count, at: offset)
      } catch {
        throw .unreadable(errno: error.errno)
      }
    }
    let size: Int
    do throws(StateFileError) {
      size = Int(try file.status().size)
    } catch {
      throw .unreadable(errno: error.errno)
    }
    guard size > 0 else { return nil }
    let outlineSize = try decode(try read(Outline.headSize, at: 0), Outline.size)
    let outline = try decode(try read(outlineSize, at: 0), Outline.init)
    let trailer = try read(outline.trailerSize, at: max(0, size - outline.trailerSize))
    _ = try decode(trailer) { trailer throws(Refusal) in
      try outline.records(fileSize: size, trailer: trailer)
    }
    try outline.requireAny(of: virtualServers)
    return size
  }

  /// Gives a file that was refused a name of its own, in the place of which an empty one is locked.
  /// Where that fails it is tried again before a save would take the file's place.
  ///
  /// - Returns: the refused file's path from now on.
  public func keepAside() throws(StateFileError) -> String {
    try state.withLock { state throws(StateFileError) in try keepAside(&state) }
  }

  private func keepAside(_ state: inout State) throws(StateFileError) -> String {
    state.isRefused = true
    guard try state.file.stands(at: path) else { throw .replaced(path: path) }
    let aside = try RefusedFiles.keep(path, time: .now)
    state.isRefused = false
    RefusedFiles.removeOld(of: path, butNot: aside)
    // Without one, on a full disk, the first save is what is locked.
    if let (placeholder, isNew) = try? StateFile.openLocked(path), isNew {
      (state.file, state.isPlaceholder) = (placeholder, true)
    }
    return aside
  }

  // MARK: Saving

  /// Puts a save in the file's place. The save is locked already.
  func replace(with save: OpenFile) throws(StateFileError) {
    try state.withLock { state throws(StateFileError) in
      if state.isRefused, try state.file.stands(at: path) { _ = try keepAside(&state) }
      // Nobody's file is overwritten who does not know of the lock.
      if try OpenFile.look(at: path) != nil, try !state.file.stands(at: path) {
        throw .replaced(path: path)
      }
      guard rename(temporary, path) == 0 else {
        throw .system(operation: "replace", path: path, errno: Errno(rawValue: errno))
      }
      (state.file, state.isPlaceholder) = (save, false)
    }
  }
}

extension StateFileError {
  /// That of the call that failed; no other error comes of reading.
  fileprivate var errno: Errno {
    if case .system(_, _, let errno) = self { errno } else { .ioError }
  }
}

extension Timestamp {
  fileprivate static var now: Timestamp { Timestamp(seconds: Int64(time(nil))) }
}

private func decode<Result>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(Refusal) -> Result
) throws(Refusal) -> Result {
  try bytes.withUnsafeBufferPointer { bytes throws(Refusal) in
    try body(UnsafeRawBufferPointer(bytes))
  }
}

extension Outline {
  /// Refuses what is of no virtual server that is configured.
  fileprivate func requireAny(of configured: [LoadBalancing.VirtualServer]) throws(Refusal) {
    let isAny = virtualServers.contains { virtualServer in
      configured.contains { virtualServer.saved().isSame(as: $0) }
    }
    guard !isAny else { return }
    throw .notConfigured(
      commandLines: virtualServers.first { $0.name == nil }?.address.family,
      names: virtualServers.compactMap(\.name))
  }
}
