// Whom connections over TLS trust, and what they show of themselves: OpenSSL's, which the distribution keeps
// up to date.
import COpenSSL
import NIOCore

final class TLSContext: @unchecked Sendable {
  // It is not changed any more when others use it, and OpenSSL has them use it at once.
  let context: OpaquePointer
  /// What the server is called in messages.
  let name: String
  private let serverName: String?
  private let place: RedisServer.Place

  /// - Throws: ``RedisError/insecure(_:_:)`` where a file cannot be read, or has not what it is to have.
  init(_ tls: RedisServer.TLS, for server: RedisServer) throws(RedisError) {
    guard let context = SSL_CTX_new(TLS_client_method()) else {
      throw .insecure(server.name, "OpenSSL has no room for it")
    }
    self.context = context
    (name, serverName, place) = (server.name, tls.serverName, server.place)
    tls_require_version_1_2(context)
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    // No terminal is asked for a key's passphrase.
    SSL_CTX_set_default_passwd_cb(context) { _, _, _, _ in 0 }
    func read(_ file: String, _ what: String, _ result: Int32) throws(RedisError) {
      if result == 1 { return }
      throw .insecure(name, "\(file) cannot be read, or has no \(what) as PEM")
    }
    if let file = tls.authorities {
      try read(file, "certificate", SSL_CTX_load_verify_locations(context, file, nil))
    } else {
      SSL_CTX_set_default_verify_paths(context)
    }
    if let file = tls.certificate {
      try read(file, "certificate", SSL_CTX_use_certificate_chain_file(context, file))
    }
    if let file = tls.key {
      ERR_clear_error()
      let result = SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM)
      if TLSHandler.reason() == "key values mismatch" {
        throw .insecure(name, "\(file) is not the key of \(tls.certificate ?? "the certificate")")
      }
      try read(file, "key without a passphrase", result)
    }
  }

  deinit { SSL_CTX_free(context) }

  /// A connection that is not begun yet: the server is to show a certificate for its name, or for its address
  /// where it has none (RFC 6125, section 6).
  ///
  /// - Returns: `nil` where there is no room for it.
  func connection() -> OpaquePointer? {
    guard let connection = SSL_new(context) else { return nil }
    SSL_set_hostflags(connection, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
    SSL_set_connect_state(connection)
    var host = serverName ?? ""
    if serverName == nil, case .tcp(let name, _) = place { host = name }
    let isSet =
      if (try? SocketAddress(ipAddress: host, port: 0)) != nil {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), host)
      } else {
        SSL_set1_host(connection, host) & tls_set_server_name(connection, host)
      }
    guard isSet == 1, !host.isEmpty else {
      SSL_free(connection)
      return nil
    }
    return connection
  }
}
