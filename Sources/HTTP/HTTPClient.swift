// An HTTP/1.1 client, a connection for each request. Knows nothing of what is asked for.
import NIOCore
import NIOHTTP1
import NIOPosix
import SystemPackage

/// Asks one server.
public struct HTTPClient: Sendable {
  enum Server: Sendable {
    case unix(path: String)
    case tcp(host: String, port: Int)
  }

  let server: Server

  /// In which the response's header must have come; `nil` for as long as it takes.
  public var timeout: Duration?

  /// The one thread of all clients, begun with the first request.
  private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

  /// - Parameter path: Of a Unix stream socket.
  public init(unixSocket path: String, timeout: Duration? = .seconds(30)) {
    server = .unix(path: path)
    self.timeout = timeout
  }

  public init(host: String, port: Int, timeout: Duration? = .seconds(30)) {
    server = .tcp(host: host, port: port)
    self.timeout = timeout
  }

  /// Sends a request.
  ///
  /// The connection ends with the body's last byte, when the response and its body's iterators are
  /// gone, and when the task is cancelled.
  ///
  /// - Parameters:
  ///   - target: Path and query, percent-encoded.
  ///   - headers: `Content-Length` and `Connection` are added, and `Host` where it is not among them.
  /// - Returns: When the response's header has come.
  public func send(
    _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8] = []
  ) async throws(HTTPClientError) -> HTTPClientResponse {
    let channel = try await connect()
    var fields = HTTPHeaders(headers)
    if !fields.contains(name: "Host") { fields.add(name: "Host", value: host) }
    fields.replaceOrAdd(name: "Connection", value: "close")
    if !body.isEmpty || ["POST", "PUT", "PATCH"].contains(method) {
      fields.replaceOrAdd(name: "Content-Length", value: String(body.count))
    }
    let head = HTTPRequestHead(
      version: .http1_1, method: HTTPMethod(rawValue: method), uri: target, headers: fields)
    let timeout = timeout.map { TimeAmount($0) }
    let answer = channel.eventLoop.flatSubmit {
      do {
        let handler = try channel.pipeline.syncOperations.handler(type: ClientConnection.self)
        return handler.send(head, body, timeout)
      } catch {
        return channel.eventLoop.makeFailedFuture(error)
      }
    }
    do {
      return try await withTaskCancellationHandler {
        try await answer.get()
      } onCancel: {
        channel.close(promise: nil)
      }
    } catch {
      channel.close(promise: nil)
      throw Task.isCancelled ? .cancelled : answerFailure(error)
    }
  }

  /// What the server is called in messages: the socket's path, or host and port.
  public var name: String {
    switch server {
    case .unix(let path): path
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
  }

  private var host: String {
    switch server {
    case .unix: "localhost"
    case .tcp: name
    }
  }

  /// A connection that was there and fails is lost, whatever the kernel says.
  private func answerFailure(_ error: any Error) -> HTTPClientError {
    let failure = HTTPClientError(error, of: name)
    if case .cannotConnect = failure { return .connectionLost(name) }
    return failure
  }

  private func connect() async throws(HTTPClientError) -> any Channel {
    if case .unix(let path) = server {
      do throws(Errno) { _ = try UnixAddress(path) } catch { throw .cannotConnect(name, error) }
    }
    let bootstrap = ClientBootstrap(group: Self.group)
      .connectTimeout(.seconds(5))
      .channelOption(.autoRead, value: false)
      .channelOption(.maxMessagesPerRead, value: 1)
      .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 64 << 10))
      .channelInitializer { [name] channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          try pipeline.addHandler(HTTPRequestEncoder())
          try pipeline.addHandler(ByteToMessageHandler(HTTPResponseDecoder()))
          try pipeline.addHandler(ClientConnection(to: name, on: channel.eventLoop))
        }
      }
    var triesLeft = 100
    while true {
      do {
        switch server {
        case .unix(let path): return try await bootstrap.connect(unixDomainSocketPath: path).get()
        case .tcp(let host, let port):
          return try await bootstrap.connect(host: host, port: port).get()
        }
      } catch {
        // A Unix socket whose backlog is full says so instead of making wait (connect(2)).
        if case .cannotConnect(_, .resourceTemporarilyUnavailable) = HTTPClientError(
          error, of: name), triesLeft > 0
        {
          triesLeft -= 1
          try? await Task.sleep(for: .milliseconds(10))
          if !Task.isCancelled { continue }
        }
        throw HTTPClientError(error, of: name)
      }
    }
  }
}

extension HTTPClientError {
  /// What NIO calls otherwise.
  init(_ error: any Error, of name: String) {
    switch error {
    case let error as HTTPClientError: self = error
    case let error as NIOConnectionError:
      self = error.connectionErrors.first.map { Self($0.error, of: name) } ?? .unknownHost(name)
    case ChannelError.connectTimeout, ClientConnection.Failure.timeIsOver: self = .timedOut(name)
    case let error as IOError: self = .cannotConnect(name, Errno(rawValue: error.errnoCode))
    case HTTPParserError.invalidEOFState: self = .connectionLost(name)
    case is HTTPParserError: self = .notHTTP(name)
    default: self = .connectionLost(name)
    }
  }
}
