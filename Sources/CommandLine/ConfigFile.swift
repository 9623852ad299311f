// The grammar of the config file: what Python's configparser accepts (allow_no_value, "=" the
// only delimiter, strict). Reads bytes, not files.
import LoadBalancing

/// Why a config file is refused.
public struct ConfigFileError: Error, Sendable, Hashable, CustomStringConvertible {
  public let fileName: String
  /// Counted from 1; `nil` where the fault has no place.
  public let line: Int?
  /// One line with what is wrong and the mend.
  public let reason: String

  public init(fileName: String, line: Int?, reason: String) {
    self.fileName = fileName
    self.line = line
    self.reason = reason
  }

  /// `FILE, line N: reason`, one line.
  public var description: String {
    line.map { "\(fileName), line \($0): \(reason)" } ?? "\(fileName): \(reason)"
  }
}

/// The content of a config file.
public struct ConfigFile: Sendable, Equatable {
  /// The addresses of [Real Servers] in their order, then those of [DEFAULT]; never empty. Two
  /// spellings of one IPv6 address are two entries.
  public let realServers: [IPAddress]
  /// The keys of [ulb], lower case, with their raw values; `nil` where there is no `=`.
  public let settings: [String: String?]
  /// What is not refused but hardly meant, a line each: file, line, the fact and the mend.
  public let warnings: [String]
  /// The name for messages.
  public let fileName: String
  private let realServerLines: [Int]
  private let settingLines: [String: Int]

  /// The line of an entry of ``realServers``, counted from 1.
  func line(ofRealServer index: Int) -> Int? {
    realServerLines.indices.contains(index) ? realServerLines[index] : nil
  }

  /// The line of a key of [ulb], counted from 1; 0 for a key that is not there.
  func line(of key: String) -> Int { settingLines[key] ?? 0 }

  /// Reads a whole file. A name or value may be any UTF-8; the file must be UTF-8.
  ///
  /// - Parameter fileName: the name for messages.
  /// - Throws: what ulb.py refuses too, and bytes that are not UTF-8.
  public static func parse(
    _ bytes: [UInt8], fileName: String
  ) throws(ConfigFileError) -> ConfigFile {
    var reader = Reader(bytes: bytes, fileName: fileName)
    return try reader.read()
  }

  fileprivate init(
    realServers: [IPAddress], realServerLines: [Int], settings: [String: String?],
    fileName: String, settingLines: [String: Int], warnings: [String]
  ) {
    self.realServers = realServers
    self.realServerLines = realServerLines
    self.settings = settings
    self.fileName = fileName
    self.settingLines = settingLines
    self.warnings = warnings
  }
}

/// A key of a section, compared octet by octet: Swift's strings would call two spellings of one
/// accented letter equal, Python's do not.
private struct Key: Hashable {
  let utf8: ArraySlice<UInt8>

  static func == (left: Key, right: Key) -> Bool { left.utf8 == right.utf8 }

  func hash(into hasher: inout Hasher) {
    utf8.withUnsafeBytes { hasher.combine(bytes: $0) }
  }
}

private struct Reader {
  private struct Entry {
    let key: Key
    let line: Int
  }

  private struct Section {
    var entries: [Entry] = []
    var keys: Set<Key> = []
  }

  /// A section that is passed over although it seems to be meant for one of ulb's.
  private struct Misnamed {
    let name: [UInt8]
    let meant: SectionName
    let line: Int
  }

  private static let realServersName = SectionName.realServers.utf8
  private static let defaultName = SectionName.defaults.utf8
  private static let settingsName = SectionName.settings.utf8
  /// The most misnamed sections that are named one by one.
  private static let mostMisnamed = 8

  private let bytes: [UInt8]
  private let fileName: String
  private var lineNumber = 0
  /// The end of the line that is being read.
  private var position = 0
  private var sections: [[UInt8]: Section] = [:]
  /// The open section, held outside `sections` while its entries come in.
  private var sectionName: [UInt8]?
  private var section = Section()
  /// Columns of the last line that was no continuation.
  private var indentation = 0
  /// The last key has lines to come: `nil` without a key, false for a key without `=`.
  private var takesContinuation: Bool?
  private var misnamed: [Misnamed] = []
  private var values: [(key: String, line: Int, lines: [String]?)] = []

  init(bytes: [UInt8], fileName: String) {
    self.bytes = bytes
    self.fileName = fileName
  }

