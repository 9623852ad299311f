// One owner for one file descriptor.
import Glibc
import SystemPackage

/// A file descriptor that is closed with its last owner. Close-on-exec where this file made it.
final class Descriptor: Sendable {
  /// Lent to whoever holds this.
  let file: FileDescriptor

  /// What a C call knows it by.
  var number: Int32 { file.rawValue }

  /// Takes the descriptor over: nobody else may close it.
  init(owning number: Int32) {
    file = FileDescriptor(rawValue: number)
  }

  /// A descriptor of its own for what `number` refers to.
  init(duplicating number: Int32, of what: String) throws(BCCError) {
    let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw .system(operation: "duplicate \(what)", errno: .last) }
    file = FileDescriptor(rawValue: copy)
  }

  deinit {
    try? file.close()
  }

  /// What the kernel names its BPF objects in /proc/self/fd.
  enum Kind: String {
    case table = "bpf-map"
    case program = "bpf-prog"
    case link = "bpf_link"

    fileprivate var name: String {
      switch self {
      case .table: "BPF table"
      case .program: "BPF program"
      case .link: "BPF link"
      }
    }
  }

  /// Takes over a descriptor that somebody else has kept. It is closed where it is not of this
  /// kind: what bpf(2) tells of one kind reads like another's.
  convenience init(adopting file: FileDescriptor, as kind: Kind) throws(BCCError) {
    self.init(owning: file.rawValue)
    guard Descriptor.isOpen(number, on: kind) else { throw .foreign(expected: kind.name) }
  }

  /// Whether a descriptor refers to a BPF object of this kind.
  static func isOpen(_ number: Int32, on kind: Kind) -> Bool {
    var target = [UInt8](repeating: 0, count: 64)
    let count = target.withUnsafeMutableBytes { target in
      target.withMemoryRebound(to: CChar.self) {
        readlink("/proc/self/fd/\(number)", $0.baseAddress!, $0.count)
      }
    }
    return target.prefix(max(0, count)).elementsEqual("anon_inode:\(kind.rawValue)".utf8)
  }
}

/// An object of the kernel that somebody else can hold on to as well.
public protocol KernelObject: AnyObject, Sendable {
  /// Lends the descriptor for the time of a call that hands it to somebody else.
  func withDescriptor<Result>(_ body: (FileDescriptor) throws -> Result) rethrows -> Result
}
