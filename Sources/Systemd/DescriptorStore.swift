// The descriptors that the service manager kept over a restart: sd_listen_fds_with_names(3).
// Knows nothing of what they are.

import Glibc
import SystemPackage

/// What the service manager's file-descriptor store gives back to a new process.
public enum DescriptorStore {
  /// A descriptor that was stored, and the name that it was stored under.
  public typealias Entry = (name: String, descriptor: FileDescriptor)

  /// The first descriptor that the manager passes (`SD_LISTEN_FDS_START`).
  private static let firstDescriptor: Int32 = 3

  /// Takes over the descriptors that the manager passed; none if there are none for this process.
  ///
  /// As sd_listen_fds_with_names(3) with `unset_environment`: the descriptors get `FD_CLOEXEC`, and
  /// the variables are removed whatever they say, so that neither a second call nor a child gets
  /// them again. To be called once, early, before another thread may look at the environment. The
  /// caller owns what it gets: a descriptor that it has no use for is its to close.
  ///
  /// The order is the manager's, which is not the order of storing. A name that the manager did not
  /// say is `unknown`.
  public static func take() -> [Entry] {
    take(first: firstDescriptor)
  }

  static func take(first: Int32) -> [Entry] {
    let entries = entries(environment: environmentVariable, first: first)
    for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(variable) }
    for entry in entries {
      let flags = fcntl(entry.descriptor.rawValue, F_GETFD)
      _ = fcntl(entry.descriptor.rawValue, F_SETFD, flags | FD_CLOEXEC)
    }
    return entries
  }

  /// What the variables promise, as far as it is there: the names of open descriptors from `first`.
  static func entries(environment: (String) -> String?, first: Int32) -> [Entry] {
    guard environment("LISTEN_PID") == String(getpid()),
      let count = environment("LISTEN_FDS").flatMap(Int32.init),
      count > 0, !first.addingReportingOverflow(count).overflow
    else { return [] }
    let names = (environment("LISTEN_FDNAMES") ?? "")
      .split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    var entries: [Entry] = []
    for index in 0..<Int(count) {
      let descriptor = first + Int32(index)
      // The manager passes them without a gap, so the first that is not open ends a wrong count.
      guard fcntl(descriptor, F_GETFD) >= 0 else { break }
      let name = names.indices.contains(index) ? names[index] : ""
      entries.append((name.isEmpty ? "unknown" : name, FileDescriptor(rawValue: descriptor)))
    }
    return entries
  }
}
