// TLS between a connection's bytes and what is said over it. OpenSSL does all of it, in memory: it is fed
// what has come, and what it has to say is sent. Lives on the event loop.
import COpenSSL
import NIOCore
import NIOTLS

final class TLSHandler: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let name: String
  private let connection: OpaquePointer
  /// What has come, and what is to be sent: both are the connection's.
  private let (incoming, outgoing): (OpaquePointer, OpaquePointer)
  private var state = State.shakingHands

  private enum State {
    case shakingHands
    case open
    case closed
  }

  /// - Throws: ``RedisError/insecure(_:_:)`` where OpenSSL cannot have another connection.
  init(_ context: TLSContext) throws(RedisError) {
    guard let connection = context.connection() else {
      throw .insecure(context.name, "OpenSSL refuses the connection")
    }
    guard let incoming = BIO_new(BIO_s_mem()), let outgoing = BIO_new(BIO_s_mem()) else {
      SSL_free(connection)
      throw .insecure(context.name, "OpenSSL has no room for it")
    }
    SSL_set_bio(connection, incoming, outgoing)
    (name, self.connection) = (context.name, connection)
    (self.incoming, self.outgoing) = (incoming, outgoing)
  }

  deinit { SSL_free(connection) }

  // MARK: Coming

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { shakeHands(context) }
  }

  func channelActive(context: ChannelHandlerContext) {
    shakeHands(context)
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let bytes = Self.unwrapInboundIn(data)
    let count = bytes.withUnsafeReadableBytes {
      BIO_write(incoming, $0.baseAddress, Int32($0.count))
    }
    guard count == bytes.readableBytes else { return fail(context) }
    if state == .shakingHands { shakeHands(context) }
    if state == .open { read(context) }
  }

  func channelInactive(context: ChannelHandlerContext) {
    state = .closed
    context.fireChannelInactive()
  }

  private func shakeHands(_ context: ChannelHandlerContext) {
    ERR_clear_error()
    let result = SSL_do_handshake(connection)
    send(context)
    context.flush()
    if result == 1 {
      state = .open
      context.fireUserInboundEventTriggered(
        TLSUserEvent.handshakeCompleted(negotiatedProtocol: nil))
    } else if SSL_get_error(connection, result) != SSL_ERROR_WANT_READ {
      fail(context)
    }
  }

  private func read(_ context: ChannelHandlerContext) {
    ERR_clear_error()
    var bytes = context.channel.allocator.buffer(capacity: 1 << 14)
    var result: Int32 = 1
    while result > 0 {
      bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: 1 << 14) { room in
        result = SSL_read(connection, room.baseAddress, Int32(room.count))
        return Int(max(result, 0))
      }
    }
    let error = SSL_get_error(connection, result)
    let reason = error == SSL_ERROR_SSL ? failure() : nil
    // The server may have asked for new keys.
    send(context)
    context.flush()
    if bytes.readableBytes > 0 { context.fireChannelRead(Self.wrapInboundOut(bytes)) }
    switch error {
    case SSL_ERROR_WANT_READ: break
    // It says goodbye.
    case SSL_ERROR_ZERO_RETURN: context.close(promise: nil)
    default: fail(context, reason)
    }
  }

  // MARK: Going

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let bytes = Self.unwrapOutboundIn(data)
    // Nobody writes before it is said that hands are shaken.
    guard state == .open, bytes.readableBytes > 0 else {
      promise?.fail(RedisError.connectionLost(name))
      return
    }
    ERR_clear_error()
    let count = bytes.withUnsafeReadableBytes {
      SSL_write(connection, $0.baseAddress, Int32($0.count))
    }
    guard count == bytes.readableBytes else {
      promise?.fail(RedisError.connectionLost(name))
      return fail(context)
    }
    send(context, promise)
  }

  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    if state == .open {
      SSL_shutdown(connection)
      send(context)
      context.flush()
    }
    state = .closed
    context.close(mode: mode, promise: promise)
  }

  /// Sends what OpenSSL has to say.
  private func send(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>? = nil) {
    let count = BIO_ctrl_pending(outgoing)
    guard count > 0 else {
      promise?.succeed()
      return
    }
    var bytes = context.channel.allocator.buffer(capacity: count)
    bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: count) {
      Int(max(0, BIO_read(outgoing, $0.baseAddress, Int32(count))))
    }
    context.write(Self.wrapOutboundOut(bytes), promise: promise)
  }

  // MARK: Failures

  private func fail(_ context: ChannelHandlerContext, _ reason: RedisError? = nil) {
    let error = reason ?? failure()
    state = .closed
    context.fireErrorCaught(error)
    context.close(promise: nil)
  }

  private func failure() -> RedisError {
    let verified = SSL_get_verify_result(connection)
    switch Int32(truncatingIfNeeded: verified) {
    case X509_V_OK: break
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
      return .insecure(name, "the server's certificate is for another name; see server_name")
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
      X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return .insecure(
        name, "the server's certificate is not signed by who is trusted; see ca_file")
    default:
      let text = String(cString: X509_verify_cert_error_string(verified))
      return .insecure(name, "the server's certificate will not do: \(text)")
    }
    guard let reason = Self.reason() else { return .connectionLost(name) }
    switch reason {
    case "wrong version number", "packet length too long":
      return .insecure(name, "what it answers is no TLS; is it the right port?")
    case _ where reason.hasSuffix("certificate required"):
      return .insecure(
        name, "the server wants a certificate; see certificate_file and key_file")
    default: return .insecure(name, reason)
    }
  }

  /// What the library says of the first failure since that was cleared.
  static func reason() -> String? {
    let error = ERR_get_error()
    return ERR_reason_error_string(error).map { String(cString: $0) }
  }
}
