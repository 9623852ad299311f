// Where a thread runs: what an LRU table keeps for each CPU can only be reached from that CPU.
import CBCC

/// Runs `body` once on each CPU that this thread may run on.
public func onEachCPU<Failure: Error>(_ body: () throws(Failure) -> Void) throws(Failure) {
  var allowed = [UInt64](repeating: 0, count: 1024 / 64)
  let size = allowed.count * 8
  guard sched_getaffinity(0, size, &allowed) == 0 else {
    return try body()
  }
  defer { sched_setaffinity(0, size, allowed) }
  for cpu in 0..<1024 where allowed[cpu / 64] & 1 << UInt64(cpu % 64) != 0 {
    var one = [UInt64](repeating: 0, count: allowed.count)
    one[cpu / 64] = 1 << UInt64(cpu % 64)
    sched_setaffinity(0, size, one)
    try body()
  }
}
