// The kernel's trace lines, from a tracing instance of our own: readers of the system's own pipe
// and other daemons lose nothing to us.
import CBCC
import Glibc
import SystemPackage

/// Reads what programs print with `bpf_trace_printk`. Needs root: tracefs is closed to others.
public final class TracePipe {
  private let instances: Int32
  private let name: String
  private let pipe: Int32
  private var rest: [UInt8] = []

  /// Opens a tracing instance for this process. tracefs need not be mounted.
  public init() throws(BCCError) {
    let root = TracePipe.openRoot()
    guard root >= 0 else { throw .system(operation: "open tracefs", errno: .last) }
    defer { close(root) }
    let instances = openat(root, "instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard instances >= 0 else { throw .system(operation: "open tracefs' instances", errno: .last) }
    TracePipe.removeLeftovers(in: instances)
    let name = "\(TracePipe.prefix)\(getpid())"
    guard mkdirat(instances, name, 0o700) == 0 || Errno.last == .fileExists else {
      let error = Errno.last
      close(instances)
      throw .system(operation: "make a tracing instance", errno: error)
    }
    let pipe = openat(instances, name + "/trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard pipe >= 0, TracePipe.enable(instances, name) else {
      let error = Errno.last
      if pipe >= 0 { close(pipe) }
      unlinkat(instances, name, AT_REMOVEDIR)
      close(instances)
      throw .system(operation: "open the trace pipe", errno: error)
    }
    self.instances = instances
    self.name = name
    self.pipe = pipe
  }

  deinit {
    close(pipe)
    unlinkat(instances, name, AT_REMOVEDIR)
    close(instances)
  }

  /// Hands over the whole lines that are there now; never waits.
  public func readLines(_ body: (String) -> Void) {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(pipe, &buffer, buffer.count)
      guard count > 0 else { return }
      rest += buffer[..<count]
      while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
        body(String(decoding: rest[..<end], as: UTF8.self))
        rest.removeSubrange(...end)
      }
    }
  }

  private static let prefix = "ulb-"

  /// A mount of our own that nobody else sees, or the system's.
  private static func openRoot() -> Int32 {
    let detached = open_tracefs()
    if detached >= 0 { return detached }
    return open("/sys/kernel/tracing", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  }

  private static func enable(_ instances: Int32, _ name: String) -> Bool {
    let path = name + "/events/bpf_trace/bpf_trace_printk/enable"
    let descriptor = openat(instances, path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return write(descriptor, "1", 1) == 1
  }

  /// A process that was killed could not remove its instance.
  private static func removeLeftovers(in instances: Int32) {
    guard let directory = fdopendir(dup(instances)) else { return }
    defer { closedir(directory) }
    rewinddir(directory)
    while let entry = readdir(directory) {
      let name = String(nameOf: entry)
      guard name.hasPrefix(prefix), let process = pid_t(name.dropFirst(prefix.count)),
        kill(process, 0) != 0, Errno.last == .noSuchProcess
      else { continue }
      unlinkat(instances, name, AT_REMOVEDIR)
    }
  }
}
