// Reads the state file at the start. What is not whole and ours is kept aside, not used.
import AssociationFile
import DataPlane
import Glibc
import LoadBalancing

enum StateLoader {
  /// What a refused file's name ends with from then on.
  static let refusedSuffix = ".refused"

  /// Restores the associations of a state file, and says in words what became of it; `nil` where
  /// there is no file yet. Never ends the start.
  static func load(_ path: String, into dataPlane: DataPlane) -> (message: String, isError: Bool)? {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
    guard descriptor >= 0 else {
      let reason = StateError(path, errno)
      var status = stat()
      // Nothing at all is there at the first start; a link to nowhere is something.
      if lstat(path, &status) != 0, errno == ENOENT { return nil }
      return refuse(path, "it cannot be read: \(reason)")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      return refuse(path, "it is not a regular file")
    }
    let size = Int(status.st_size)
    guard size > 0 else { return refuse(path, "\(Refusal.truncated)") }
    let start = mmap(nil, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, descriptor, 0)
    guard let start, start != MAP_FAILED else {
      return refuse(path, "it cannot be read: \(StateError(path, errno))")
    }
    defer { munmap(start, size) }
    let file = UnsafeRawBufferPointer(start: start, count: size)
    do {
      let (preamble, records) = try Format.check(file)
      guard preamble.family == dataPlane.configuration.family else {
        return refuse(path, "it is of \(preamble.family) clients")
      }
      try dataPlane.setRoundPosition(preamble.roundPosition)
      let (restored, unlisted) = try dataPlane.restore(
        Record.decode(UnsafeRawBufferPointer(rebasing: file[records]), preamble.family),
        of: preamble.realServers)
      let rest = unlisted == 0 ? "" : "; \(unlisted) of real servers that are no longer listed"
      return ("Restored \(restored) association(s) from \(path)\(rest)", false)
    } catch {
      return refuse(path, "\(error)")
    }
  }

  private static func refuse(_ path: String, _ reason: String) -> (message: String, isError: Bool) {
    let aside = path + refusedSuffix
    let outcome =
      rename(path, aside) == 0
      ? "kept aside as \(aside)" : "it could not be moved aside: \(StateError(aside, errno))"
    return ("The state file \(path) is refused: \(reason); \(outcome); started without it", true)
  }
}
