// A C source that libbcc has compiled, with the tables it declares.
import CBCC
import Glibc
import SystemPackage

/// A compiled source: owns the tables that it declares and the code of its functions.
public final class Module {
  private let handle: UnsafeMutableRawPointer

  /// What libbcc printed while it compiled: the dumps that ``DebugFlags`` ask for, and warnings.
  public let output: String

  /// Compiles a source and creates its tables.
  ///
  /// The working directory and descriptors 1 and 2 of the whole process change for the time it takes.
  /// - Parameters:
  ///   - source: C in libbcc's dialect.
  ///   - flags: libbcc's debug flag word.
  ///   - compilerFlags: further arguments for clang.
  public init(source: String, flags: DebugFlags = [], compilerFlags: [String] = [])
    throws(BCCError)
  {
    var arguments: [UnsafePointer<CChar>?] = compilerFlags.map { UnsafePointer(strdup($0)) }
    defer { for argument in arguments { free(UnsafeMutableRawPointer(mutating: argument)) } }
    let openTables = OpenTables()
    let (handle, output) = try capturingOutput {
      bpf_module_create_c_from_string(
        source, flags.compilationFlags, &arguments, Int32(arguments.count), true, nil)
    }
    // The heap of a compiler is large, and not needed again.
    malloc_trim(0)
    guard let handle else {
      openTables.closeNewer()
      throw Module.failure(output)
    }
    self.handle = handle
    self.output = output
  }

  deinit {
    bpf_module_destroy(handle)
    malloc_trim(0)
  }

  /// What the kernel may refuse a table with.
  private static let failures: [Errno] = [
    .noMemory, .argListTooLong, .invalidArgument, .notPermitted, .tooManyOpenFiles,
    .tooManyOpenFilesInSystem, .noFunction,
  ]

  /// libbcc says only in its output that it was a table that failed.
  private static func failure(_ output: String) -> BCCError {
    let marker = "could not open bpf map: "
    for line in output.split(separator: "\n") {
      guard let start = line.firstRange(of: marker) else { continue }
      let rest = line[start.upperBound...].split(separator: ",", maxSplits: 1)
      let reason = rest.last.map(String.init) ?? ""
      let error = failures.first {
        reason.hasSuffix($0.description)
      }
      return .tableCreation(table: String(rest.first ?? ""), errno: error ?? .ioError)
    }
    return .compilation(diagnostics: output)
  }

  /// The table that the source declares under this name.
  public func table(_ name: String) throws(BCCError) -> Table {
    let id = bpf_table_id(handle, name)
    guard (0..<bpf_num_tables(handle)).contains(id) else { throw .noSuchTable(name) }
    return Table(
      name: name,
      type: UInt32(bitPattern: bpf_table_type_id(handle, id)),
      keySize: bpf_table_key_size_id(handle, id),
      leafSize: bpf_table_leaf_size_id(handle, id),
      capacity: bpf_table_max_entries_id(handle, id),
      flags: UInt32(bitPattern: bpf_table_flags_id(handle, id)),
      descriptor: try Descriptor(
        duplicating: bpf_table_fd_id(handle, id), of: "the BPF table \(name)"))
  }

  /// Makes the module, and each program that is loaded from now on, use `table` in the place of
  /// the table that the source declares under that name. Layouts must be the same.
  public func replaceTable(_ name: String, with table: Table) throws(BCCError) {
    let id = bpf_table_id(handle, name)
    guard (0..<bpf_num_tables(handle)).contains(id) else { throw .noSuchTable(name) }
    guard dup3(table.descriptor.number, bpf_table_fd_id(handle, id), O_CLOEXEC) >= 0 else {
      throw .system(operation: "take over the BPF table \(name)", errno: .last)
    }
  }

  /// Loads a function of the source as an XDP program.
  ///
  /// - Parameter flags: with ``DebugFlags/byteCode`` the verifier's log, byte code beside source
  ///   lines, is in the program's `log`.
  public func loadXDPProgram(_ name: String, flags: DebugFlags = []) throws(BCCError) -> Program {
    guard let start = bpf_function_start(handle, name) else { throw .noSuchFunction(name) }
    let instructions = start.assumingMemoryBound(to: bpf_insn.self)
    let size = Int32(bpf_function_size(handle, name))
    var error = Errno(rawValue: 0)
    let (descriptor, output) = try capturingOutput {
      let descriptor = bcc_func_load(
        handle, Int32(BPF_PROG_TYPE_XDP.rawValue), name, instructions, size,
        "GPL", bpf_module_kern_version(handle), flags.contains(.byteCode) ? 1 : 0, nil, 0, nil,
        Int32(BPF_XDP.rawValue))
      error = .last
      return descriptor
    }
    guard descriptor >= 0 else {
      switch error {
      case .notPermitted, .noMemory, .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noFunction:
        throw .system(operation: "load the BPF program", errno: error)
      default: throw .verification(log: output, errno: error)
      }
    }
    return Program(
      name: name, log: output, descriptor: Descriptor(owning: descriptor))
  }
}

/// libbcc's debug flag word: what it prints while it compiles and loads.
public struct DebugFlags: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// LLVM IR.
  public static let llvmIR = DebugFlags(rawValue: 1)
  /// BPF byte code beside its source lines.
  public static let byteCode = DebugFlags(rawValue: 2)
  /// The preprocessor's output.
  public static let preprocessor = DebugFlags(rawValue: 4)

  /// The word for the compilation. libbcc has a flag of its own for the byte code's listing
  /// (DEBUG_SOURCE), as on today's kernels the verifier's log no longer contains it.
  fileprivate var compilationFlags: UInt32 {
    contains(.byteCode) ? rawValue | 8 : rawValue
  }
}
