// The content of the config file: which lists of real servers it has, and of which virtual servers.
// Knows the sections and what stands behind a real server's "=", not the other settings' values.
import LoadBalancing

/// Why a config file, or the file of a list, is refused.
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
  /// A list of real servers, as a section has it.
  struct RealServerList: Sendable, Equatable {
    var servers: [RealServer] = []
    /// The line of each, counted from 1.
    var lines: [Int] = []

    func line(ofServer index: Int) -> Int? { lines.indices.contains(index) ? lines[index] : nil }
  }

  /// A key of a section and its raw value.
  struct Setting: Sendable, Equatable {
    /// In lower case.
    let key: String
    /// `nil` where there is no `=`.
    let value: String?
    /// Counted from 1.
    let line: Int
  }

  /// A virtual server beside the command line's.
  struct VirtualServerSection: Sendable, Equatable {
    let name: String
    /// The line of its header, counted from 1.
    let line: Int
    /// In the order of their lines.
    let settings: [Setting]
    let list: RealServerList
  }

  /// The real servers of [Real Servers] in their order, then those of [DEFAULT]; never empty. Two
  /// spellings of one IPv6 address are two entries.
  let list: RealServerList
  /// Those of [ulb], in the order of their lines.
  let ownSettings: [Setting]
  /// In their order.
  let virtualServers: [VirtualServerSection]
  /// What is not refused but hardly meant, a line each: file, line, the fact and the mend.
  public let warnings: [String]
  /// The name for messages.
  public let fileName: String

  /// Reads a whole file. A name or value may be any UTF-8; the file must be UTF-8.
  ///
  /// - Parameter fileName: the name for messages.
  /// - Throws: what ulb.py refuses too, bytes that are not UTF-8, virtual servers without a list of
  ///   real servers, such lists without a virtual server, and weights that are none.
  public static func parse(
    _ bytes: [UInt8], fileName: String
  ) throws(ConfigFileError) -> ConfigFile {
    var reader = try Reader(bytes, fileName: fileName)
    return try reader.read()
  }
}

/// Makes of the sections what they mean.
private struct Reader {
  typealias Section = ConfigSections.Section

  /// The most misnamed sections, and lines with words that mean nothing, that are named one by one.
  private static let most = 8

  private let sections: ConfigSections
  private let fileName: String
  /// What is said of words that mean nothing, and behind how many addresses they are.
  private var ignored: [String] = []
  private var ignoredCount = 0

  init(_ bytes: [UInt8], fileName: String) throws(ConfigFileError) {
    sections = try ConfigSections(bytes, fileName: fileName)
    self.fileName = fileName
  }

  mutating func read() throws(ConfigFileError) -> ConfigFile {
    guard let own = sections.sections[.realServers(of: nil)] else {
      if let near = misnamed(for: .realServers(of: nil)) {
        throw error(
          "no [Real Servers] section; \(SectionName.shown(near.name)) is not it: "
            + "write [Real Servers]", line: near.line)
      }
      throw error("no [Real Servers] section; add one with an address on each line", line: nil)
    }
    // configparser gives the entries of [DEFAULT] to every section, after its own. Here they go to
    // [Real Servers] alone: what is an address for one section is no setting for another, and of the
    // other family for a third.
    let defaults = sections.sections[.defaults]
    let list = try list(own, defaults, of: .realServers(of: nil), emptyAt: nil)
    let virtualServers = try virtualServers()
    return ConfigFile(
      list: list, ownSettings: sections.sections[.settings].map(settings) ?? [],
      virtualServers: virtualServers, warnings: warnings, fileName: fileName)
  }

  private mutating func virtualServers() throws(ConfigFileError)
    -> [ConfigFile.VirtualServerSection]
  {
    let named = sections.sections.sorted { $0.value.line < $1.value.line }
    var result = [ConfigFile.VirtualServerSection]()
    for (name, section) in named {
      switch name {
      case .realServers(let server?):
        let needed = SectionName.virtualServer(server)
        if sections.sections[needed] == nil {
          throw missing(needed, for: name, at: section.line, "with port = PORT")
        }
      case .virtualServer(let server):
        let listName = SectionName.realServers(of: server)
        guard let list = sections.sections[listName] else {
          throw missing(listName, for: name, at: section.line, "with an address on each line")
        }
        result.append(
          ConfigFile.VirtualServerSection(
            name: server, line: section.line, settings: settings(section),
            list: try self.list(list, nil, of: listName, emptyAt: list.line)))
      case .realServers(nil), .settings, .defaults: break
      }
    }
    return result
  }

