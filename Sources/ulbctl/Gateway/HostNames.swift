// By which names the web gateway may be asked. Knows nothing of what it answers.
import Glibc

/// The names that a request's Host field may have.
///
/// A page of somebody else's that runs in an operator's browser may have its own name lead to the gateway
/// (DNS rebinding): to the browser what it reads there is then the page's own. Such a request has that
/// name as its host, which nobody has given here. An address cannot be led elsewhere.
struct HostNames: Sendable {
  private let names: Set<String>

  /// - Parameter names: In any case, beside `localhost` and the addresses.
  init(_ names: [HostName] = []) { self.names = Set(names.map(\.text)).union(["localhost"]) }

  /// Why a request is refused: one line; `nil` where it is not.
  ///
  /// - Parameter host: Its Host field (RFC 9110, section 7.2); `nil` where it has none, as HTTP/1.0
  ///   allows: a browser's always has one.
  func refusal(ofHost host: String?) -> String? {
    guard let host else { return nil }
    let name = Self.withoutPort(host)
    if Self.isAddress(name) { return nil }
    guard let name = HostName(argument: String(name)) else {
      return "the request's Host is no name and no address"
    }
    if names.contains(name.text) { return nil }
    return "this gateway is not known as \(name.text): ask it by its address, or start it with "
      + "--host \(name.text)"
  }

  private static func withoutPort(_ host: String) -> Substring {
    guard let colon = host.lastIndex(of: ":"), !host.hasSuffix("]"),
      host[host.index(after: colon)...].utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return host[...] }
    return host[..<colon]
  }

  /// An IPv4 address, or an IPv6 address in brackets.
  private static func isAddress(_ text: Substring) -> Bool {
    var address = in6_addr()
    guard text.hasPrefix("["), text.hasSuffix("]") else {
      return inet_pton(AF_INET, String(text), &address) == 1
    }
    return inet_pton(AF_INET6, String(text.dropFirst().dropLast()), &address) == 1
  }
}

/// A host's name: letters, digits, hyphens, underscores and dots, which needs no quoting anywhere.
struct HostName: Sendable, Equatable {
  /// In small letters, without the root's dot at the end.
  let text: String

  /// `nil` where it is none.
  init?(argument: String) {
    let isWhole = argument.hasSuffix(".") && argument != "."
    text = (isWhole ? String(argument.dropLast()) : argument).lowercased()
    let labels = text.split(separator: ".", omittingEmptySubsequences: false)
    guard text.utf8.count <= 253,
      labels.allSatisfy({ label in
        !label.isEmpty && label.utf8.count <= 63 && label.first != "-" && label.last != "-"
          && label.utf8.allSatisfy(Self.isAllowed)
      })
    else { return nil }
  }

  private static func isAllowed(_ octet: UInt8) -> Bool {
    switch octet {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}
