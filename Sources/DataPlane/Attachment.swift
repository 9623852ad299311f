// Puts the program on an interface, and never another's aside unless told to.
import BCC
import Glibc
import LoadBalancing
import SystemPackage

/// A program on an interface, for as long as this is owned.
public struct Attachment: Sendable {
  /// How a program came to its mode: what the next process has to know where it may choose again.
  enum Choice: String, CaseIterable {
    case native
    /// Asked for.
    case generic
    /// The driver has no native mode: it was tried.
    case fallback = "auto"

    init(_ mode: XDPMode, wanted: AttachMode) {
      switch mode {
      case .native: self = .native
      case .generic: self = wanted == .auto ? .fallback : .generic
      }
    }
  }

  public let link: Link
  public let interface: String
  /// The kernel's number of the interface.
  public let interfaceIndex: UInt32
  public let mode: XDPMode
  /// How it came to this mode.
  let choice: Choice
  /// The program that had to go, if `--replace` was given and one was there.
  public let replaced: String?

  /// Attaches a program, natively where the driver can and `mode` lets it, else generically.
  public init(_ program: Program, to interface: String, mode: AttachMode, replace: Bool)
    throws(DataPlaneError)
  {
    let index = try Attachment.index(of: interface)
    do throws(BCCError) {
      var replaced: String?
      if let other = try XDPAttachment.current(interfaceIndex: index) {
        let name = Attachment.describe(other)
        guard replace else { throw BCCError.system(operation: name, errno: .resourceBusy) }
        try other.detach(interfaceIndex: index)
        replaced = name
      }
      let (link, actual) = try Attachment.attach(program, index, mode)
      self.link = link
      self.mode = actual
      choice = Choice(actual, wanted: mode)
      self.replaced = replaced
    } catch {
      throw Attachment.wording(error, interface: interface, index: index, mode: mode)
    }
    self.interface = interface
    interfaceIndex = index
  }

  /// What an operator is told of a program that was attached.
  public var notices: [String] {
    let attached = "XDP program attached to \(interface) in \(mode) mode."
    return replaced.map { ["Replaced on \(interface): \($0)", attached] } ?? [attached]
  }

  /// Swaps a program into a link that was kept, in one step.
  init(
    _ program: Program, into link: Link, on interface: String, interfaceIndex: UInt32,
    mode: XDPMode, choice: Choice
  ) throws(DataPlaneError) {
    do { try link.update(to: program) } catch { throw .wording(error) }
    self.init(
      link: link, interface: interface, interfaceIndex: interfaceIndex, mode: mode, choice: choice)
  }

  /// Attaches the program of a process before again that has just been detached.
  init(back program: Program, on former: Attachment) throws(BCCError) {
    self.init(
      link: try Link(
        program: program, interfaceIndex: former.interfaceIndex, mode: former.mode),
      interface: former.interface, interfaceIndex: former.interfaceIndex, mode: former.mode,
      choice: former.choice)
  }

  init(link: Link, interface: String, interfaceIndex: UInt32, mode: XDPMode, choice: Choice) {
    (self.link, self.interface, self.interfaceIndex) = (link, interface, interfaceIndex)
    (self.mode, self.choice) = (mode, choice)
    replaced = nil
  }

  /// The number of an interface by its name, or by one of its alternative names.
  ///
  /// - Throws: where there is none, or it carries no Ethernet frames.
  public static func index(of interface: String) throws(DataPlaneError) -> UInt32 {
    let found = try NetworkInterface(named: interface)
    guard found.isEthernet else { throw .noEthernet(interface, hardware: found.hardware) }
    return found.index
  }

  private static func attach(_ program: Program, _ index: UInt32, _ mode: AttachMode)
    throws(BCCError) -> (Link, XDPMode)
  {
    switch mode {
    case .native: return (try Link(program: program, interfaceIndex: index, mode: .native), .native)
    case .generic:
      return (try Link(program: program, interfaceIndex: index, mode: .generic), .generic)
    case .auto:
      do throws(BCCError) {
        return (try Link(program: program, interfaceIndex: index, mode: .native), .native)
      } catch {
        guard error.errno.map(lacksNative.contains) == true else { throw error }
        return (try Link(program: program, interfaceIndex: index, mode: .generic), .generic)
      }
    }
  }

  /// What drivers answer that have no native mode, or not with the interface's present settings.
  private static let lacksNative: Set<Errno> = [
    .notSupportedOnSocket, .invalidArgument, .outOfRange, .noMemory, .messageTooLong,
  ]

  private static func describe(_ attachment: XDPAttachment) -> String {
    guard let info = try? Program(id: attachment.programID)?.info() else {
      return "program id \(attachment.programID)"
    }
    let own = info.name == "ulb" ? "another ulb" : "'\(info.name)'"
    return "\(own) (program id \(info.id), \(attachment.mode.rawValue) mode)"
  }

  private static func wording(
    _ error: BCCError, interface: String, index: UInt32, mode: AttachMode
  ) -> DataPlaneError {
    guard let number = error.errno, case .system(let operation, _) = error else {
      return .wording(error)
    }
    switch number {
    case .resourceBusy, .fileExists:
      // A program that came between the question and the attempt is asked for once more.
      let other = try? XDPAttachment.current(interfaceIndex: index).map(describe)
      return .interfaceBusy(interface: interface, program: other ?? operation)
    case .operationNotSupportedByDevice: return .noSuchInterface(interface)
    // What the kernel says to the number of an interface that has gone since it was asked for.
    case .invalidArgument where (try? NetworkInterface(named: interface)) == nil:
      return .noSuchInterface(interface)
    case .notPermitted: return .notPermitted("attach the XDP program to \(interface)")
    default:
      guard lacksNative.contains(number), mode != .auto else { return .wording(error) }
      return .unsupportedMode(
        interface: interface, mode: mode.rawValue, reason: number.description)
    }
  }
}