  /// - Parameters:
  ///   - more: a section whose entries come after the list's own.
  ///   - line: where an empty list is.
  private mutating func list(
    _ own: Section, _ more: Section?, of name: SectionName, emptyAt line: Int?
  ) throws(ConfigFileError) -> ConfigFile.RealServerList {
    let added = more?.entries.filter { !own.keys.contains($0.key) } ?? []
    var list = ConfigFile.RealServerList()
    list.servers.reserveCapacity(own.entries.count + added.count)
    list.lines.reserveCapacity(own.entries.count + added.count)
    for entry in own.entries {
      try append(entry, entry.value.map { own.values[$0] }, to: &list)
    }
    for entry in added { try append(entry, entry.value.map { more!.values[$0] }, to: &list) }
    if list.servers.isEmpty {
      throw error(
        "real server list must not be empty; write an address on each line of \(name.shown)",
        line: line)
    }
    return list
  }

  private mutating func append(
    _ entry: ConfigSections.Entry, _ value: [ConfigSections.Line]?,
    to list: inout ConfigFile.RealServerList
  ) throws(ConfigFileError) {
    guard let address = IPAddress(utf8: entry.key.utf8) else {
      throw error(
        "\(PythonText.quoted(entry.key.description, atMost: 80)) does not appear to be an IPv4 or "
          + "IPv6 address; write one address a line, a remark on a line of its own after #",
        line: entry.line)
    }
    var server = RealServer(address)
    if let value { try set(value, of: &server, at: entry.line) }
    list.servers.append(server)
    list.lines.append(entry.line)
  }

  private func settings(_ section: Section) -> [ConfigFile.Setting] {
    section.entries.map { entry in
      ConfigFile.Setting(
        key: entry.key.description,
        value: entry.value.map { sections.text(of: section.values[$0]) },
        line: entry.line)
    }
  }

  // MARK: A real server's settings

  /// Reads what stands behind a real server's `=`: words between blanks or commas.
  private mutating func set(
    _ value: [ConfigSections.Line], of server: inout RealServer, at line: Int
  ) throws(ConfigFileError) {
    let words = value.flatMap { line in
      String(decoding: sections.bytes[line.text], as: UTF8.self).unicodeScalars
        .split { $0 == "," || PythonText.isSpace($0) }
        .map { (text: String($0), line: line.number) }
    }
    var hasWeight = false
    var unknown = [String]()
    var next = words.startIndex
    while next < words.endIndex {
      let word = words[next]
      next += 1
      switch word.text.lowercased() {
      case "drain": server.state = .draining
      case "weight":
        func wrong(_ fact: String, line: Int) -> ConfigFileError {
          error(
            "\(server.address) = \(fact); write weight N with a number from 0 to "
              + "\(RealServer.mostWeight)", line: line)
        }
        if hasWeight { throw wrong("weight is given twice", line: word.line) }
        guard next < words.endIndex else {
          throw wrong("weight has no number", line: word.line)
        }
        let number = words[next]
        next += 1
        guard let weight = PythonText.integer(number.text)?.value,
          (0...RealServer.mostWeight).contains(weight)
        else {
          throw wrong(
            "weight \(PythonText.quoted(number.text, atMost: 80)) is none", line: number.line)
        }
        server.weight = weight
        hasWeight = true
      default: unknown.append(word.text)
      }
    }
    if unknown.isEmpty { return }
    ignoredCount += 1
    if ignored.count < Self.most {
      let text = PythonText.quoted(unknown.joined(separator: " "), atMost: 80)
      ignored.append(
        "\(fileName), line \(line): \(text) behind \(server.address) = is ignored; "
          + "what is known there is weight N and drain")
    }
  }

  // MARK: What is said

  /// The first section that seems to be meant for another.
  private func misnamed(for name: SectionName) -> ConfigSections.Misnamed? {
    sections.misnamed.first { near in
      switch (name, near.meant) {
      case (.realServers(of: nil), .realServers): true
      case (.virtualServer, .anyVirtualServer): true
      default: near.meant == name
      }
    }
  }

  /// - Parameters:
  ///   - name: a section that there has to be.
  ///   - other: the section that it belongs to.
  private func missing(
    _ name: SectionName, for other: SectionName, at line: Int, _ content: String
  ) -> ConfigFileError {
    if let near = misnamed(for: name) {
      return error(
        "\(other.shown) has no \(name.shown); \(SectionName.shown(near.name)) on line "
          + "\(near.line) is not it: write \(name.shown)", line: line)
    }
    return error(
      "\(other.shown) has no \(name.shown); add one \(content), or remove \(other.shown)",
      line: line)
  }

  private var warnings: [String] {
    var result = sections.misnamed.prefix(Self.most).map {
      "\(fileName), line \($0.line): section \(SectionName.shown($0.name)) is passed over; "
        + "write \($0.meant.shown) if that is meant"
    }
    let more = sections.misnamed.count - Self.most
    if more > 0 {
      result.append("\(fileName): \(grouped(more)) more sections like these are passed over")
    }
    result += ignored
    if ignoredCount > ignored.count {
      result.append(
        "\(fileName): what stands behind \(grouped(ignoredCount - ignored.count)) more addresses "
          + "is ignored")
    }
    return result
  }

  private func error(_ reason: String, line: Int?) -> ConfigFileError {
    ConfigFileError(fileName: fileName, line: line, reason: reason)
  }
}
