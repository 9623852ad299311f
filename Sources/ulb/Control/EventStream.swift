// A listener's events as the body of an answer: server-sent events (WHATWG HTML, section 9.2).
import Control
import JSONCoding
import LoadBalancing

/// The text of what a listener hears, in pieces as they are asked for.
struct EventStream: AsyncSequence, Sendable {
  /// Ends the listening when nobody holds the stream any more, asked for or not.
  fileprivate final class Subscription: Sendable {
    let listener: EventListener

    init(_ listener: EventListener) { self.listener = listener }
    deinit { listener.end() }
  }

  private let subscription: Subscription

  init(_ listener: EventListener) { subscription = Subscription(listener) }

  struct Iterator: AsyncIteratorProtocol {
    fileprivate let subscription: Subscription
    private var hasBegun = false
    /// What was heard and not written yet, the next last.
    private var left: [Happening] = []

    /// The most bytes of a piece, but for its last event.
    private static let enough = 16 << 10

    fileprivate init(_ subscription: Subscription) { self.subscription = subscription }

    mutating func next() async -> [UInt8]? {
      guard hasBegun else {
        hasBegun = true
        return Array("event: \(StreamEvent.ready.rawValue)\ndata: {}\n\n".utf8)
      }
      var text: [UInt8] = []
      if left.isEmpty {
        guard let batch = await subscription.listener.next() else { return nil }
        left = batch.happenings.reversed()
        if batch.lost > 0 { Self.append(.lost, LossReport(count: batch.lost), to: &text) }
        if left.isEmpty, text.isEmpty { return Array(": nothing happened\n\n".utf8) }
      }
      while text.count < Self.enough, let happening = left.popLast() {
        switch happening {
        case .packet(let record, let time):
          Self.append(.packet, PacketReport(record, at: time), to: &text)
        case .log(let report): Self.append(.log, report, to: &text)
        }
      }
      return text
    }

    private static func append(
      _ event: StreamEvent, _ data: some Encodable, to text: inout [UInt8]
    ) {
      guard let json = try? JSON.encode(data) else { return }
      text += "event: \(event.rawValue)\ndata: ".utf8
      text += json
      text += "\n\n".utf8
    }
  }

  func makeAsyncIterator() -> Iterator { Iterator(subscription) }
}

extension PacketReport {
  init(_ record: EventRecord, at time: Timestamp) {
    self.init(
      time: time.description, level: record.event.level.name, event: record.event.name,
      message: record.event.message, virtualServer: record.virtualServer, text: record.line)
    if record.event.kind != .withoutAddresses {
      source = record.source.description
      sourcePort = record.sourcePort == 0 ? nil : record.sourcePort
      sourceMAC = EventRecord.text(mac: record.sourceMAC)
      destination = record.destination.description
      destinationPort = record.destinationPort == 0 ? nil : record.destinationPort
      destinationMAC = EventRecord.text(mac: record.destinationMAC)
    }
    if record.event.kind == .translated {
      newSource = record.newSource.description
      newDestination = record.newDestination.description
    }
  }
}