  mutating func read() throws(ConfigFileError) -> ConfigFile {
    let bytes = bytes
    var start = 0
    while start < bytes.count {
      var end = start
      var isASCII = true
      while end < bytes.count, bytes[end] != UInt8(ascii: "\n"), bytes[end] != UInt8(ascii: "\r") {
        if bytes[end] >= 0x80 { isASCII = false }
        end += 1
      }
      lineNumber += 1
      position = end
      if !isASCII, String(validating: bytes[start..<end], as: UTF8.self) == nil {
        throw error("not UTF-8 text; save the file as UTF-8")
      }
      try readLine(start..<end)
      let isPair =
        end + 1 < bytes.count && bytes[end] == UInt8(ascii: "\r")
        && bytes[end + 1] == UInt8(ascii: "\n")
      start = end + (isPair ? 2 : 1)
    }
    closeSection()
    return try finish()
  }

  // MARK: Lines

  private mutating func readLine(_ line: Range<Int>) throws(ConfigFileError) {
    let (text, column) = stripped(line)
    guard let first = text.first.map({ bytes[$0] }) else {
      // A blank line is part of a value only in the middle, where it separates lines.
      return
    }
    if first == UInt8(ascii: "#") || first == UInt8(ascii: ";") { return }
    if sectionName != nil, let takesContinuation, column > indentation {
      guard takesContinuation else {
        throw error(
          "\(shown(text)) is indented deeper than the entry above it and would continue a value "
            + "that is not there; indent all entries alike")
      }
      if sectionName == Self.settingsName {
        let continuation = string(text)
        values[values.count - 1].lines?.append(continuation)
      }
      return
    }
    indentation = column
    if let name = header(text) {
      try open(name)
    } else if sectionName == nil {
      throw error("\(shown(text)) stands before any section; begin the file with [Real Servers]")
    } else {
      try readOption(text)
    }
  }

  private mutating func open(_ name: Range<Int>) throws(ConfigFileError) {
    closeSection()
    let name = Array(bytes[name])
    if name != Self.defaultName, sections[name] != nil {
      throw error(
        "section \(shown(section: name)) already exists; "
          + "put its lines into one section")
    }
    if let meant = SectionName.meant(by: name) {
      misnamed.append(Misnamed(name: name, meant: meant, line: lineNumber))
    }
    section = sections.removeValue(forKey: name) ?? Section()
    // Room for a long list at once, within bounds: noise can be long, too.
    section.keys.reserveCapacity(min((bytes.count - position) / 12, 1 << 17))
    sectionName = name
    takesContinuation = nil
  }

  private mutating func closeSection() {
    if let sectionName { sections[sectionName] = section }
  }

  private mutating func readOption(_ text: Range<Int>) throws(ConfigFileError) {
    let equals = bytes[text].firstIndex(of: UInt8(ascii: "="))
    let name = equals.map { stripped(text.lowerBound..<$0).text } ?? text
    if name.isEmpty { throw error("\(shown(text)) has nothing before the =; write an address") }
    let key = Key(utf8: lowercased(name))
    if !section.keys.insert(key).inserted {
      throw error("\(shown(name)) stands in its section already; remove one of the two")
    }
    section.entries.append(Entry(key: key, line: lineNumber))
    takesContinuation = equals != nil
    if sectionName == Self.settingsName {
      let first = equals.map { [string(stripped(($0 + 1)..<text.upperBound).text)] }
      values.append((String(decoding: key.utf8, as: UTF8.self), lineNumber, first))
    }
  }

  // MARK: The result

  private func finish() throws(ConfigFileError) -> ConfigFile {
    guard let own = sections[Self.realServersName] else {
      if let near = misnamed.first(where: { $0.meant == .realServers }) {
        throw ConfigFileError(
          fileName: fileName, line: near.line,
          reason: "no [Real Servers] section; \(shown(section: near.name)) is not it: "
            + "write [Real Servers]")
      }
      throw error(
        "no [Real Servers] section; add one with an address on each line", hasLine: false)
    }
    // The entries of [DEFAULT] belong to every section, after its own.
    let added = sections[Self.defaultName]?.entries.filter { !own.keys.contains($0.key) } ?? []
    var realServers = [IPAddress]()
    realServers.reserveCapacity(own.entries.count + added.count)
    let entries = added.isEmpty ? own.entries : own.entries + added
    for entry in entries {
      guard let address = IPAddress(utf8: entry.key.utf8) else {
        let text = String(decoding: entry.key.utf8, as: UTF8.self)
        throw ConfigFileError(
          fileName: fileName, line: entry.line,
          reason: "\(PythonText.quoted(text, atMost: 80)) does not appear to be an IPv4 or IPv6 "
            + "address; write one address a line, a remark on a line of its own after #")
      }
      realServers.append(address)
    }
    if realServers.isEmpty {
      throw error(
        "real server list must not be empty; write an address on each line of [Real Servers]",
        hasLine: false)
    }
    return ConfigFile(
      realServers: realServers, realServerLines: entries.map(\.line),
      settings: Dictionary(
        values.map { ($0.key, $0.lines?.joined(separator: "\n")) }, uniquingKeysWith: { $1 }),
      fileName: fileName,
      settingLines: Dictionary(values.map { ($0.key, $0.line) }, uniquingKeysWith: { $1 }),
      warnings: warnings)
  }

