// The sections of the config file that ulb reads, and which of them somebody meant by a name that
// is none of theirs. Knows no file.
import LoadBalancing

/// A section that means something, by its exact name.
enum SectionName: Hashable {
  /// Of the command line's virtual server (`nil`), or of the one with this name.
  case realServers(of: String?)
  case virtualServer(String)
  case settings
  /// configparser's: its entries belong to [Real Servers], too.
  case defaults

  private static let realServersPrefix = "Real Servers"
  private static let virtualServerPrefix = "Virtual Server"
  /// A virtual server's whose name is not known.
  static let anyVirtualServer = SectionName.virtualServer("NAME")

  /// The section that bears a name. What stands behind its prefix and a blank is the name of a
  /// virtual server, in which one blank is as good as several.
  init?(exactly name: some BidirectionalCollection<UInt8>) {
    if name.elementsEqual("ulb".utf8) {
      self = .settings
    } else if name.elementsEqual("DEFAULT".utf8) {
      self = .defaults
    } else if name.elementsEqual(Self.realServersPrefix.utf8) {
      self = .realServers(of: nil)
    } else if let name = Self.name(in: name, behind: Self.realServersPrefix) {
      self = .realServers(of: name)
    } else if let name = Self.name(in: name, behind: Self.virtualServerPrefix) {
      self = .virtualServer(name)
    } else {
      return nil
    }
  }

  /// The name as it is to be written between the brackets.
  var text: String {
    switch self {
    case .settings: "ulb"
    case .defaults: "DEFAULT"
    case .realServers(nil): Self.realServersPrefix
    case .realServers(let name?): "\(Self.realServersPrefix) \(name)"
    case .virtualServer(let name): "\(Self.virtualServerPrefix) \(name)"
    }
  }

  /// The name in brackets, as messages show it.
  var shown: String { Self.shown(Array(text.utf8)) }

  /// Any section's name in brackets, as messages show it.
  static func shown(_ name: [UInt8]) -> String {
    "[\(PythonText.escaped(String(decoding: name, as: UTF8.self), atMost: 80))]"
  }

  /// What stands behind a prefix and a blank; `nil` where nothing does.
  private static func name(
    in section: some BidirectionalCollection<UInt8>, behind prefix: String
  ) -> String? {
    guard section.starts(with: prefix.utf8) else { return nil }
    let rest = String(decoding: section.dropFirst(prefix.utf8.count), as: UTF8.self)
    guard let first = rest.unicodeScalars.first, PythonText.isSpace(first) else { return nil }
    let words = words(of: rest)
    return words.isEmpty ? nil : words.joined(separator: " ")
  }

  private static func words(of text: String) -> [String] {
    text.unicodeScalars.split(whereSeparator: PythonText.isSpace).map { String($0) }
  }
}

// MARK: - What is meant

extension SectionName {
  /// The most octets of a name that are looked at, and the most letters that may be wrong.
  private static let (mostOctets, mostWrong) = (64, 2)

  /// The section that a name seems to be meant for; `nil` for those that bear their exact name, and
  /// for names that are nobody's.
  static func meant(by name: [UInt8]) -> SectionName? {
    guard SectionName(exactly: name) == nil else { return nil }
    let letters = letters(of: name.prefix(mostOctets))
    switch letters {
    case Self.letters(of: "ulb".utf8): return .settings
    case Self.letters(of: "DEFAULT".utf8): return .defaults
    default: break
    }
    let list = Self.letters(of: realServersPrefix.utf8)
    let server = Self.letters(of: virtualServerPrefix.utf8)
    // [real-server x], [Virtual Servers x]: the first words are the prefix, the others a name.
    let words = words(of: String(decoding: name, as: UTF8.self))
    for count in [2, 1] where words.count > count {
      let prefix = Self.letters(of: words[..<count].joined().utf8.prefix(mostOctets))
      let rest = words[count...].joined(separator: " ")
      if isNear(prefix, list) {
        // [Real Servers: rack 1] is rather a remark than a name.
        let isRemark = words[count - 1].last?.isLetter == false
        return .realServers(of: isRemark ? nil : rest)
      }
      if isNear(prefix, server) { return .virtualServer(rest) }
    }
    // [Real Server], [real-servers], [Rael Servers], and what begins so.
    if isNear(letters, list) { return .realServers(of: nil) }
    if isNear(letters, server) { return anyVirtualServer }
    if letters.starts(with: list.dropLast()) { return .realServers(of: nil) }
    return letters.starts(with: server) ? anyVirtualServer : nil
  }

  private static func isNear(_ letters: [UInt8], _ own: [UInt8]) -> Bool {
    abs(letters.count - own.count) <= mostWrong && wordDistance(letters, own) <= mostWrong
  }

  /// Letters and digits in lower case, without what stands between them.
  private static func letters(of name: some Sequence<UInt8>) -> [UInt8] {
    name.compactMap { octet in
      switch octet {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): octet + 0x20
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): octet
      default: nil
      }
    }
  }
}
