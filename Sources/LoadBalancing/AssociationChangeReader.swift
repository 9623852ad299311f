// Changes from JSON lines. There may be millions: lines as the writer writes them are read octet by
// octet, all others by a JSON decoder.
import JSONCoding

/// Reads changes, an object on a line each, and what tells where who reads them is.
public struct AssociationChangeReader {
  /// A line of a director's stream of changes.
  public enum Line: Hashable, Sendable {
    case change(AssociationChange)
    /// Where to go on from; with a reset what follows is the whole.
    case cursor(ChangeCursor, isReset: Bool)
  }

  /// What is done with a member that this version does not know.
  public enum UnknownMembers: Sendable {
    /// The line is none: who wrote it is told that not all of it is taken.
    case refused
    /// As what a newer director tells may have more to it.
    case ignored
  }

  /// A line that is no change.
  public struct Malformed: Error, Equatable {
    /// Counted from 1.
    public let line: Int

    public init(line: Int) { self.line = line }
  }

  private typealias Octets = UnsafeBufferPointer<UInt8>

  private let unknownMembers: UnknownMembers
  /// The label that was read last, and as it stood there: most lines have the same.
  private var label = (text: "", written: [UInt8]())

  public init(unknownMembers: UnknownMembers) { self.unknownMembers = unknownMembers }

  /// A line without its end; `nil` where it is neither a change nor a cursor.
  public mutating func read(line: ArraySlice<UInt8>) -> Line? {
    line.withUnsafeBufferPointer { read(line: $0) }
  }

  private mutating func read(line: Octets) -> Line? {
    if let change = readWritten(line) { return .change(change) }
    return Line(json: line, unknownMembers)
  }

  /// All changes of a text, in which nothing else may be. The last line may be without an end.
  public static func read(_ text: [UInt8]) throws(Malformed) -> [AssociationChange] {
    var reader = AssociationChangeReader(unknownMembers: .refused)
    let changes = text.withUnsafeBufferPointer { reader.read($0) }
    return try changes.get()
  }

  private mutating func read(_ text: Octets) -> Result<[AssociationChange], Malformed> {
    var changes: [AssociationChange] = []
    changes.reserveCapacity(text.count / 96)
    var rest = text[...]
    while !rest.isEmpty {
      let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
      let line = Octets(rebasing: rest[..<end])
      guard case .change(let change)? = read(line: line) else {
        return .failure(Malformed(line: changes.count + 1))
      }
      changes.append(change)
      rest = rest[min(end + 1, rest.endIndex)...]
    }
    return .success(changes)
  }

  // MARK: Lines as they are written