  private var warnings: [String] {
    var result = misnamed.prefix(Self.mostMisnamed).map {
      "\(fileName), line \($0.line): section \(shown(section: $0.name)) is passed over; "
        + "write [\($0.meant.rawValue)] if that is meant"
    }
    if misnamed.count > Self.mostMisnamed {
      result.append(
        "\(fileName): \(grouped(misnamed.count - Self.mostMisnamed)) more sections like these are "
          + "passed over")
    }
    return result
  }

  private func error(_ reason: String, hasLine: Bool = true) -> ConfigFileError {
    ConfigFileError(fileName: fileName, line: hasLine ? lineNumber : nil, reason: reason)
  }

  // MARK: Text

  /// The range without blanks at both ends, and the column of its first character.
  private func stripped(_ range: Range<Int>) -> (text: Range<Int>, column: Int) {
    var (start, end, column) = (range.lowerBound, range.upperBound, 0)
    while start < end {
      let width = spaceWidth(at: start, end)
      if width == 0 { break }
      start += width
      column += 1
    }
    while end > start {
      // Blanks beyond ASCII take two or three octets.
      let width =
        bytes[end - 1] < 0x80
        ? spaceWidth(at: end - 1, end)
        : (2...3).first { end - $0 >= start && spaceWidth(at: end - $0, end) == $0 } ?? 0
      if width == 0 { break }
      end -= width
    }
    return (start..<end, column)
  }

  /// Octets of the blank (as Python's `str.isspace` has it) at an index, 0 if there is none.
  private func spaceWidth(at index: Int, _ end: Int) -> Int {
    let byte = bytes[index]
    // Printable ASCII is the usual case.
    if byte > 0x20, byte < 0x80 { return 0 }
    if byte < 0x80 { return PythonText.isSpace(Unicode.Scalar(byte)) ? 1 : 0 }
    let width = byte >= 0xe0 ? 3 : 2
    guard byte >= 0xc2, byte < 0xf0, index + width <= end else { return 0 }
    var value = UInt32(byte) & (width == 3 ? 0x0f : 0x1f)
    for next in bytes[(index + 1)..<(index + width)] {
      guard next & 0xc0 == 0x80 else { return 0 }
      value = value << 6 | UInt32(next & 0x3f)
    }
    return Unicode.Scalar(value).map { PythonText.isSpace($0) } == true ? width : 0
  }

  /// The name between the first `[`, which begins the line, and the last `]`.
  private func header(_ text: Range<Int>) -> Range<Int>? {
    guard bytes[text.lowerBound] == UInt8(ascii: "["),
      let last = bytes[text].lastIndex(of: UInt8(ascii: "]")), last > text.lowerBound + 1
    else { return nil }
    return (text.lowerBound + 1)..<last
  }

  private func lowercased(_ range: Range<Int>) -> ArraySlice<UInt8> {
    let slice = bytes[range]
    if slice.contains(where: { $0 >= 0x80 }) { return ArraySlice(string(range).lowercased().utf8) }
    let upper = UInt8(ascii: "A")...UInt8(ascii: "Z")
    return slice.contains(where: upper.contains)
      ? ArraySlice(slice.map { upper.contains($0) ? $0 + 0x20 : $0 }) : slice
  }

  private func string(_ range: Range<Int>) -> String {
    String(decoding: bytes[range], as: UTF8.self)
  }

  private func shown(section name: [UInt8]) -> String {
    "[\(PythonText.escaped(String(decoding: name, as: UTF8.self), atMost: 80))]"
  }

  private func shown(_ range: Range<Int>) -> String {
    PythonText.quoted(string(range), atMost: 80)
  }
}
