// Work on chosen CPUs at the same instants.
import Foundation
import Synchronization

private typealias SetAffinity = @convention(c) (pid_t, Int, UnsafeRawPointer) -> Int32

/// The CPUs that this process may use.
let usableCPUs: [Int] = {
  let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
  let line = status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }
  let list = line?.split(separator: ":").last?.trimmingCharacters(in: .whitespaces) ?? "0"
  return list.split(separator: ",").flatMap { range -> [Int] in
    let ends = range.split(separator: "-").compactMap { Int($0) }
    return ends.isEmpty ? [] : Array(ends[0]...ends[ends.count - 1])
  }
}()

/// What a closure shares with the thread that runs it; the waiting orders the two.
private final class Work<Value>: @unchecked Sendable {
  let body: () throws -> Value
  var result: Result<Value, any Error>?
  init(_ body: @escaping () throws -> Value) { self.body = body }
}

/// Does work on threads of their own, one for each closure, each on one CPU, and waits for all.
/// They expect nothing themselves: only the calling thread is known to belong to the test.
func onCPUs<Value>(_ cpus: [Int], _ bodies: [() throws -> Value]) throws -> [Value] {
  let done = DispatchSemaphore(value: 0)
  let works = bodies.map { Work($0) }
  for (cpu, work) in zip(cpus, works) {
    Thread.detachNewThread {
      work.result = Result {
        try pin(to: [cpu])
        return try work.body()
      }
      done.signal()
    }
  }
  for _ in works { done.wait() }
  return try works.map { try $0.result!.get() }
}

private func pin(to cpus: [Int]) throws {
  guard let address = dlsym(nil, "sched_setaffinity") else { throw POSIXError(.ENOSYS) }
  var mask = [UInt64](repeating: 0, count: 16)
  for cpu in cpus { mask[cpu / 64] |= 1 << UInt64(cpu % 64) }
  let set = unsafeBitCast(address, to: SetAffinity.self)
  guard set(0, mask.count * 8, mask) == 0 else {
    throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EINVAL)
  }
}

/// Where threads wait for each other before each step.
final class Meeting: Sendable {
  private let arrived = Atomic<Int>(0)
  private let count: Int
  init(of count: Int) { self.count = count }

  /// Waits until all threads have come to this step, counted from 0.
  ///
  /// The last that comes is ahead of the others, who have yet to notice: so it goes on a little
  /// later, at each step by another time.
  func wait(step: Int) {
    let order = arrived.add(1, ordering: .acquiringAndReleasing).newValue - count * step
    var tries = 0
    while arrived.load(ordering: .acquiring) < count * (step + 1) {
      tries += 1
      if tries % 1000 == 0 { sched_yield() }
    }
    guard order == count else { return }
    for _ in 0..<step % 64 { _ = arrived.load(ordering: .relaxed) }
  }
}
