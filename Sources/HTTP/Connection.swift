// One connection of a server: requests come in one after another, answers go out, and each step has
// its time. Lives on the server's event loop; the task that answers comes back to it for each piece.
import Glibc
import NIOCore
import NIOHTTP1

final class Connection: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  /// The most that is handed to the channel before the client has taken it.
  private static let pieceSize = 64 << 10
  /// Parts of later requests that are kept while one is answered. They come 4 KiB at a time, but all
  /// that the kernel holds when the client has half closed.
  private static let mostWaiting = 512
  /// What is read of a socket at once; and of a connection's last request, behind which nothing is that would
  /// be kept.
  static let readSize = 4096
  private static let lastReadSize = 64 << 10
  /// For reading the last answer.
  private static let leavingTime: Duration = .seconds(2)

  /// What it is to the server's limits.
  enum Place {
    case serving
    case turnedAway
    case leaving
    case gone
  }

  /// ``Connections`` has it.
  var place: Place

  private enum State {
    /// For a request's first byte.
    case waiting
    case receivingHead
    case receivingBody(HTTPRequestHead, [UInt8])
    case answering
    /// The last answer is sent or being sent; what still comes is read and dropped.
    case leaving
  }

  private enum Arrival {
    case part(HTTPServerRequestPart)
    /// Nothing can be understood after it.
    case fault(HTTPResponse)
  }

  private let connections: Connections
  private var context: ChannelHandlerContext?
  private var state = State.waiting
  private var arrivals: [Arrival] = []
  private var timer: Scheduled<Void>?
  private var task: Task<Void, Never>?

  /// What of the body that comes in counts against the server's limit.
  private var heldBytes = 0

  // Of the request that is being answered.
  private var isHTTP10 = false
  private var isHead = false
  private var keepsAlive = true
  private(set) var isStreaming = false

  private let hasDecoder: Bool
  private var isFirst = true
  private var isInputClosed = false
  private var isLastAnswerSent = false
  private var isEnding = false

  init(_ connections: Connections, _ place: Place) {
    self.connections = connections
    self.place = place
    hasDecoder = place == .serving
  }

  // MARK: - What the channel tells

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func channelActive(context: ChannelHandlerContext) {
    if place == .turnedAway {
      refuse(
        .problem(503, "all connections that the server allows are in use; try again in a moment"))
    } else {
      startTimer(connections.limits.headTime)
      context.read()
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    task?.cancel()
    arrivals = []
    giveBackBytes()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    // Who is turned away has no decoder, and nobody who listens.
    guard hasDecoder else { return }
    arrive(.part(Self.unwrapInboundIn(data)))
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    switch state {
    case .waiting:
      // Bytes have come, and no request yet.
      guard !isInputClosed else { return }
      state = .receivingHead
      if !isFirst { startTimer(connections.limits.headTime) }
      context.read()
    case .receivingHead, .receivingBody, .leaving: context.read()
    case .answering: break
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case .some(.inputClosed) = event as? ChannelEvent else { return }
    isInputClosed = true
    switch state {
    case .waiting, .receivingHead, .receivingBody: abort()
    case .answering:
      // Over TCP a client that has gone looks as one that only has nothing more to ask; who reads a
      // stream is believed to be gone, as else an idle one would never end. A Unix socket tells.
      if isStreaming, connections.isTCP { abort() }
    case .leaving: if isLastAnswerSent { abort() }
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    switch error {
    case HTTPParserError.headerOverflow:
      arrive(.fault(.problem(431, "the request's target and header are longer than allowed")))
    case HTTPParserError.invalidVersion:
      arrive(.fault(.problem(505, "the server speaks HTTP/1.0 and HTTP/1.1")))
    case is HTTPParserError:
      arrive(.fault(.problem(400, "this is no request of HTTP/1.1 (RFC 9112)")))
    case is ByteToMessageDecoderError: break  // what follows on one of the above
    default: abort()
    }
  }

  // MARK: - Requests

  private func arrive(_ arrival: Arrival) {
    switch state {
    case .leaving: break
    case .answering:
      if arrivals.count < Self.mostWaiting {
        arrivals.append(arrival)
      } else {
        keepsAlive = false
      }
    case .waiting, .receivingHead, .receivingBody: take(arrival)
    }
  }

  private func take(_ arrival: Arrival) {
    switch arrival {
    case .fault(let response): refuse(response)
    case .part(.head(let head)): begin(head)
    case .part(.body(let bytes)):
      guard case .receivingBody(let head, var body) = state else { return }
      guard body.count + bytes.readableBytes <= connections.limits.bodyBytes else {
        return refuseLongBody()
      }
      guard connections.takeBodyBytes(bytes.readableBytes) else {
        return refuse(
          .problem(503, "the server holds as many bytes of bodies as it allows; try again later"))
      }
      heldBytes += bytes.readableBytes
      state = .waiting  // so that the bytes have one owner
      body.append(contentsOf: bytes.readableBytesView)
      state = .receivingBody(head, body)
    case .part(.end):
      guard case .receivingBody(let head, let body) = state else { return }
      answer(head, body)
    }
  }

  private func begin(_ head: HTTPRequestHead) {
    isFirst = false
    isHTTP10 = head.version.minor == 0
    isHead = head.method == .HEAD
    // The decoder understands nothing after a request that could end the protocol.
    keepsAlive =
      head.isKeepAlive && head.method != .CONNECT && !head.headers.contains(name: "upgrade")
    let length = head.headers.first(name: "content-length").map { Int($0) ?? .max }
    if let length, length > connections.limits.bodyBytes { return refuseLongBody() }
    // RFC 9112, section 3.2.
    if !isHTTP10, head.headers["host"].count != 1 {
      return refuse(.problem(400, "a request of HTTP/1.1 needs one Host field"))
    }
    state = .receivingBody(head, [])
    if !keepsAlive, length ?? 0 > Self.readSize { readMoreAtOnce() }
    startTimer(connections.limits.bodyTime)
    // RFC 9110, section 10.1.1.
    if head.headers.first(name: "expect")?.lowercased() == "100-continue",
      !isHTTP10, !isInputClosed
    {
      write(.head(HTTPResponseHead(version: .http1_1, status: .continue)))
      context?.flush()
    }
  }

  private func readMoreAtOnce() {
    try? context?.channel.syncOptions?.setOption(
      .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.lastReadSize))
  }

  private func answer(_ head: HTTPRequestHead, _ body: [UInt8]) {
    timer?.cancel()
    state = .answering
    let request = HTTPRequest(
      method: head.method.rawValue, target: head.uri,
      headers: head.headers.map { (name: $0.name, value: $0.value) }, body: body)
    guard let request else {
      giveBackBytes()
      let response = HTTPResponse.problem(
        400, "the request's target is no path, or its percent-encoding is broken")
      return sendWhole(response)
    }
    guard let loop = context?.eventLoop else { return }
    guard connections.beginTask() else {
      giveBackBytes()
      return sendWhole(
        .problem(503, "as many requests as the server allows are being answered; try again later"))
    }
    let answering = Answering(
      request: request, bodyBytes: heldBytes, handler: connections.handler, loop: loop,
      connection: NIOLoopBound(self, eventLoop: loop))
    heldBytes = 0
    task = Task { @Sendable in await answering.run() }
  }

  /// - Parameter bodyBytes: Of the request's body.
  fileprivate func endTask(_ bodyBytes: Int) {
    connections.giveBackBodyBytes(bodyBytes)
    connections.endTask()
  }

  private func giveBackBytes() {
    connections.giveBackBodyBytes(heldBytes)
    heldBytes = 0
  }

  // MARK: - Answers

  /// Sends a response whose body is there already.
  fileprivate func sendWhole(_ response: HTTPResponse) {
    guard case .bytes(let body) = response.body, let context, context.channel.isActive else {
      return
    }
    var fields = [("Content-Length", String(body.count))]
    let hasBody = HTTPResponseStatus(statusCode: response.status).mayHaveBody
    if !hasBody { fields = [] }
    writeHead(response, fields)
    if isHead || !hasBody || body.isEmpty {
      finish()
    } else {
      send(body).assumeIsolated().whenSuccess { self.finish() }
    }
  }

  /// What becomes of a stream.
  fileprivate enum Stream {
    /// Its header is sent, and its pieces are wanted.
    case begun
    /// None of its pieces are wanted; this is to be sent in its place.
    case refused(HTTPResponse)
    /// Nor are they, where the header is all there is to send.
    case bare
    case gone
  }

  fileprivate func beginStream(_ response: HTTPResponse) -> Stream {
    guard let context, context.channel.isActive else { return .gone }
    if isHead || !HTTPResponseStatus(statusCode: response.status).mayHaveBody { return .bare }
    if isInputClosed, connections.isTCP {
      abort()
      return .gone
    }
    guard connections.beginStream() else {
      return .refused(
        .problem(503, "all streams that the server allows are in use; try again in a moment"))
    }
    isStreaming = true
    let isChunked = !isHTTP10
    if !isChunked { keepsAlive = false }
    writeHead(response, isChunked ? [("Transfer-Encoding", "chunked")] : [])
    context.flush()
    return .begun
  }

  /// Sends the header of a stream alone.
  fileprivate func sendHead(_ response: HTTPResponse) {
    guard let context, context.channel.isActive else { return }
    if isHTTP10 { keepsAlive = false }
    writeHead(response, [])
    finish()
  }

  fileprivate func endStream(isWhole: Bool) {
    connections.endStream()
    isStreaming = false
    if isWhole { finish() } else { abort() }
  }

  /// Sends a part of a body, piece by piece; done when the kernel has it.
  fileprivate func send(_ bytes: [UInt8]) -> EventLoopFuture<Void> {
    guard let context, context.channel.isActive else { return failed() }
    let promise = context.eventLoop.makePromise(of: Void.self)
    send(bytes, from: 0, promise)
    return promise.futureResult
  }

  private func send(_ bytes: [UInt8], from start: Int, _ promise: EventLoopPromise<Void>) {
    let end = min(start + Self.pieceSize, bytes.count)
    guard let context, start < end else { return promise.succeed() }
    startTimer(connections.limits.writeTime)
    let piece = HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes[start..<end])))
    context.writeAndFlush(Self.wrapOutboundOut(piece)).assumeIsolated().whenComplete { result in
      self.timer?.cancel()
      switch result {
      case .success: self.send(bytes, from: end, promise)
      case .failure(let error):
        promise.fail(error)
        self.abort()
      }
    }
  }

  private func failed() -> EventLoopFuture<Void> {
    // The loop is there as long as a task is; a context may be gone.
    connections.failedFuture(ChannelError.ioOnClosedChannel)
  }

  /// The answer is complete: on to the next request.
  private func finish() {
    guard let context, context.channel.isActive else { return }
    startTimer(connections.limits.writeTime)
    context.writeAndFlush(Self.wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { result in
      guard case .success = result, self.context != nil else { return self.abort() }
      self.next()
    }
  }

  private func next() {
    timer?.cancel()
    task = nil
    isHTTP10 = false
    isHead = false
    guard keepsAlive, !isEnding else { return leave() }
    state = .waiting
    startTimer(connections.limits.idleTime)
    while !arrivals.isEmpty {
      if case .answering = state { return }
      if case .leaving = state { return }
      take(arrivals.removeFirst())
    }
    switch state {
    case .answering, .leaving: return
    case .waiting, .receivingHead, .receivingBody: break
    }
    if isInputClosed { abort() } else { context?.read() }
  }

  private func writeHead(_ response: HTTPResponse, _ fields: [(String, String)]) {
    // A line break in a field would let who has chosen it write the rest of the response.
    guard response.headers.allSatisfy({ Self.isField($0, $1) }) else { return abort() }
    if isEnding || isInputClosed && arrivals.isEmpty { keepsAlive = false }
    var headers = HTTPHeaders(response.headers + fields)
    headers.add(name: "Date", value: httpDate())
    if !keepsAlive {
      headers.add(name: "Connection", value: "close")
    } else if isHTTP10 {
      headers.add(name: "Connection", value: "keep-alive")
    }
    let head = HTTPResponseHead(
      version: isHTTP10 ? .http1_0 : .http1_1,
      status: HTTPResponseStatus(statusCode: response.status), headers: headers)
    write(.head(head))
  }

  /// RFC 9110, sections 5.1 and 5.5.
  private static func isField(_ name: String, _ value: String) -> Bool {
    let marks = "!#$%&'*+-.^_`|~".utf8
    return !name.isEmpty
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "a")...UInt8(ascii: "z"):
          true
        default: marks.contains(byte)
        }
      } && value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }
  }

  private func write(_ part: HTTPServerResponsePart) {
    context?.write(Self.wrapOutboundOut(part), promise: nil)
  }

  // MARK: - The end

  /// Answers what cannot be served, and ends the connection.
  private func refuse(_ response: HTTPResponse) {
    guard case .bytes(let body) = response.body else { return }
    state = .answering
    arrivals = []
    giveBackBytes()
    keepsAlive = false
    writeHead(response, [("Content-Length", String(body.count))])
    if isHead {
      finish()
    } else {
      send(body).assumeIsolated().whenSuccess { self.finish() }
    }
  }

  private func refuseLongBody() { refuse(.problem(413, connections.limits.longBodyDetail)) }

  /// Lets the client read the last answer: a socket that is closed while something of the client's
  /// is unread may take what it has not read with it (RFC 9112, section 9.6).
  private func leave() {
    guard let context else { return }
    state = .leaving
    arrivals = []
    guard !isInputClosed, connections.mayLinger(self) else { return abort() }
    isLastAnswerSent = true
    startTimer(Self.leavingTime)
    context.close(mode: .output, promise: nil)
    context.read()
  }

  /// The server is being stopped: nothing new, and no waiting.
  func endSoon() {
    isEnding = true
    switch state {
    case .answering: keepsAlive = false
    default: abort()
    }
  }

  /// Closes at once.
  func abort() {
    timer?.cancel()
    task?.cancel()
    context?.close(promise: nil)
  }

  private func startTimer(_ time: Duration) {
    timer?.cancel()
    timer = context?.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(time)) {
      self.timeIsOver()
    }
  }

  private func timeIsOver() {
    switch state {
    case .receivingHead, .receivingBody:
      refuse(.problem(408, "the request did not come in time"))
    case .waiting, .leaving: abort()
    case .answering: reset()
    }
  }

  /// Closes at once, and has the kernel forget what the client has not taken: it would keep it for
  /// minutes.
  private func reset() {
    if connections.isTCP, let options = context?.channel as? any SocketOptionProvider {
      options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).assumeIsolated().whenComplete { _ in
        self.abort()
      }
    } else {
      abort()
    }
  }
}

