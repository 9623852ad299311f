// A connection to Redis: over TCP, TLS or a Unix socket, to one server or to the master that Sentinels name.
import NIOCore
import NIOPosix
import SystemPackage

/// A connection that was made and is lost once: who wants another one connects again.
///
/// Commands may be sent from several tasks; those of one call go out together, and are answered in their
/// order. What takes longer than it may ends the connection.
public final class RedisConnection: Sendable {
  /// What the server is called in messages: of several the one that this goes to.
  public let name: String
  /// Where that one is.
  public let place: RedisServer.Place
  private let channel: any Channel
  private let handler: NIOLoopBound<RedisHandler>

  /// The one thread of all connections.
  private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

  private init(
    to server: RedisServer, channel: any Channel, handler: NIOLoopBound<RedisHandler>
  ) {
    name = server.name
    place = server.place
    self.channel = channel
    self.handler = handler
  }

  deinit { channel.close(promise: nil) }

  public func close() { channel.close(promise: nil) }

  /// Connects, says who asks, and chooses the database.
  ///
  /// - Parameter timeout: of each step.
  public static func connect(
    to server: RedisServer, timeout: Duration = .seconds(5)
  ) async throws(RedisError) -> RedisConnection {
    guard case .sentinels(let sentinels, let master) = server.place else {
      return try await open(server, timeout)
    }
    var reason: RedisError?
    for sentinel in sentinels {
      do throws(RedisError) {
        let endpoint = try await Self.master(master, of: sentinel, server, timeout)
        var found = server
        found.place = .tcp(host: endpoint.host, port: endpoint.port)
        let connection = try await open(found, timeout)
        // A Sentinel may not have heard yet that another is the master now.
        let role = try await connection.send(RedisCommand("ROLE"), timeout: timeout)
        guard role.array?.first?.text == "master" else {
          throw .refused(connection.name, "it is no master (ROLE)")
        }
        return connection
      } catch {
        reason = error
        if Task.isCancelled { break }
      }
    }
    throw reason ?? .noMaster(master, "none is given")
  }

  /// Sends commands together.
  ///
  /// - Parameter timeout: in which the last of them is to be answered.
  /// - Returns: an answer for each, which may be an error.
  public func send(
    _ commands: [RedisCommand], timeout: Duration = .seconds(5)
  ) async throws(RedisError) -> [RedisValue] {
    if commands.isEmpty { return [] }
    var bytes = ByteBuffer()
    for command in commands { command.write(to: &bytes) }
    let (message, count, timeout) = (bytes, commands.count, TimeAmount(timeout))
    do {
      return try await withTaskCancellationHandler {
        try await channel.eventLoop.flatSubmit { [handler] in
          handler.value.send(message, count: count, timeout: timeout)
        }.get()
      } onCancel: {
        channel.close(promise: nil)
      }
    } catch {
      throw RedisError(error, of: name)
    }
  }

  /// Sends one command.
  ///
  /// - Throws: ``RedisError/refused(_:_:)`` where the answer is an error.
  @discardableResult
  public func send(
    _ command: RedisCommand, timeout: Duration = .seconds(5)
  ) async throws(RedisError) -> RedisValue {
    try check(try await send([command], timeout: timeout)[0])
  }

  /// An answer that must not be an error.
  @discardableResult
  public func check(_ value: RedisValue) throws(RedisError) -> RedisValue {
    if case .error(let line) = value { throw .refused(name, line) }
    return value
  }

  // MARK: Connecting

  /// Whom a Sentinel calls the master.
  private static func master(
    _ name: String, of sentinel: RedisServer.Endpoint, _ server: RedisServer, _ timeout: Duration
  ) async throws(RedisError) -> RedisServer.Endpoint {
    var asked = RedisServer(.tcp(host: sentinel.host, port: sentinel.port))
    asked.tls = server.tls
    let connection = try await open(asked, timeout)
    defer { connection.close() }
    let answer = try await connection.send(
      RedisCommand("SENTINEL", "get-master-addr-by-name", RedisWord(name)), timeout: timeout)
    guard let words = answer.array?.map(\.text), words.count == 2, let host = words[0],
      let port = words[1].flatMap({ Int($0) })
    else { throw .noMaster(name, "\(sentinel) watches none of that name") }
    return RedisServer.Endpoint(host: host, port: port)
  }

  private static func open(
    _ server: RedisServer, _ timeout: Duration
  ) async throws(RedisError) -> RedisConnection {
    let name = server.name
    let loop = group.next()
    let ready = loop.makePromise(of: Void.self)
    do {
      let secure = try server.tls.map { try TLSContext($0, for: server) }
      let bootstrap = ClientBootstrap(group: loop)
        .connectTimeout(TimeAmount(timeout))
        .channelOption(.tcpOption(.tcp_nodelay), value: 1)
        .channelOption(.socketOption(.so_keepalive), value: 1)
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            if let secure { try pipeline.addHandler(TLSHandler(secure)) }
            try pipeline.addHandler(
              RedisHandler(to: name, on: loop, isSecure: secure != nil, ready: ready))
          }
        }
      let channel =
        switch server.place {
        case .tcp(let host, let port): try await bootstrap.connect(host: host, port: port).get()
        case .unix(let path):
          // No options of TCP there.
          try await ClientBootstrap(group: loop)
            .connectTimeout(TimeAmount(timeout))
            .channelInitializer { channel in
              channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                  RedisHandler(to: name, on: loop, isSecure: false, ready: ready))
              }
            }
            .connect(unixDomainSocketPath: path).get()
        case .sentinels: preconditionFailure("a Sentinel is asked first")
        }
      let limit = loop.scheduleTask(in: TimeAmount(timeout)) {
        ready.fail(RedisError.timedOut(name))
        channel.close(promise: nil)
      }
      defer { limit.cancel() }
      try await withTaskCancellationHandler {
        try await ready.futureResult.get()
      } onCancel: {
        channel.close(promise: nil)
      }
      let handler = try await loop.submit {
        NIOLoopBound(
          try channel.pipeline.syncOperations.handler(type: RedisHandler.self), eventLoop: loop)
      }.get()
      let connection = RedisConnection(to: server, channel: channel, handler: handler)
      try await connection.introduce(server, timeout)
      return connection
    } catch {
      ready.fail(error)
      throw RedisError(error, of: name)
    }
  }

  private func introduce(
    _ server: RedisServer, _ timeout: Duration
  ) async throws(RedisError) {
    if let password = server.password {
      let words = [server.username, password].compactMap(\.self).map { RedisWord($0) }
      try await send(RedisCommand(["AUTH"] + words), timeout: timeout)
    }
    if server.database != 0 {
      try await send(RedisCommand("SELECT", RedisWord(server.database)), timeout: timeout)
    }
  }
}

extension RedisError {
  /// What NIO calls otherwise.
  init(_ error: any Error, of name: String) {
    switch error {
    case let error as RedisError: self = error
    case let error as NIOConnectionError:
      self = error.connectionErrors.first.map { Self($0.error, of: name) } ?? .unknownHost(name)
    case ChannelError.connectTimeout: self = .timedOut(name)
    case let error as IOError: self = .cannotConnect(name, Errno(rawValue: error.errnoCode))
    default: self = .connectionLost(name)
    }
  }
}
