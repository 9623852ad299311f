// Tables, modules and ring buffers through libbcc: what works, and what each error says.
import BCC
import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import DataPlane

@Suite("Tables", .serialized)
struct TableTests {
  static let source = """
    struct pair { __u32 a; __u32 b; };
    BPF_TABLE("hash", __u32, struct pair, pairs, 4);
    BPF_TABLE("array", __u32, __u64, numbers, 8);
    BPF_TABLE("percpu_array", __u32, __u64, counters, 1);
    BPF_RINGBUF_OUTPUT(records, 1);

    int record(struct xdp_md *ctx) {
      __u32 zero = 0;
      __u64 *counter = counters.lookup(&zero);
      void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
      __u64 value;
      if (data + 8 > end) return XDP_PASS;
      value = *(__u64 *)data;
      if (counter) *counter += 1;
      records.ringbuf_output(&value, sizeof(value), 0);
      return XDP_DROP;
    }
    int careless(struct xdp_md *ctx) { return *(int *)(long)ctx->data; }
    """

  struct Pair: BitwiseCopyable, Equatable { var a, b: UInt32 }

  static func pairs() throws -> TypedTable<UInt32, Pair> {
    try TypedTable(module(source).table("pairs"))
  }

  @Test("layout as declared")
  func layout() throws {
    let module = try module(Self.source)
    let pairs = try module.table("pairs")
    #expect((pairs.name, pairs.keySize, pairs.leafSize, pairs.capacity) == ("pairs", 4, 8, 4))
    #expect(throws: BCCError.noSuchTable("others")) { try module.table("others") }
  }

  @Test("a program tells the tables that it uses, and those that are bound to it")
  func tablesOfProgram() throws {
    let module = try module(Self.source)
    let program = try compiling { try module.loadXDPProgram("record") }
    func ids(_ names: String...) throws -> [UInt32] {
      try names.map { try module.table($0).id() }.sorted()
    }
    #expect(try program.info().tableIDs.sorted() == ids("counters", "records"))
    for _ in 0..<2 { try program.bind(module.table("pairs")) }
    #expect(try program.info().tableIDs.sorted() == ids("counters", "records", "pairs"))
  }

  @Test("reads and writes")
  func readsAndWrites() throws {
    let pairs = try Self.pairs()
    #expect(pairs.lookup(1) == nil)
    try pairs.update(1, Pair(a: 2, b: 3))
    #expect(pairs.lookup(1) == Pair(a: 2, b: 3))
    try pairs.update(1, Pair(a: 4, b: 5))
    #expect(pairs.lookup(1) == Pair(a: 4, b: 5))
    try pairs.remove(1)
    try pairs.remove(1)
    #expect(pairs.lookup(1) == nil)
    try pairs.update(keys: [1, 2, 3], leaves: (1...3).map { Pair(a: $0, b: 0) })
    #expect(pairs.lookup(3) == Pair(a: 3, b: 0))
    try pairs.update(keys: [], leaves: [])
  }

  @Test("another layout is refused")
  func otherLayout() throws {
    let module = try module(Self.source)
    let pairs = try module.table("pairs")
    let key = BCCError.layout(table: "pairs", expected: 8, found: 4)
    let leaf = BCCError.layout(table: "pairs", expected: 4, found: 8)
    #expect(throws: key) { try TypedTable<UInt64, Pair>(pairs) }
    #expect(throws: leaf) { try TypedTable<UInt32, UInt32>(pairs) }
    let counters = try module.table("counters")
    #expect(throws: BCCError.self) { try TypedTable<UInt32, UInt64>(counters) }
    #expect("\(key)" == "the BPF table pairs has entries of 4 bytes, not 8")
  }

