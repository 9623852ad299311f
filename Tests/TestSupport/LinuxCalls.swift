// Linux calls that the C library has but that Swift does not import: GNU extensions and variadic ones.
// Knows nothing of what they are used for.
import Foundation

/// A C library call that failed.
public struct SystemError: Error, CustomStringConvertible {
  public let what: String
  public let code: Int32

  public init(_ what: String, code: Int32 = errno) {
    self.what = what
    self.code = code
  }

  public var description: String { "\(what): \(String(cString: strerror(code)))" }
}

/// The result of a C call, or what it was that failed.
@discardableResult
func check(_ result: Int32, _ what: @autoclosure () -> String) throws -> Int32 {
  guard result >= 0 else {
    let code = errno
    throw SystemError(what(), code: code)
  }
  return result
}

enum LinuxCalls {
  private typealias SetNS = @convention(c) (Int32, Int32) -> Int32
  private typealias Pipe2 = @convention(c) (UnsafeMutablePointer<Int32>, Int32) -> Int32
  private typealias SystemCall = @convention(c) (Int, Int, UnsafeMutableRawPointer, Int) -> Int

  private static let setNS = symbol("setns", as: SetNS.self)
  private static let pipe2 = symbol("pipe2", as: Pipe2.self)
  private static let systemCall = symbol("syscall", as: SystemCall.self)

  private static func symbol<Function>(_ name: String, as type: Function.Type) -> Function {
    guard let address = dlsym(nil, name) else { fatalError("the C library has no \(name)") }
    return unsafeBitCast(address, to: type)
  }

  /// Moves the calling thread into a network namespace (setns(2) with `CLONE_NEWNET`).
  static func enterNetworkNamespace(_ descriptor: Int32) -> Int32 {
    setNS(descriptor, 0x4000_0000)
  }

  /// A pipe that no program started meanwhile by another thread inherits (pipe2(2)).
  static func closeOnExecPipe() throws -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    try check(pipe2(&ends, O_CLOEXEC), "pipe2")
    return (ends[0], ends[1])
  }

  /// bpf(2) with an attribute union given as bytes.
  static func bpf(_ command: Int, _ attribute: inout [UInt8]) -> Int32 {
    #if arch(x86_64)
      let number = 321
    #elseif arch(arm64)
      let number = 280
    #else
      #error("the number of bpf(2) on this architecture is missing")
    #endif
    return attribute.withUnsafeMutableBytes {
      Int32(systemCall(number, command, $0.baseAddress!, $0.count))
    }
  }
}
