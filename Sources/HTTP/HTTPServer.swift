// An HTTP/1.1 server that no client can hurt: sizes, numbers and times have limits. Knows nothing of
// what is served.
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import SystemPackage

/// Answers requests of HTTP/1.0 and 1.1 on one socket.
///
/// Connections are served by one thread of the server's own; handlers run elsewhere, as tasks of
/// their own, one at a time for each connection. What a client does wrong is answered with a problem
/// document (RFC 9457) and ends its connection, nobody else's. ``stop()`` is to be called before the
/// last reference goes.
public final class HTTPServer: Sendable {
  /// What a client may use of the server.
  public struct Limits: Sendable {
    /// Connections at once, and handlers that run at once, for clients that have gone as well; one more
    /// of either is answered with 503.
    public var connections = 64
    /// Connections at once whose answer is a stream; one more is answered with 503.
    public var streams = 32
    /// Bytes of a request's target and header fields, names and values; more are answered with 431.
    public var headerBytes = 16 << 10
    /// Header fields of a request; more are answered with 431.
    public var headerFields = 100
    /// Bytes of a request's body; more are answered with 413, before they are read where their number
    /// is announced.
    public var bodyBytes = 1 << 20
    /// What a client is told whose request's body is longer: nothing that JSON would escape.
    public var longBodyDetail: StaticString = "the request's body is longer than allowed"
    /// Bytes of all bodies that come in, or whose request is being answered; more are answered with
    /// 503.
    public var bodyBytesTogether = 8 << 20
    /// From a connection's begin, or the first byte of a later request, to the end of its header.
    public var headTime: Duration = .seconds(10)
    /// From the end of a request's header to the end of its body.
    public var bodyTime: Duration = .seconds(30)
    /// In which a client must take 64 KiB of an answer, or what is there of it.
    public var writeTime: Duration = .seconds(30)
    /// From an answer's end to the next request's first byte.
    public var idleTime: Duration = .seconds(60)
    /// For requests that are being answered when the server is stopped.
    public var stopTime: Duration = .seconds(1)

    public init() {}
  }

  /// Answers a request. Its task is cancelled when nobody is there any more to read the answer.
  public typealias Handler = @Sendable (HTTPRequest) async -> HTTPResponse

  private struct Running {
    let group: MultiThreadedEventLoopGroup
    let channel: any Channel
    let socket: OpenListeningSocket
    let connections: NIOLoopBound<Connections>
  }

  private enum State {
    case new
    case running(Running)
    case stopped
  }

  private let limits: Limits
  private let handler: Handler
  private let state = Mutex(State.new)

  public init(_ limits: Limits = Limits(), handler: @escaping Handler) {
    self.limits = limits
    self.handler = handler
  }

  /// The TCP port that is listened on; `nil` on a Unix socket and while nothing is listened on.
  public var port: UInt16? {
    state.withLock { state in
      guard case .running(let running) = state else { return nil }
      return running.socket.port
    }
  }

  /// Begins to listen, once; clients are answered when it returns.
  public func start(on socket: ListeningSocket) throws(HTTPServerError) {
    try state.withLock { state throws(HTTPServerError) in
      guard case .new = state else { throw .alreadyStarted }
      state = .running(try run(try OpenListeningSocket(socket)))
    }
  }

  /// Ends all: no connection is accepted any more and the Unix socket's file is removed, idle
  /// connections are closed, and what is being answered has ``Limits/stopTime`` to end, a stream a
  /// quarter of it.
  ///
  /// Returns when every connection is closed; a handler that does not end when its task is cancelled
  /// is left to itself after another ``Limits/stopTime``. Again or before a start it does nothing.
  public func stop() async {
    let running = state.withLock { state -> Running? in
      defer { state = .stopped }
      guard case .running(let running) = state else { return nil }
      return running
    }
    guard let running else { return }
    running.socket.removeFile()
    try? await running.channel.close().get()
    let connections = running.connections
    let group = running.group
    let loop = running.channel.eventLoop
    let allEnded = try? await loop.flatSubmit { connections.value.end() }.get()
    if allEnded == true {
      try? await group.shutdownGracefully()
    } else {
      // A task that comes back later must find its loop.
      loop.execute { connections.value.whenTasksHaveEnded { group.shutdownGracefully { _ in } } }
    }
  }

  /// An event loop has an epoll, an event and a timer descriptor, and NIO ends the process where it
  /// cannot have them.
  private static let descriptorsOfALoop = 3

  /// Whether the process may open as many descriptors as an event loop has.
  private static func checkThatALoopHasDescriptors(
    beside descriptor: Int32
  ) throws(HTTPServerError) {
    var tried: [Int32] = []
    defer { for number in tried { close(number) } }
    for _ in 0..<descriptorsOfALoop {
      let number = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
      guard number >= 0 else {
        throw .systemCall("epoll", on: "the socket", errno: Errno(rawValue: errno))
      }
      tried.append(number)
    }
  }

  private func run(_ socket: OpenListeningSocket) throws(HTTPServerError) -> Running {
    do throws(HTTPServerError) {
      try Self.checkThatALoopHasDescriptors(beside: socket.descriptor)
    } catch {
      close(socket.descriptor)
      socket.removeFile()
      throw error
    }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    let isTCP = socket.port != nil
    do {
      let connections = try loop.submit { [limits, handler] in
        NIOLoopBound(Connections(limits, loop, isTCP: isTCP, handler: handler), eventLoop: loop)
      }.wait()
      var bootstrap = ServerBootstrap(group: group)
        .serverChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(AcceptPause())
          }
        }
        .childChannelOption(.allowRemoteHalfClosure, value: true)
        .childChannelOption(.autoRead, value: false)
        .childChannelOption(.maxMessagesPerRead, value: 1)
        .childChannelOption(
          .recvAllocator,
          value: FixedSizeRecvByteBufferAllocator(capacity: Connection.readSize)
        )
        .childChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture { try connections.value.add(channel) }
        }
      if isTCP {
        bootstrap = bootstrap.childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      }
      let channel = try bootstrap.withBoundSocket(socket.descriptor).wait()
      return Running(group: group, channel: channel, socket: socket, connections: connections)
    } catch {
      // The channel has closed the descriptor.
      socket.removeFile()
      group.shutdownGracefully { _ in }
      let code = (error as? IOError)?.errnoCode ?? 0
      throw .systemCall("epoll", on: "the socket", errno: .init(rawValue: code))
    }
  }
}

/// Waits a moment when no connection can be accepted, as where no descriptor is left: trying again at
/// once would only take the CPU.
///
/// NIO's own `AcceptBackoffHandler` holds reads back, and the channel stays registered for them after
/// an error (2.101), so that epoll wakes the loop all the same. Without `autoRead` it is not.
private final class AcceptPause: ChannelInboundHandler {
  typealias InboundIn = any Channel

  private static let time = TimeAmount.milliseconds(100)

  private var isPausing = false

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard error is IOError, let options = context.channel.syncOptions, !isPausing else { return }
    isPausing = true
    try? options.setOption(.autoRead, value: false)
    context.eventLoop.assumeIsolated().scheduleTask(in: Self.time) {
      self.isPausing = false
      try? options.setOption(.autoRead, value: true)
    }
  }
}
