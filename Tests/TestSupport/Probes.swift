// Traffic that is not UDP: does a host's own kernel answer?
import Foundation

/// Sends one ICMP echo request (RFC 792, RFC 4443) and waits for its reply from there.
public func answersPing(
  _ address: String, from namespace: NetworkNamespace, timeout: Duration = .seconds(10)
) throws -> Bool {
  let target = Endpoint(address, 0)
  let isIPv4 = target.family == .ipv4
  let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
  let descriptor = try namespace.run {
    try check(
      socket(isIPv4 ? AF_INET : AF_INET6, type, Int32(isIPv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)),
      "ICMP socket")
  }
  defer { close(descriptor) }
  let identifier = UInt16.random(in: 1...0xfffe)
  // Over IPv6 the kernel fills in the checksum; over IPv4 it is the sum of these three words.
  let kind: UInt16 = isIPv4 ? 0x0800 : 0x8000
  let sum = UInt32(kind) + UInt32(identifier) + 1
  let checksum = isIPv4 ? ~UInt16((sum & 0xffff) + (sum >> 16)) : 0
  let request = [kind, checksum, identifier, 1].flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }
  try target.withSocketAddress {
    try check(Int32(sendto(descriptor, request, request.count, 0, $0, $1)), "ping \(address)")
  }
  return try waitUntil(timeout: timeout) {
    var buffer = [UInt8](repeating: 0, count: 2_048)
    let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    if count < 0 && errno == EAGAIN { return false }
    try check(Int32(count), "receive a ping's answer")
    let reply = buffer.prefix(count).dropFirst(isIPv4 ? 20 : 0)
    guard reply.count >= 8 else { return false }
    let start = reply.startIndex
    return reply[start] == (isIPv4 ? 0 : 129)
      && reply[start + 4] == UInt8(identifier >> 8) && reply[start + 5] == UInt8(identifier & 0xff)
  }
}

/// Whether a TCP connection to a port comes about where a program listens.
public func acceptsTCP(
  _ address: String, listeningIn server: NetworkNamespace, from client: NetworkNamespace
) throws -> Bool {
  let family = Endpoint(address, 0).family == .ipv4 ? AF_INET : AF_INET6
  let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
  let listener = try server.run { try check(socket(family, type, 0), "TCP socket") }
  defer { close(listener) }
  try Endpoint(address, 0).withSocketAddress { try check(bind(listener, $0, $1), "bind") }
  try check(listen(listener, 1), "listen")
  let endpoint = try Endpoint { try check(getsockname(listener, $0, $1), "getsockname") }

  let caller = try client.run { try check(socket(family, type, 0), "TCP socket") }
  defer { close(caller) }
  var limit = timeval(tv_sec: 20, tv_usec: 0)
  setsockopt(caller, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  return try endpoint.withSocketAddress { connect(caller, $0, $1) } == 0
}
