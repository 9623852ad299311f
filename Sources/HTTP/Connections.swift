// All connections of a server, and what they have together: limits and an end. Lives on the server's
// event loop.
import NIOCore
import NIOHTTP1

final class Connections {
  let limits: HTTPServer.Limits
  let handler: HTTPServer.Handler
  let isTCP: Bool
  private let loop: any EventLoop

  private var open: [ObjectIdentifier: Connection] = [:]
  /// How many count against the limit.
  private var serving = 0
  /// How many have had their last answer, and are given time to read it.
  private var leaving = 0
  private var streams = 0
  /// Handlers and streams that have not ended, those without a connection included.
  private var tasks = 0
  /// Of requests that come in or are being answered.
  private var bodyBytes = 0
  private(set) var isEnding = false
  private var whenAllGone: (() -> Void)?
  private var whenNoTask: (@Sendable () -> Void)?

  init(
    _ limits: HTTPServer.Limits, _ loop: any EventLoop, isTCP: Bool,
    handler: @escaping HTTPServer.Handler
  ) {
    self.limits = limits
    self.loop = loop
    self.isTCP = isTCP
    self.handler = handler
  }

  /// Takes a new connection in, or turns it away.
  func add(_ channel: any Channel) throws {
    guard !isEnding else { return channel.close(promise: nil) }
    let isServed = serving < limits.connections && mayBeginTask
    let connection = Connection(self, isServed ? .serving : .turnedAway)
    let pipeline = channel.pipeline.syncOperations
    try pipeline.addHandler(HTTPResponseEncoder(configuration: .framedByHand))
    if isServed {
      var decoderLimits = NIOHTTPDecoderLimitConfiguration()
      decoderLimits.maxHeaderFieldSize = limits.headerBytes
      decoderLimits.maxHeaderListSize = limits.headerBytes
      decoderLimits.maxHeaderFieldCount = limits.headerFields
      try pipeline.addHandler(
        ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: decoderLimits)))
      serving += 1
    }
    try pipeline.addHandler(connection)
    open[ObjectIdentifier(channel)] = connection
    channel.closeFuture.assumeIsolated().whenComplete { _ in
      self.open[ObjectIdentifier(channel)] = nil
      self.leave(connection, .gone)
      self.tellIfAllGone()
    }
  }

  /// A connection has had its last answer.
  ///
  /// - Returns: Whether it may wait until the client has read it: as many may as are served.
  func mayLinger(_ connection: Connection) -> Bool {
    guard leaving < limits.connections, !isEnding else { return false }
    leave(connection, .leaving)
    leaving += 1
    return true
  }

  private func leave(_ connection: Connection, _ place: Connection.Place) {
    switch connection.place {
    case .serving: serving -= 1
    case .leaving: leaving -= 1
    case .turnedAway, .gone: break
    }
    connection.place = place
  }

  /// - Returns: Whether there may be one more.
  func beginStream() -> Bool {
    guard streams < limits.streams, !isEnding else { return false }
    streams += 1
    return true
  }

  func failedFuture(_ error: any Error) -> EventLoopFuture<Void> { loop.makeFailedFuture(error) }

  func endStream() { streams -= 1 }

  /// What clients that have gone have asked for goes on without a connection: as many handlers may
  /// run as connections are served.
  private var mayBeginTask: Bool { tasks < limits.connections }

  /// - Returns: Whether there may be one more.
  func beginTask() -> Bool {
    guard mayBeginTask else { return false }
    tasks += 1
    return true
  }

  /// - Returns: Whether there is room for so many more; they are to be given back.
  func takeBodyBytes(_ count: Int) -> Bool {
    guard bodyBytes + count <= limits.bodyBytesTogether else { return false }
    bodyBytes += count
    return true
  }

  func giveBackBodyBytes(_ count: Int) { bodyBytes -= count }

  func endTask() {
    tasks -= 1
    tellIfAllGone()
    if tasks == 0 { whenNoTask?() }
  }

  /// Closes all within twice the time to stop.
  ///
  /// - Returns: Whether every task has ended as well.
  func end() -> EventLoopFuture<Bool> {
    isEnding = true
    let promise = loop.makePromise(of: Bool.self)
    let time = TimeAmount(limits.stopTime)
    for connection in open.values { connection.endSoon() }
    // What they are made of may be ending as well: their readers are told then that they are whole.
    let streams = loop.assumeIsolated().scheduleTask(in: .nanoseconds(time.nanoseconds / 4)) {
      for connection in self.open.values where connection.isStreaming { connection.abort() }
    }
    let closing = loop.assumeIsolated().scheduleTask(in: time) {
      for connection in self.open.values { connection.abort() }
    }
    let givingUp = loop.assumeIsolated().scheduleTask(in: time + time) {
      self.whenAllGone = nil
      promise.succeed(false)
    }
    whenAllGone = {
      streams.cancel()
      closing.cancel()
      givingUp.cancel()
      promise.succeed(true)
    }
    tellIfAllGone()
    return promise.futureResult
  }

  func whenTasksHaveEnded(_ body: @escaping @Sendable () -> Void) {
    if tasks == 0 { body() } else { whenNoTask = body }
  }

  private func tellIfAllGone() {
    guard open.isEmpty, tasks == 0, let told = whenAllGone else { return }
    whenAllGone = nil
    told()
  }
}

extension HTTPResponseEncoder.Configuration {
  /// `Content-Length` and `Transfer-Encoding` are the connection's to set: it knows the method.
  static var framedByHand: Self {
    var configuration = Self()
    configuration.automaticallySetFramingHeaders = false
    return configuration
  }
}
