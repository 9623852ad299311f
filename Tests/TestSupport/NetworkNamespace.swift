// A named network namespace and work done inside it. Knows nothing of what network it belongs to.
import Foundation
import Synchronization

/// A network namespace that `ip netns` knows by name.
public struct NetworkNamespace: Sendable, Hashable {
  public let name: String

  public var path: String { "/run/netns/" + name }

  /// A namespace that exists already.
  public init(named name: String) { self.name = name }

  /// Makes a namespace with nothing but a loopback interface, which is up.
  public static func create(named name: String) throws -> NetworkNamespace {
    try runSuccessfully(["ip", "netns", "add", name])
    try runSuccessfully(["ip", "-n", name, "link", "set", "lo", "up"])
    return NetworkNamespace(named: name)
  }

  /// Removes the name; interfaces go with it unless a process still runs inside.
  public func delete() throws {
    try runSuccessfully(["ip", "netns", "delete", name])
  }

  /// Does work on a thread of its own that lives in this namespace, and waits for it.
  ///
  /// Sockets opened there stay in the namespace, programs started there run in it.
  public func run<Value: Sendable>(_ body: () throws -> Value) throws -> Value {
    try withoutActuallyEscaping(body) { body in
      let work = Work(body)
      let done = DispatchSemaphore(value: 0)
      Thread.detachNewThread {
        work.perform(inNamespaceAt: path)
        done.signal()
      }
      done.wait()
      return try work.result!.get()
    }
  }

  /// The closure and its result, handed to the other thread and back; the semaphore orders the two.
  private final class Work<Value: Sendable>: @unchecked Sendable {
    private var body: (() throws -> Value)?
    private(set) var result: Result<Value, any Error>?

    init(_ body: @escaping () throws -> Value) { self.body = body }

    func perform(inNamespaceAt path: String) {
      result = Result {
        let descriptor = try check(open(path, O_RDONLY | O_CLOEXEC), "open \(path)")
        defer { close(descriptor) }
        try check(LinuxCalls.enterNetworkNamespace(descriptor), "enter \(path)")
        return try body!()
      }
      body = nil
    }
  }
}