  @Test("a full table")
  func full() throws {
    let pairs = try Self.pairs()
    for key in 0..<4 as Range<UInt32> { try pairs.update(key, Pair(a: 0, b: 0)) }
    let error = BCCError.system(operation: "update the BPF table pairs", errno: .argListTooLong)
    #expect(throws: error) { try pairs.update(4, Pair(a: 0, b: 0)) }
    #expect(throws: error) {
      try pairs.update(keys: [4], leaves: [Pair(a: 0, b: 0)])
    }
    #expect("\(error)" == "update the BPF table pairs: Argument list too long")
  }

  @Test("a module lives on in its tables and programs")
  func lifetime() throws {
    let (numbers, program) = try {
      let module = try module(Self.source)
      return (
        try module.table("numbers"), try compiling { try module.loadXDPProgram("record") }
      )
    }()
    let typed = try TypedTable<UInt32, UInt64>(numbers)
    try typed.update(7, 42)
    #expect(typed.lookup(7) == 42)
    #expect(try program.info().name == "record")
    #expect(throws: BCCError.system(operation: "test-run the BPF program", errno: .invalidArgument))
    {
      try program.testRun(frame: [UInt8](repeating: 0, count: 13))
    }
  }

  @Test("a kept table takes the place of a new one")
  func replaced() throws {
    let former = try module(Self.source).table("numbers")
    try TypedTable<UInt32, UInt64>(former).update(0, 7)
    let module = try module(Self.source)
    try module.replaceTable("numbers", with: former)
    #expect(try TypedTable<UInt32, UInt64>(module.table("numbers")).lookup(0) == 7)
    #expect(throws: BCCError.noSuchTable("others")) {
      try module.replaceTable("others", with: former)
    }
    let adopted = try former.withDescriptor { try Table(adopting: $0.duplicate()) }
    #expect(adopted.type == former.type && adopted.flags == former.flags)
    #expect(adopted.keySize == former.keySize && adopted.leafSize == former.leafSize)
    #expect(adopted.name == "numbers" && adopted.capacity == 8)
    #expect(try TypedTable<UInt32, UInt64>(adopted).lookup(0) == 7)
    #expect(throws: BCCError.self) {
      try Table(adopting: FileDescriptor.open("/dev/null", .readOnly))
    }
  }

  @Test("a ring buffer hands over what is there, at most so many")
  func ringBuffer() throws {
    let module = try module(Self.source)
    let program = try compiling { try module.loadXDPProgram("record") }
    let buffer = try RingBuffer(module.table("records"))
    var values: [UInt64] = []
    func consume(_ limit: Int) -> Int {
      buffer.consume(limit: limit) { values.append($0.loadUnaligned(as: UInt64.self)) }
    }
    #expect(consume(.max) == 0)
    for number in 0..<10 as Range<UInt64> {
      let frame = withUnsafeBytes(of: number) { Array($0) } + [0, 0, 0, 0, 0, 0]
      #expect(try program.testRun(frame: frame).verdict == 1)
    }
    #expect(consume(3) == 3)
    #expect(values == [0, 1, 2])
    #expect(consume(1) == 1)
    #expect(consume(6) == 6)
    #expect(values == Array(0..<10))
    #expect(consume(.max) == 0)
    #expect(throws: BCCError.self) { try RingBuffer(module.table("numbers")) }
  }

  @Test("what does not compile is told by the first error")
  func compilation() throws {
    let expected = "the BPF source does not compile: /virtual/main.c:1:29: error: "
    #expect {
      try module("int f(struct xdp_md *c) {return nothing; }\nint g() { return more; }\n")
    } throws: { "\($0)".hasPrefix(expected.replacing(":29:", with: ":33:")) }
  }

  @Test("what the verifier refuses is told by its log's end")
  func verification() throws {
    let module = try module(Self.source)
    #expect(throws: BCCError.noSuchFunction("nothing")) { try module.loadXDPProgram("nothing") }
    #expect {
      try compiling { try module.loadXDPProgram("careless") }
    } throws: { error in
      guard case BCCError.verification(let log, .permissionDenied) = error else { return false }
      let text = "\(error)"
      return log.contains("invalid access to packet") && text.contains("invalid access to packet")
        && text.hasPrefix("the kernel's verifier refuses the program (Permission denied): ")
        && !text.contains("\n")
    }
  }
}
