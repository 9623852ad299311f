// A program on an interface: attached while the link is owned, swapped atomically.
import CBCC
import Glibc
import SystemPackage

/// How an XDP program runs on an interface.
public enum XDPMode: String, Sendable {
  /// In the driver, before the kernel has allocated anything for the packet.
  case native
  /// In the kernel's network stack, for drivers that know no XDP: much slower.
  case generic

  fileprivate var flag: UInt32 {
    switch self {
    case .native: UInt32(XDP_FLAGS_DRV_MODE)
    case .generic: UInt32(XDP_FLAGS_SKB_MODE)
    }
  }
}

/// An XDP program attached to an interface. The kernel detaches it when the last descriptor of the
/// link is closed, however the process ends.
public final class Link: KernelObject {
  let descriptor: Descriptor

  /// Attaches a program where no other is.
  ///
  /// Fails with EBUSY or EEXIST where another program is attached, EOPNOTSUPP where the driver does
  /// not know the mode, EINVAL or ENODEV where there is no such interface.
  public init(program: Program, interfaceIndex: UInt32, mode: XDPMode) throws(BCCError) {
    var options = bpf_link_create_opts()
    options.sz = optionsSize(through: \bpf_link_create_opts.flags)
    options.flags = mode.flag
    let number = bpf_link_create(
      program.descriptor.number, Int32(bitPattern: interfaceIndex), BPF_XDP, &options)
    guard number >= 0 else { throw .system(operation: "attach the XDP program", errno: .last) }
    descriptor = Descriptor(owning: number)
  }

  /// The link behind a descriptor that somebody else has kept. Takes the descriptor over. Throws
  /// where it is no XDP link.
  public init(adopting file: FileDescriptor) throws(BCCError) {
    descriptor = try Descriptor(adopting: file, as: .link)
    guard try info().type == BPF_LINK_TYPE_XDP.rawValue else {
      throw .foreign(expected: "XDP link")
    }
  }

  /// Swaps the program in one step: each packet is seen by the old or by the new one.
  public func update(to program: Program) throws(BCCError) {
    guard bpf_link_update(descriptor.number, program.descriptor.number, nil) == 0 else {
      throw .system(operation: "swap the XDP program", errno: .last)
    }
  }

  /// Detaches the program now, whoever else may hold the link.
  public func release() {
    _ = bpf_link_detach(descriptor.number)
  }

  /// The interface that the link is on; 0 once that interface is gone or the link was detached.
  public func interfaceIndex() throws(BCCError) -> UInt32 {
    try info().xdp.ifindex
  }

  /// The kernel's id of the program that the link holds.
  public func programID() throws(BCCError) -> UInt32 {
    try info().prog_id
  }

  private func info() throws(BCCError) -> bpf_link_info {
    var info = bpf_link_info()
    var length = UInt32(MemoryLayout<bpf_link_info>.size)
    guard bpf_obj_get_info_by_fd(descriptor.number, &info, &length) == 0 else {
      throw .system(operation: "look at the XDP link", errno: .last)
    }
    return info
  }

  /// Lends the descriptor for the time of a call that hands it to somebody else.
  public func withDescriptor<Result>(_ body: (FileDescriptor) throws -> Result) rethrows -> Result {
    try body(descriptor.file)
  }
}

/// What XDP programs an interface carries, whoever attached them.
public struct XDPAttachment: Sendable {
  /// The kernel's id of the program.
  public let programID: UInt32
  public let mode: XDPMode

  /// The program on an interface; `nil` where there is none.
  public static func current(interfaceIndex: UInt32) throws(BCCError) -> XDPAttachment? {
    var options = bpf_xdp_query_opts()
    options.sz = optionsSize(through: \bpf_xdp_query_opts.attach_mode)
    let result = bpf_xdp_query(Int32(bitPattern: interfaceIndex), 0, &options)
    guard result == 0 else {
      throw .system(
        operation: "ask for the interface's XDP program", errno: Errno(rawValue: -result))
    }
    if options.drv_prog_id != 0 {
      return XDPAttachment(programID: options.drv_prog_id, mode: .native)
    }
    if options.skb_prog_id != 0 {
      return XDPAttachment(programID: options.skb_prog_id, mode: .generic)
    }
    return nil
  }

  /// Removes the program, be it attached by a link or without one.
  public func detach(interfaceIndex: UInt32) throws(BCCError) {
    if detachLink() { return }
    let result = bpf_xdp_detach(Int32(bitPattern: interfaceIndex), mode.flag, nil)
    guard result == 0 else {
      throw .system(operation: "remove the other XDP program", errno: Errno(rawValue: -result))
    }
  }

  /// Finds the link by its program, as interface numbers mean something else in each namespace.
  private func detachLink() -> Bool {
    var id: UInt32 = 0
    while bpf_link_get_next_id(id, &id) == 0 {
      let number = bpf_link_get_fd_by_id(id)
      guard number >= 0 else { continue }
      let descriptor = Descriptor(owning: number)
      var info = bpf_link_info()
      var length = UInt32(MemoryLayout<bpf_link_info>.size)
      guard bpf_obj_get_info_by_fd(descriptor.number, &info, &length) == 0,
        info.type == BPF_LINK_TYPE_XDP.rawValue, info.prog_id == programID
      else { continue }
      return bpf_link_detach(descriptor.number) == 0
    }
    return false
  }
}
