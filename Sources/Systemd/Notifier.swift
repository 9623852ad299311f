// The datagrams that a service sends to its manager: sd_notify(3), without libsystemd.
// Knows nothing of what the service does, and never waits for the manager.

import Glibc
import SystemPackage

/// Tells the service manager what the daemon does, as sd_notify(3) describes.
///
/// One datagram socket is opened at the beginning and kept, so that a watchdog message still goes
/// out when the process has no descriptor left. It is never connected: each datagram names its
/// receiver, so that a notify socket that was removed and made again is found again.
///
/// Sending neither blocks nor raises a signal. Every method throws
/// ``SystemdError/systemCall(_:address:errno:)`` when its datagram was not delivered.
public final class Notifier: Sendable {
  /// The most descriptors that the kernel passes in one datagram (`SCM_MAX_FD`, unix(7)).
  public static let maximumDescriptors = 253

  /// How often to call ``watchdog()``: half of `$WATCHDOG_USEC`, as sd_watchdog_enabled(3) advises.
  /// `nil` if the manager does not watch this process.
  public let watchdogInterval: Duration?

  private let address: String
  let socket: FileDescriptor

  /// Opens the way to the manager that `$NOTIFY_SOCKET` names; `nil` if there is none.
  ///
  /// - Parameter environment: Looks up a variable; the process's own environment by default.
  /// - Throws: ``SystemdError/invalidAddress(_:)``, or
  ///   ``SystemdError/systemCall(_:address:errno:)`` if no socket can be opened.
  public init?(
    environment: (String) -> String? = environmentVariable
  ) throws(SystemdError) {
    guard let address = environment("NOTIFY_SOCKET"), !address.isEmpty else { return nil }
    guard SocketAddress(address) != nil else { throw .invalidAddress(address) }
    let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard socket >= 0 else {
      throw .systemCall("socket", address: address, errno: Errno(rawValue: errno))
    }
    self.address = address
    self.socket = FileDescriptor(rawValue: socket)
    self.watchdogInterval = Self.watchdogInterval(environment: environment)
  }

  deinit { try? socket.close() }

  /// `READY=1`: the start, or a reload, is complete.
  ///
  /// - Parameter status: What `systemctl status` shows from now on, in the same datagram.
  public func ready(status: String? = nil) throws(SystemdError) {
    try send("READY=1" + (status.map { "\nSTATUS=" + Self.oneLine($0) } ?? ""))
  }

  /// `STATUS=`: what `systemctl status` shows. Line breaks become spaces.
  public func status(_ text: String) throws(SystemdError) {
    try send("STATUS=" + Self.oneLine(text))
  }

  /// `RELOADING=1`, with the time it began at; ``ready(status:)`` must follow.
  ///
  /// - Parameter since: CLOCK_MONOTONIC in microseconds.
  public func reloading(since: UInt64 = monotonicMicroseconds) throws(SystemdError) {
    try send("RELOADING=1\nMONOTONIC_USEC=\(since)")
  }

  /// CLOCK_MONOTONIC now, in microseconds.
  public static var monotonicMicroseconds: UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1000
  }

  /// `EXTEND_TIMEOUT_USEC=`: the start, the stop or what else goes on may take this long from now,
  /// whatever the unit's limit; to be said again in time if that does not suffice.
  public func extendTimeout(_ time: Duration) throws(SystemdError) {
    let (seconds, attoseconds) = time.components
    try send("EXTEND_TIMEOUT_USEC=\(seconds * 1_000_000 + attoseconds / 1_000_000_000_000)")
  }

  /// `STOPPING=1`: the daemon is on its way out.
  public func stopping() throws(SystemdError) {
    try send("STOPPING=1")
  }

  /// `WATCHDOG=1`: the daemon is alive. To be sent each ``watchdogInterval``.
  public func watchdog() throws(SystemdError) {
    try send("WATCHDOG=1")
  }

  /// `FDSTORE=1`: gives the manager duplicates of descriptors to keep over a restart.
  ///
  /// They come back through ``DescriptorStore/take()``. What is stored under `name` already stays;
  /// the manager drops a duplicate of a file that it has. `FDPOLL=0` keeps it from dropping
  /// descriptors that poll(2) reports an error for, as it does for BPF maps.
  ///
  /// - Parameters:
  ///   - descriptors: 1 to ``maximumDescriptors``; they remain the caller's.
  ///   - name: 1 to 255 printable ASCII characters without `:`.
  /// - Throws: ``SystemdError/invalidName(_:)`` and ``SystemdError/invalidDescriptorCount(_:)`` too.
  public func store(_ descriptors: [FileDescriptor], name: String) throws(SystemdError) {
    try Self.check(name: name)
    guard (1...Self.maximumDescriptors).contains(descriptors.count) else {
      throw .invalidDescriptorCount(descriptors.count)
    }
    try send("FDSTORE=1\nFDNAME=\(name)\nFDPOLL=0", descriptors: descriptors)
  }

  /// As ``store(_:name:)``, but the manager lets go of the descriptor once poll(2) reports an error.
  func offer(_ descriptor: FileDescriptor, name: String) throws(SystemdError) {
    try Self.check(name: name)
    try send("FDSTORE=1\nFDNAME=\(name)", descriptors: [descriptor])
  }

  /// `BARRIER=1`: the manager closes the descriptor when it has dealt with all that was sent before.
  func barrier(_ descriptor: FileDescriptor) throws(SystemdError) {
    try send("BARRIER=1", descriptors: [descriptor])
  }

  /// `FDSTOREREMOVE=1`: lets the manager close all descriptors stored under `name`.
  ///
  /// - Throws: ``SystemdError/invalidName(_:)`` too.
  public func remove(name: String) throws(SystemdError) {
    try Self.check(name: name)
    try send("FDSTOREREMOVE=1\nFDNAME=\(name)")
  }

  /// sd_watchdog_enabled(3): the interval counts if `$WATCHDOG_PID` is unset or this process.
  private static func watchdogInterval(environment: (String) -> String?) -> Duration? {
    guard let microseconds = environment("WATCHDOG_USEC").flatMap(Int64.init), microseconds > 0
    else { return nil }
    if let process = environment("WATCHDOG_PID"), process != String(getpid()) { return nil }
    return .microseconds(microseconds) / 2
  }

  private static func oneLine(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }

  private static func check(name: String) throws(SystemdError) {
    let allowed = name.utf8.allSatisfy { (0x20..<0x7f).contains($0) && $0 != UInt8(ascii: ":") }
    guard allowed, (1...255).contains(name.utf8.count) else { throw .invalidName(name) }
  }

  private func send(_ text: String, descriptors: [FileDescriptor] = []) throws(SystemdError) {
    guard let receiver = SocketAddress(address) else { throw .invalidAddress(address) }
    do throws(Errno) {
      try receiver.send(text, descriptors: descriptors, over: socket)
    } catch {
      throw .systemCall("sendmsg", address: address, errno: error)
    }
  }
}

/// The value of a variable of the process's environment; `nil` if it is unset.
public func environmentVariable(_ name: String) -> String? {
  getenv(name).map { String(cString: $0) }
}
