// One connection of a client: a request out, a response in. Lives on the clients' event loop.
import NIOCore
import NIOHTTP1

final class ClientConnection: ChannelInboundHandler {
  typealias InboundIn = HTTPClientResponsePart
  typealias OutboundOut = HTTPClientRequestPart

  enum Failure: Error {
    case timeIsOver
    case closed
  }

  /// The server, in messages.
  private let name: String
  private let loop: any EventLoop
  private var context: ChannelHandlerContext?
  private var head: EventLoopPromise<HTTPClientResponse>?
  private var timer: Scheduled<Void>?
  /// Came before they were asked for: what one read has held.
  private var pieces: CircularBuffer<[UInt8]> = []
  private var asked: EventLoopPromise<[UInt8]?>?
  private var end: Result<Void, any Error>?

  init(to name: String, on loop: any EventLoop) {
    self.name = name
    self.loop = loop
  }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func send(
    _ request: HTTPRequestHead, _ body: [UInt8], _ timeout: TimeAmount?
  ) -> EventLoopFuture<HTTPClientResponse> {
    let promise = loop.makePromise(of: HTTPClientResponse.self)
    guard let context, context.channel.isActive else {
      promise.fail(Failure.closed)
      return promise.futureResult
    }
    head = promise
    timer = timeout.map {
      loop.assumeIsolated().scheduleTask(in: $0) { self.fail(Failure.timeIsOver) }
    }
    context.write(Self.wrapOutboundOut(.head(request)), promise: nil)
    if !body.isEmpty {
      context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
    }
    // A server that refuses a body may answer without reading it all: a failure to write is told by
    // what is read.
    context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
    context.read()
    return promise.futureResult
  }

  /// The next piece of the body; `nil` after the last.
  func next() -> EventLoopFuture<[UInt8]?> {
    let promise = loop.makePromise(of: [UInt8]?.self)
    if let piece = pieces.popFirst() {
      promise.succeed(piece)
    } else if let end {
      promise.completeWith(end.map { nil })
    } else {
      asked = promise
      context?.read()
    }
    return promise.futureResult
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch Self.unwrapInboundIn(data) {
    case .head(let response):
      guard let promise = head else { return }
      head = nil
      timer?.cancel()
      promise.succeed(
        HTTPClientResponse(
          status: Int(response.status.code),
          headers: response.headers.map { (name: $0.name, value: $0.value) },
          body: .init(source: ClientBody(self, context.channel), name: name)))
    case .body(let bytes):
      let piece = Array(bytes.readableBytesView)
      if let promise = asked {
        asked = nil
        promise.succeed(piece)
      } else {
        pieces.append(piece)
      }
    case .end:
      finish(.success(()))
      context.close(promise: nil)
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    if end == nil, head != nil || asked != nil { context.read() }
  }

  func channelInactive(context: ChannelHandlerContext) { fail(Failure.closed) }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { fail(error) }

  private func fail(_ error: any Error) {
    finish(.failure(error))
    context?.close(promise: nil)
  }

  private func finish(_ result: Result<Void, any Error>) {
    guard end == nil else { return }
    end = result
    timer?.cancel()
    if case .failure(let error) = result { head?.fail(error) }
    head = nil
    asked?.completeWith(result.map { nil })
    asked = nil
  }
}

/// Holds the connection of a response as long as its body may be asked for.
final class ClientBody: Sendable {
  private let connection: NIOLoopBound<ClientConnection>
  private let channel: any Channel

  init(_ connection: ClientConnection, _ channel: any Channel) {
    self.connection = NIOLoopBound(connection, eventLoop: channel.eventLoop)
    self.channel = channel
  }

  deinit { channel.close(promise: nil) }

  func next() async throws -> [UInt8]? {
    try await withTaskCancellationHandler {
      try await channel.eventLoop.flatSubmit { [connection] in connection.value.next() }.get()
    } onCancel: {
      channel.close(promise: nil)
    }
  }
}
