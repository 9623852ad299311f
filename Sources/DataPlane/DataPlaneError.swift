// Why the data plane cannot be had, in an operator's words.
import BCC
import LoadBalancing
import SystemPackage

/// A failure to render, compile, load, fill or attach. Its description is one line: what was tried,
/// why it failed, what to do.
public enum DataPlaneError: Error, Sendable {
  /// The embedded template is broken: a bug of the build, not of the operator.
  case template(String)
  /// The loaded libbcc is too old.
  case libraryTooOld(LibraryVersion)
  /// The kernel headers that were asked for cannot be used.
  case kernelHeaders(String)
  /// A table does not fit the memory that the kernel gives it.
  case outOfMemory(table: String, advice: String)
  /// The old and the new list of real servers are too long to be held at once.
  case tooManyAddresses(SlotPlan.TooManyMembers)
  /// Too many virtual servers have left and come at once.
  case tooManyVirtualServers(VirtualServerPlan.TooFewNumbers)
  /// More clients are to be followed at once than can be.
  case tooManyFollowed(Int)
  /// The process may not use BPF.
  case notPermitted(String)
  /// There is no interface of this name.
  case noSuchInterface(String)
  /// The interface's frames have no Ethernet header; `hardware` is its `ARPHRD_…`.
  case noEthernet(String, hardware: UInt16)
  /// Another XDP program is on the interface.
  case interfaceBusy(interface: String, program: String)
  /// The interface cannot carry XDP in the mode that was asked for.
  case unsupportedMode(interface: String, mode: String, reason: String)
  /// The program of before is attached in another mode, and cannot be had to go back to.
  case modeInUse(interface: String, mode: String)
  /// The program could not be attached, nor the one of before again that had to go for it.
  case notRestored(wanted: String, former: String)
  /// Any other failure of libbcc or the kernel.
  case bpf(BCCError)
}

extension DataPlaneError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .template(let reason): "the embedded template cannot be rendered: \(reason)"
    case .libraryTooOld(let version):
      """
      libbcc \(version) is too old: \(LibraryVersion.oldestSupported) or newer is needed; \
      install a newer libbpfcc
      """
    case .kernelHeaders(let reason): reason
    case .outOfMemory(let table, let advice): "not enough memory for the table \(table): \(advice)"
    case .tooManyAddresses(let lists):
      """
      the old and the new list of real servers have \(lists.count) addresses together, and there \
      is room for \(lists.slots) at once; make the change in two steps: first take servers off \
      the list, then put others on it
      """
    case .tooManyVirtualServers(let numbers):
      """
      \(numbers.needed) virtual servers come at once, and there is room for \(numbers.free) beside \
      those that were here; make the change in two steps
      """
    case .tooManyFollowed(let count):
      """
      \(count) clients cannot be followed at once, but \(DataPlane.mostFollowed) at most; wait until \
      others have gone
      """
    case .notPermitted(let what):
      """
      \(what): not permitted; run as root, or with the capabilities CAP_BPF, CAP_NET_ADMIN and \
      CAP_PERFMON
      """
    case .noSuchInterface(let name):
      "no such network interface: '\(name.shortened())'; see 'ip link' for their names"
    case .noEthernet(let name, let hardware):
      """
      \(name) carries no Ethernet frames (link type \(hardware)), as a tunnel or a modem does not; \
      name the Ethernet interface that clients' packets come in on
      """
    case .interfaceBusy(let interface, let program):
      """
      another XDP program is attached to \(interface): \(program); stop what attached it, \
      or use --replace to replace it
      """
    case .unsupportedMode(let interface, let mode, let reason):
      "\(interface) cannot run XDP in \(mode) mode: \(reason); use --mode auto"
    case .modeInUse(let interface, let mode):
      """
      \(interface) carries the program of before in \(mode) mode, and that could not be attached \
      again if another mode failed; stop ulb, then start it
      """
    case .notRestored(let wanted, let former):
      "\(wanted); and the program of before could not be attached again: \(former)"
    case .bpf(let error):
      switch error.errno {
      case .tooManyOpenFiles:
        "\(error); raise the limit of open files (ulimit -n, LimitNOFILE=)"
      case .noFunction:
        "\(error); this kernel has no BPF: Linux 5.15 or newer with CONFIG_BPF_SYSCALL is needed"
      default: "\(error)"
      }
    }
  }
}

extension DataPlaneError {
  /// Words a failed BPF call for the operator.
  static func wording(_ error: BCCError) -> DataPlaneError {
    if error.errno == .notPermitted, case .system(let operation, _) = error {
      return .notPermitted(operation)
    }
    if error.errno == .notPermitted, case .tableCreation(let table, _) = error {
      return .notPermitted("create the BPF table \(table)")
    }
    return .bpf(error)
  }
}
