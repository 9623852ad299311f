// The file of a list of clients' networks: one network a line, and remarks.
import LoadBalancing

extension NetworkList {
  /// What a list is for.
  public enum Purpose: Sendable, CaseIterable {
    case allowing, denying

    /// What the list is called in messages.
    public var title: String {
      switch self {
      case .allowing: "list of allowed clients"
      case .denying: "list of denied clients"
      }
    }
  }

  /// Reads a whole file: a network in each line (`10.50.0.0/16`, `fd50::/64`), or an address as one of its
  /// own; behind a `#` is a remark. Lines may be empty.
  ///
  /// - Parameter file: the name for messages.
  /// - Throws: at the first line that is anything else; a list that allows nobody is refused, too.
  public static func parse(
    _ bytes: [UInt8], file: String, for purpose: Purpose
  ) throws(ConfigFileError) -> NetworkList {
    var networks: Set<IPNetwork> = []
    var number = 0
    for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      number += 1
      let words = line.prefix { $0 != UInt8(ascii: "#") }.split(whereSeparator: \.isBlank)
      guard let word = words.first else { continue }
      func refusal(_ reason: String) -> ConfigFileError {
        ConfigFileError(fileName: file, line: number, reason: reason)
      }
      guard words.count == 1 else {
        throw refusal(
          "\(quoted(words[1])) stands behind \(quoted(word)); write each network in a line of its "
            + "own, and a # before remarks")
      }
      networks.insert(try network(word, refusal))
      guard networks.count <= most else {
        throw refusal("more than \(most) networks; list fewer, larger ones")
      }
    }
    if networks.isEmpty, purpose == .allowing {
      throw ConfigFileError(
        fileName: file, line: nil,
        reason: "no network, so that every client would be denied; list one, or 0.0.0.0/0 and ::/0")
    }
    return NetworkList(file: file, networks: networks)
  }

  private static func network(
    _ word: ArraySlice<UInt8>, _ refusal: (String) -> ConfigFileError
  ) throws(ConfigFileError) -> IPNetwork {
    let text = String(decoding: word, as: UTF8.self)
    if let network = IPNetwork(text) { return network }
    let parts = word.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard let host = parts.first, !host.contains(UInt8(ascii: "%")),
      let address = IPAddress(utf8: host), parts.count == 2
    else {
      throw refusal(
        "\(quoted(word)) is no network; write one as in 10.50.0.0/16 or fd50::/64, or an address")
    }
    let width = address.family.octetCount * 8
    let length = String(decoding: parts[1], as: UTF8.self)
    // With a sign or a leading zero, the text is another one than the number's.
    guard let bits = Int(length), "\(bits)" == length,
      let meant = IPNetwork(of: address, prefixLength: bits)
    else {
      throw refusal(
        "\(quoted(word)) has a prefix length that is none; write \(address)/N with N from 0 to \(width)"
      )
    }
    throw refusal(
      "\(quoted(word)) has bits set behind its prefix; write \(meant), or \(address) for this address "
        + "alone")
  }

  private static func quoted(_ word: ArraySlice<UInt8>) -> String {
    "'\(String(decoding: word, as: UTF8.self).shortened(atMost: 80).withEscapedControls)'"
  }
}

extension UInt8 {
  /// A space, a tab, or the carriage return of a line that ends as on Windows.
  fileprivate var isBlank: Bool {
    self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") || self == UInt8(ascii: "\r")
  }
}