  /// `nil` where it is another text, be it a change or not.
  private mutating func readWritten(_ line: Octets) -> AssociationChange? {
    var cursor = LineCursor(line)
    guard cursor.skip(#"{"at":"#), let at = cursor.number(), at <= AssociationChange.latest else {
      return nil
    }
    if cursor.skip(#","class":""#) {
      guard
        let (clientClass, isUnheard) = cursor.string().flatMap({
          SharedAssociation.clientClass(called: $0)
        }),
        cursor.skip(#","client":""#), let client = cursor.string().flatMap({ Client(utf8: $0) }),
        cursor.skip(#","real_server":""#), let realServer = cursor.string().flatMap(Self.address),
        let label = readLabel(&cursor), cursor.skip("}"), cursor.isAtEnd
      else { return nil }
      return .association(
        SharedAssociation(
          at: at, clientClass: clientClass, isUnheard: isUnheard, client: client,
          realServer: realServer, virtualServer: label))
    }
    guard cursor.skip(#","client":""#), let client = cursor.string().flatMap({ Client(utf8: $0) }),
      cursor.skip(#","gone":""#),
      let reason = cursor.string().flatMap({
        GoneAssociation.Reason(rawValue: String(decoding: $0, as: UTF8.self))
      }),
      let label = readLabel(&cursor), cursor.skip("}"), cursor.isAtEnd
    else { return nil }
    return .gone(GoneAssociation(at: at, client: client, reason: reason, virtualServer: label))
  }

  private mutating func readLabel(_ cursor: inout LineCursor) -> String? {
    guard cursor.skip(#","virtual_server":""#), let octets = cursor.escapedString(),
      !octets.isEmpty
    else { return nil }
    if !octets.elementsEqual(label.written) {
      let quote = [UInt8(ascii: "\"")]
      let text =
        octets.contains(UInt8(ascii: "\\"))
        ? try? JSON.decode(String.self, from: quote + octets + quote)
        : String(validating: octets, as: UTF8.self)
      guard let text else { return nil }
      label = (text, Array(octets))
    }
    return label.text
  }

  private static func address(_ octets: Octets) -> IPAddress? {
    octets.contains(UInt8(ascii: "%")) ? nil : IPAddress(utf8: octets)
  }
}

/// Walks along a line.
private struct LineCursor {
  private let line: UnsafeBufferPointer<UInt8>
  private var index = 0

  init(_ line: UnsafeBufferPointer<UInt8>) { self.line = line }

  var isAtEnd: Bool { index == line.count }

  /// Goes behind a text, where it comes next.
  mutating func skip(_ text: StaticString) -> Bool {
    let length = text.utf8CodeUnitCount
    guard line.count - index >= length else { return false }
    for offset in 0..<length where line[index + offset] != text.utf8Start[offset] { return false }
    index += length
    return true
  }

  /// A number without leading zeros.
  mutating func number() -> UInt64? {
    let start = index
    var number: UInt64 = 0
    while index < line.count, index - start < 16 {
      let digit = line[index] &- UInt8(ascii: "0")
      guard digit < 10 else { break }
      number = number * 10 + UInt64(digit)
      index += 1
    }
    guard index > start, index - start == 1 || line[start] != UInt8(ascii: "0") else { return nil }
    return number
  }

  /// What stands up to the next quote; `nil` where it is not printable ASCII, or has a backslash.
  mutating func string() -> UnsafeBufferPointer<UInt8>? {
    let start = index
    while index < line.count {
      switch line[index] {
      case UInt8(ascii: "\""):
        index += 1
        return UnsafeBufferPointer(rebasing: line[start..<(index - 1)])
      case UInt8(ascii: "\\"), ..<0x20, 0x7f...: return nil
      default: index += 1
      }
    }
    return nil
  }

  /// What stands up to the next quote that has no backslash before it; `nil` where a control character
  /// is in it.
  mutating func escapedString() -> UnsafeBufferPointer<UInt8>? {
    let start = index
    while index < line.count {
      switch line[index] {
      case UInt8(ascii: "\""):
        index += 1
        return UnsafeBufferPointer(rebasing: line[start..<(index - 1)])
      case ..<0x20: return nil
      case UInt8(ascii: "\\"): index += 2
      default: index += 1
      }
    }
    return nil
  }
}

// MARK: - Any other order and spacing

/// A member of an object.
private enum Member: Decodable, Equatable {
  case null
  case number(UInt64)
  case text(String)
  case flag(Bool)
  /// What no line has that this version knows.
  case other

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else if let number = try? container.decode(UInt64.self) {
      self = .number(number)
    } else if let flag = try? container.decode(Bool.self) {
      self = .flag(flag)
    } else {
      self = .other
    }
  }

  var text: String? { if case .text(let text) = self { text } else { nil } }
  var number: UInt64? { if case .number(let number) = self { number } else { nil } }
}

/// The members of an object.
private struct Members {
  private let members: [String: Member]
  private let unknownMembers: AssociationChangeReader.UnknownMembers

  /// `nil` where it is no object.
  init?(
    json line: UnsafeBufferPointer<UInt8>, _ unknownMembers: AssociationChangeReader.UnknownMembers
  ) {
    guard let members = try? JSON.decode([String: Member].self, from: line) else { return nil }
    self.members = members
    self.unknownMembers = unknownMembers
  }

  subscript(name: String) -> Member? { members[name] }

  /// Whether these are there, and no others where they are refused.
  func have(_ names: Set<String>) -> Bool {
    switch unknownMembers {
    case .refused: names == Set(members.keys)
    case .ignored: names.isSubset(of: members.keys)
    }
  }
}

extension AssociationChangeReader.Line {
  /// Of the members of one kind of line, all of them.
  fileprivate init?(
    json line: UnsafeBufferPointer<UInt8>, _ unknownMembers: AssociationChangeReader.UnknownMembers
  ) {
    guard let members = Members(json: line, unknownMembers) else { return nil }
    if members["cursor"] != nil {
      let reset = members["reset"]
      guard members.have(reset == nil ? ["cursor"] : ["cursor", "reset"]),
        let cursor = members["cursor"]?.text.flatMap({ ChangeCursor($0) }),
        reset == nil || reset == .flag(true) || reset == .flag(false)
      else { return nil }
      self = .cursor(cursor, isReset: reset == .flag(true))
    } else {
      guard let change = AssociationChange(members) else { return nil }
      self = .change(change)
    }
  }
}

extension AssociationChange {
  fileprivate init?(_ members: Members) {
    guard let at = members["at"]?.number, at <= AssociationChange.latest,
      let label = members["virtual_server"]?.text, !label.isEmpty
    else { return nil }
    if members.have(["at", "client", "gone", "virtual_server"]) {
      guard let client = members["client"]?.text.flatMap({ Client($0) }),
        let reason = members["gone"]?.text.flatMap(GoneAssociation.Reason.init)
      else { return nil }
      self = .gone(GoneAssociation(at: at, client: client, reason: reason, virtualServer: label))
      return
    }
    guard let text = members["real_server"]?.text, !text.contains("%"),
      let realServer = IPAddress(text)
    else { return nil }
    if members.have(["at", "class", "client", "real_server", "virtual_server"]) {
      guard let client = members["client"]?.text.flatMap({ Client($0) }),
        let (clientClass, isUnheard) = members["class"]?.text.flatMap({
          SharedAssociation.clientClass(called: $0.utf8)
        })
      else { return nil }
      self = .association(
        SharedAssociation(
          at: at, clientClass: clientClass, isUnheard: isUnheard, client: client,
          realServer: realServer, virtualServer: label))
    } else if members.have(["at", "real_server", "state", "virtual_server", "weight"]) {
      let state = members["state"]?.text.flatMap(RealServer.State.init)
      let weight = members["weight"]?.number.flatMap { Int(exactly: $0) }
      guard state != nil || members["state"] == .null, weight != nil || members["weight"] == .null,
        weight ?? 0 <= RealServer.mostWeight
      else { return nil }
      self = .override(
        SharedOverride(
          at: at, realServer: realServer, state: state, virtualServer: label, weight: weight))
    } else {
      return nil
    }
  }
}
