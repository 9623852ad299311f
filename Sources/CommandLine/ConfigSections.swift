// The grammar of the config file: what Python's configparser accepts (allow_no_value, "=" the
// only delimiter, strict). Reads bytes, not files, and knows no entry's meaning.
import LoadBalancing

/// The sections of a config file that mean something, as configparser reads them.
struct ConfigSections {
  /// A line of a value, without the blanks around it.
  struct Line {
    let text: Range<Int>
    /// Counted from 1.
    let number: Int
  }

  struct Entry {
    /// What stands before the `=`, in lower case.
    let key: ConfigKey
    /// Counted from 1.
    let line: Int
    /// The index of its value in ``Section/values``; `nil` without a `=`.
    let value: Int?
  }

  struct Section {
    /// The line of its header, counted from 1.
    let line: Int
    fileprivate(set) var entries: [Entry] = []
    fileprivate(set) var keys: Set<ConfigKey> = []
    /// A value's first line stands behind the `=`, the others continue it.
    fileprivate(set) var values: [[Line]] = []
  }

  /// A section that is passed over although it seems to be meant for one of ulb's.
  struct Misnamed {
    let name: [UInt8]
    let meant: SectionName
    let line: Int
  }

  let bytes: [UInt8]
  fileprivate(set) var sections: [SectionName: Section] = [:]
  /// In the order of the file.
  fileprivate(set) var misnamed: [Misnamed] = []

  /// Reads a whole file, which must be UTF-8.
  init(_ bytes: [UInt8], fileName: String) throws(ConfigFileError) {
    self.bytes = bytes
    var reader = SectionReader(bytes: bytes, fileName: fileName)
    try reader.read(into: &self)
  }

  /// A value's lines, joined by newlines.
  func text(of value: [Line]) -> String {
    value.map { String(decoding: bytes[$0.text], as: UTF8.self) }.joined(separator: "\n")
  }
}

/// A key of a section, compared octet by octet: Swift's strings would call two spellings of one
/// accented letter equal, Python's do not.
struct ConfigKey: Hashable, CustomStringConvertible {
  let utf8: ArraySlice<UInt8>

  static func == (left: ConfigKey, right: ConfigKey) -> Bool { left.utf8 == right.utf8 }

  func hash(into hasher: inout Hasher) {
    utf8.withUnsafeBytes { hasher.combine(bytes: $0) }
  }

  var description: String { String(decoding: utf8, as: UTF8.self) }
}

private struct SectionReader {
  /// From so many entries on a section is taken for one that goes on.
  private static let longList = 1024

  private let bytes: [UInt8]
  private let fileName: String
  private var lineNumber = 0
  /// The end of the line that is being read.
  private var position = 0
  private var names: Set<[UInt8]> = []
  /// The open section: what it is, if it is one of ulb's, and its content.
  private var section: (name: SectionName?, content: ConfigSections.Section)?
  /// Columns of the last line that was no continuation.
  private var indentation = 0
  /// The last key has lines to come: `nil` without a key, false for a key without `=`.
  private var takesContinuation: Bool?

  init(bytes: [UInt8], fileName: String) {
    self.bytes = bytes
    self.fileName = fileName
  }

  mutating func read(into result: inout ConfigSections) throws(ConfigFileError) {
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
      try readLine(start..<end, into: &result)
      let isPair =
        end + 1 < bytes.count && bytes[end] == UInt8(ascii: "\r")
        && bytes[end + 1] == UInt8(ascii: "\n")
      start = end + (isPair ? 2 : 1)
    }
    closeSection(&result)
  }

  // MARK: Lines

  private mutating func readLine(
    _ line: Range<Int>, into result: inout ConfigSections
  ) throws(ConfigFileError) {
    let (text, column) = stripped(line)
    guard let first = text.first.map({ bytes[$0] }) else {
      // A blank line is part of a value only in the middle, where it separates lines.
      return
    }
    if first == UInt8(ascii: "#") || first == UInt8(ascii: ";") { return }
    if section != nil, let takesContinuation, column > indentation {
      guard takesContinuation else {
        throw error(
          "\(shown(text)) is indented deeper than the entry above it and would continue a value "
            + "that is not there; indent all entries alike")
      }
      add(text)
      return
    }
    indentation = column
    if let name = header(text) {
      try open(name, into: &result)
    } else if section == nil {
      throw error("\(shown(text)) stands before any section; begin the file with [Real Servers]")
    } else {
      try readOption(text)
    }
  }

  private mutating func open(
    _ range: Range<Int>, into result: inout ConfigSections
  ) throws(ConfigFileError) {
    closeSection(&result)
    let octets = Array(bytes[range])
    let name = SectionName(exactly: octets)
    if !names.insert(octets).inserted, name != .defaults {
      throw error(
        "section \(SectionName.shown(octets)) already exists; put its lines into one section")
    }
    if let meant = SectionName.meant(by: octets) {
      result.misnamed.append(.init(name: octets, meant: meant, line: lineNumber))
    }
    var content = name.flatMap { result.sections.removeValue(forKey: $0) }
    if let name, name != .defaults, let line = content?.line {
      throw error(
        "section \(name.shown) already exists on line \(line), in another spelling; "
          + "put its lines into one section")
    }
    if content == nil { content = ConfigSections.Section(line: lineNumber) }
    section = content.map { (name, $0) }
    takesContinuation = nil
  }

  private mutating func closeSection(_ result: inout ConfigSections) {
    if let section, let name = section.name { result.sections[name] = section.content }
    section = nil
  }

  private mutating func readOption(_ text: Range<Int>) throws(ConfigFileError) {
    let equals = bytes[text].firstIndex(of: UInt8(ascii: "="))
    let name = equals.map { stripped(text.lowerBound..<$0).text } ?? text
    if name.isEmpty { throw error("\(shown(text)) has nothing before the =; write an address") }
    let key = ConfigKey(utf8: lowercased(name))
    if section?.content.keys.insert(key).inserted == false {
      throw error("\(shown(name)) stands in its section already; remove one of the two")
    }
    if section?.content.keys.count == Self.longList {
      // Room for the rest at once, within bounds: noise can be long, too.
      section?.content.keys.reserveCapacity(min((bytes.count - position) / 12, 1 << 17))
    }
    takesContinuation = equals != nil
    // Of the sections of others it is only looked whether a key comes twice.
    guard section?.name != nil else { return }
    let value = equals.flatMap { _ in section?.content.values.count }
    section?.content.entries.append(.init(key: key, line: lineNumber, value: value))
    if let equals {
      section?.content.values.append([])
      add(stripped((equals + 1)..<text.upperBound).text)
    }
  }

  /// Appends a line to the last value of the open section, where its values are kept.
  private mutating func add(_ text: Range<Int>) {
    guard let count = section?.content.values.count, count > 0 else { return }
    section?.content.values[count - 1].append(.init(text: text, number: lineNumber))
  }

  private func error(_ reason: String) -> ConfigFileError {
    ConfigFileError(fileName: fileName, line: lineNumber, reason: reason)
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

  private func shown(_ range: Range<Int>) -> String {
    PythonText.quoted(string(range), atMost: 80)
  }
}