/// The task that answers one request.
private struct Answering: Sendable {
  let request: HTTPRequest
  /// Given back at the end.
  let bodyBytes: Int
  let handler: HTTPServer.Handler
  let loop: any EventLoop
  let connection: NIOLoopBound<Connection>

  func run() async {
    let response = await handler(request)
    switch response.body {
    case .bytes:
      // In this order: with its answer the next request may begin.
      loop.execute {
        connection.value.endTask(bodyBytes)
        connection.value.sendWhole(response)
      }
    case .stream(let pieces): await send(pieces, of: response)
    case .throwingStream(let pieces): await send(pieces, of: response)
    }
  }

  /// Sends a stream, and ends the task when it ends or nobody reads it.
  private func send<Pieces: AsyncSequence>(
    _ pieces: Pieces, of response: HTTPResponse
  ) async where Pieces.Element == [UInt8] {
    var iterator = pieces.makeAsyncIterator()
    let stream = (try? await loop.submit { connection.value.beginStream(response) }.get()) ?? .gone
    var isWhole = false
    if case .begun = stream {
      do {
        while let piece = try await iterator.next(isolation: nil) {
          try await loop.flatSubmit { connection.value.send(piece) }.get()
        }
        isWhole = !Task.isCancelled
      } catch {}
    }
    if isWhole {
      return loop.execute {
        connection.value.endTask(bodyBytes)
        connection.value.endStream(isWhole: true)
      }
    }
    if case .begun = stream { loop.execute { connection.value.endStream(isWhole: false) } }
    // Who is asked for nothing more would not learn that it is over.
    withUnsafeCurrentTask { $0?.cancel() }
    _ = try? await iterator.next(isolation: nil)
    loop.execute {
      connection.value.endTask(bodyBytes)
      switch stream {
      case .refused(let problem): connection.value.sendWhole(problem)
      case .bare: connection.value.sendHead(response)
      case .begun, .gone: break
      }
    }
  }
}

extension HTTPResponseStatus {
  /// RFC 9110, section 6.4.1.
  fileprivate var mayHaveBody: Bool { code >= 200 && code != 204 && code != 304 }
}
