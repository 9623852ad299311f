// Reads what a program puts into a BPF ring buffer, through libbcc.
import CBCC
import Glibc
import SystemPackage

/// The reading end of a ring buffer table.
public final class RingBuffer {
  private let handle: OpaquePointer
  private let receiver: Receiver
  private let table: Table

  /// libbcc calls back with a context pointer: this is what it points to.
  private final class Receiver {
    var receive: (UnsafeRawBufferPointer) -> Void = { _ in }
    var budget = 0
  }

  /// Opens a table of type ring buffer.
  public init(_ table: Table) throws(BCCError) {
    self.table = table
    receiver = Receiver()
    let handle = bpf_new_ringbuf(
      table.descriptor.number,
      { context, data, size in
        guard let context, let data else { return 0 }
        let receiver = Unmanaged<Receiver>.fromOpaque(context).takeUnretainedValue()
        receiver.receive(UnsafeRawBufferPointer(start: data, count: size))
        receiver.budget -= 1
        return receiver.budget > 0 ? 0 : -1
      }, Unmanaged.passUnretained(receiver).toOpaque())
    guard let handle else {
      throw .system(operation: "open the ring buffer \(table.name)", errno: .last)
    }
    self.handle = OpaquePointer(handle)
  }

  deinit {
    bpf_free_ringbuf(handle)
  }

  /// Lent for poll(2): ready to be read while there are records. As long as all are not read, what
  /// comes in wakes nobody.
  public var descriptorToWaitFor: FileDescriptor { table.descriptor.file }

  /// Hands over the records that are there now and frees their room; never waits, and comes back
  /// even where records come in faster than `body` takes them.
  ///
  /// - Parameter limit: the most records to hand over.
  /// - Returns: how many there were; `limit` means that there may be more.
  @discardableResult
  public func consume(limit: Int, _ body: (UnsafeRawBufferPointer) -> Void) -> Int {
    withoutActuallyEscaping(body) { body in
      receiver.receive = body
      receiver.budget = limit
      bpf_consume_ringbuf(handle)
      receiver.receive = { _ in }
      return limit - receiver.budget
    }
  }
}
