// Tables in memory: what programs write is there, what is written there programs see.
import BCC
import CLinux
import Foundation
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite("Mapped tables", .serialized)
struct MappedTableTests {
  /// An array that bpf(2) has made, of entries of eight bytes.
  private func array(leafSize: Int = 8, flags: UInt32 = Table.mappable) throws -> Table {
    let map = try BPFMap(.array, keySize: 4, leafSize: leafSize, capacity: 600, flags: flags)
    return try Table(adopting: FileDescriptor(rawValue: map.duplicate()))
  }

  @Test("one memory, whichever way it is reached")
  func shared() throws {
    let table = try array()
    let entries = try TypedTable<UInt32, UInt64>(table)
    let mapped = try MappedTable<UInt64>(table)
    let again = try MappedTable<UInt64>(table)
    #expect(mapped.count == 600)
    for index in [0, 511, 512, 599] {
      try entries.update(UInt32(index), UInt64(index) + 1)
      #expect(load_64(mapped[index]) == UInt64(index) + 1)
      store_64(mapped[index], UInt64(index) + 2)
      #expect(entries.lookup(UInt32(index)) == UInt64(index) + 2)
      #expect(load_64(again[index]) == UInt64(index) + 2)
    }
    #expect(!swap_64(mapped[0], 1, 9) && swap_64(mapped[0], 2, 9))
    #expect(entries.lookup(0) == 9)
  }

  @Test("an array lives on in its memory")
  func lifetime() throws {
    let before = BPFObjects.held(by: getpid())
    do {
      let mapped = try MappedTable<UInt64>(array())
      store_64(mapped[599], 7)
      #expect(BPFObjects.held(by: getpid()) == before)
      #expect(load_64(mapped[599]) == 7)
    }
  }

  @Test("what is no array that can be mapped, or has other entries, is refused")
  func refused() throws {
    let foreign = BCCError.foreign(expected: "array that can be mapped")
    #expect(throws: foreign) { try MappedTable<UInt64>(array(flags: 0)) }
    let hash = try BPFMap(.hash, keySize: 4, leafSize: 8, capacity: 600)
    #expect(throws: foreign) {
      try MappedTable<UInt64>(Table(adopting: FileDescriptor(rawValue: hash.duplicate())))
    }
    #expect(throws: BCCError.layout(table: "", expected: 4, found: 8)) {
      try MappedTable<UInt32>(array())
    }
    // The kernel rounds what an entry takes up to eight bytes.
    #expect(throws: BCCError.layout(table: "", expected: 4, found: 8)) {
      try MappedTable<UInt32>(array(leafSize: 4))
    }
    let frozen = try array()
    try frozen.withDescriptor { try BPFMap.freeze($0.rawValue) }
    #expect(throws: BCCError.system(operation: "map the BPF table ", errno: .notPermitted)) {
      try MappedTable<UInt64>(frozen)
    }
  }

  /// Looks at one word, and a millisecond later writes what it has seen into the other.
  private static let slowSource = """
    BPF_F_TABLE("array", __u32, __u64, words, 2, BPF_F_MMAPABLE);
    int slow(struct xdp_md *ctx) {
      __u32 from = 0, to = 1;
      __u64 *read = words.lookup(&from), *written = words.lookup(&to), seen;
      if (!read || !written) return XDP_DROP;
      seen = *(volatile __u64 *)read;
      for (int i = 0; i < 20000; i++) bpf_ktime_get_ns();
      *(volatile __u64 *)written = seen;
      return XDP_PASS;
    }
    """

  @Test("when a grace period is over, no program is under way that began before it")
  func gracePeriod() throws {
    let module = try module(Self.slowSource)
    let words = try MappedTable<UInt64>(module.table("words"))
    let program = try compiling { try module.loadXDPProgram("slow") }
    let frame = [UInt8](repeating: 0, count: 64)
    let isOver = Atomic(false)
    try withThread {
      while !isOver.load(ordering: .relaxed) {
        guard (try? program.testRun(frame: frame)) != nil else { return }
      }
    } during: {
      defer { isOver.store(true, ordering: .relaxed) }
      for round in 1...20 as ClosedRange<UInt64> {
        store_64(words[0], round)
        GracePeriod.wait()
        store_64(words[1], round)
        // Whoever writes now has begun since.
        for _ in 0..<200 {
          try #require(load_64(words[1]) == round)
          usleep(20)
        }
      }
    }
  }

  /// Does work while a thread does other work.
  private func withThread(
    _ other: @escaping @Sendable () -> Void, during body: () throws -> Void
  ) throws {
    let done = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      other()
      done.signal()
    }
    defer { done.wait() }
    try body()
  }
}
