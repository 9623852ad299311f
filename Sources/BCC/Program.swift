// A loaded BPF program.
import CBCC
import Glibc
import SystemPackage

/// A program that the verifier has accepted.
public final class Program: KernelObject {
  public let name: String
  /// What libbcc printed while it loaded the program.
  public let log: String
  let descriptor: Descriptor

  init(name: String, log: String, descriptor: Descriptor) {
    self.name = name
    self.log = log
    self.descriptor = descriptor
  }

  /// What the kernel knows about a program.
  public struct Info: Sendable {
    /// The kernel's id of the program.
    public let id: UInt32
    public let name: String
    /// Instructions after the verifier's rewriting, 8 bytes each.
    public let instructionCount: Int
    /// Instructions the verifier walked through on all paths; its limit is 1,000,000.
    public let verifiedInstructionCount: Int
    /// The kernel's ids of the tables that the program uses, or that were bound to it.
    public let tableIDs: [UInt32]
  }

  /// Asks the kernel.
  public func info() throws(BCCError) -> Info {
    try Program.info(of: descriptor)
  }

  /// The program behind a descriptor that somebody else has kept. Takes the descriptor over. Throws
  /// where it is no BPF program.
  public convenience init(adopting file: FileDescriptor) throws(BCCError) {
    let descriptor = try Descriptor(adopting: file, as: .program)
    self.init(name: try Program.info(of: descriptor).name, log: "", descriptor: descriptor)
  }

  /// Any loaded program by the kernel's id of it; `nil` where there is none, or the process may not
  /// have it: that takes CAP_SYS_ADMIN.
  public convenience init?(id: UInt32) {
    let number = bpf_prog_get_fd_by_id(id)
    guard number >= 0, let program = try? Program(adopting: FileDescriptor(rawValue: number)) else {
      return nil
    }
    self.init(name: program.name, log: "", descriptor: program.descriptor)
  }

  /// Lends the descriptor for the time of a call that hands it to somebody else.
  public func withDescriptor<Result>(_ body: (FileDescriptor) throws -> Result) rethrows -> Result {
    try body(descriptor.file)
  }

  private static func info(of descriptor: Descriptor) throws(BCCError) -> Info {
    var info = bpf_prog_info()
    var length = UInt32(MemoryLayout<bpf_prog_info>.size)
    guard bpf_obj_get_info_by_fd(descriptor.number, &info, &length) == 0 else {
      throw .system(operation: "look at a BPF program", errno: .last)
    }
    let name = String(cArray: info.name)
    return Info(
      id: info.id, name: name, instructionCount: Int(info.xlated_prog_len) / 8,
      verifiedInstructionCount: Int(info.verified_insns),
      tableIDs: try tableIDs(of: descriptor, count: info.nr_map_ids))
  }

  private static func tableIDs(of descriptor: Descriptor, count: UInt32) throws(BCCError)
    -> [UInt32]
  {
    var ids = [UInt32](repeating: 0, count: Int(count))
    var found: UInt32 = 0
    let result = ids.withUnsafeMutableBufferPointer { ids in
      var info = bpf_prog_info()
      var length = UInt32(MemoryLayout<bpf_prog_info>.size)
      info.nr_map_ids = count
      info.map_ids = UInt64(UInt(bitPattern: ids.baseAddress))
      defer { found = min(count, info.nr_map_ids) }
      return bpf_obj_get_info_by_fd(descriptor.number, &info, &length)
    }
    guard result == 0 else {
      throw .system(operation: "look at the tables of a BPF program", errno: .last)
    }
    return Array(ids.prefix(Int(found)))
  }

  /// Has a table that the program does not use count as one of its own: the table lives as long, and
  /// ``Info/tableIDs`` tells of it.
  public func bind(_ table: Table) throws(BCCError) {
    guard bpf_prog_bind_map(descriptor.number, table.descriptor.number, nil) == 0 else {
      throw .system(operation: "bind the BPF table \(table.name) to the program", errno: .last)
    }
  }

  /// The verdict of an XDP program and the frame it left, from one run by BPF_PROG_TEST_RUN.
  public struct TestResult: Equatable, Sendable {
    /// `enum xdp_action`.
    public let verdict: UInt32
    public let frame: [UInt8]
  }

  /// Runs the program once on a frame, without any interface. The kernel takes frames of 14 bytes
  /// and more.
  public func testRun(frame: [UInt8]) throws(BCCError) -> TestResult {
    var output = [UInt8](repeating: 0, count: frame.count + 256)
    var options = bpf_test_run_opts()
    options.sz = optionsSize(through: \bpf_test_run_opts.duration)
    options.repeat = 1
    let number = frame.withUnsafeBytes { input in
      output.withUnsafeMutableBytes { output in
        options.data_in = input.baseAddress
        options.data_size_in = UInt32(input.count)
        options.data_out = output.baseAddress
        options.data_size_out = UInt32(output.count)
        return bpf_prog_test_run_opts(descriptor.number, &options)
      }
    }
    guard number == 0 else {
      throw .system(operation: "test-run the BPF program", errno: .last)
    }
    return TestResult(
      verdict: options.retval, frame: Array(output.prefix(Int(options.data_size_out))))
  }
}
