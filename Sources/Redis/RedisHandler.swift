// One connection's end of the pipeline: commands out, replies in, in the same order. Lives on the event
// loop.
import NIOCore
import NIOTLS

final class RedisHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Commands that were sent together, and what has been answered.
  private struct Request {
    let promise: EventLoopPromise<[RedisValue]>
    let count: Int
    var replies: [RedisValue] = []
    let timer: Scheduled<Void>
  }

  /// What the server is called in messages.
  private let name: String
  private let loop: any EventLoop
  private let isSecure: Bool
  private let replies = RedisReplies()
  private let ready: EventLoopPromise<Void>
  private var requests: CircularBuffer<Request> = []
  private var context: ChannelHandlerContext?
  private var failure: RedisError?

  /// - Parameter ready: kept when commands can be sent: with TLS when its handshake is over.
  init(to name: String, on loop: any EventLoop, isSecure: Bool, ready: EventLoopPromise<Void>) {
    self.name = name
    self.loop = loop
    self.isSecure = isSecure
    self.ready = ready
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { channelActive(context: context) }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    fail(.connectionLost(name))
    self.context = nil
  }

  func channelActive(context: ChannelHandlerContext) {
    if !isSecure { ready.succeed() }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent { ready.succeed() }
  }

  func send(
    _ bytes: ByteBuffer, count: Int, timeout: TimeAmount
  ) -> EventLoopFuture<[RedisValue]> {
    let promise = loop.makePromise(of: [RedisValue].self)
    guard let context, failure == nil else {
      promise.fail(failure ?? .connectionLost(name))
      return promise.futureResult
    }
    let timer = loop.assumeIsolated().scheduleTask(in: timeout) {
      self.fail(.timedOut(self.name))
    }
    requests.append(Request(promise: promise, count: count, timer: timer))
    context.writeAndFlush(Self.wrapOutboundOut(bytes), promise: nil)
    return promise.futureResult
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    Self.unwrapInboundIn(data).withUnsafeReadableBytes { replies.feed($0) }
    while failure == nil {
      do {
        guard let reply = try replies.next() else { return }
        // An error that nobody has asked for is why the connection ends: too many clients.
        guard !requests.isEmpty else {
          return fail(reply.error.map { .refused(name, $0) } ?? .notRedis(name))
        }
        requests[requests.startIndex].replies.append(reply)
        let request = requests[requests.startIndex]
        guard request.replies.count == request.count else { continue }
        requests.removeFirst()
        request.timer.cancel()
        request.promise.succeed(request.replies)
      } catch {
        return fail(.notRedis(name))
      }
    }
  }

  func channelInactive(context: ChannelHandlerContext) { fail(.connectionLost(name)) }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    fail(RedisError(error, of: name))
  }

  private func fail(_ error: RedisError) {
    guard failure == nil else { return }
    failure = error
    ready.fail(error)
    for request in requests {
      request.timer.cancel()
      request.promise.fail(error)
    }
    requests.removeAll()
    context?.close(promise: nil)
  }
}
