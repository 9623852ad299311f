// Changes as Redis keeps them: a field of a hash, and a record of the stream. Knows no connection.
//
// A client's field is its address (4 or 16 octets) and its port; the value is the time in ms (6 octets),
// the class (1: 0 newcomer, 1 answered, 2 resident, 3 forgotten, 4 unheard) and the real server's address (4 or 16;
// none where it is forgotten). What is forgotten stays as a value, so that no director whose change came
// late, or that was not there when it was said, brings it back.
// An override's field is VIRTUAL SERVER NUL ADDRESS, both as text; the value is the time and JSON.
// A record of the stream is a head, the field and the value. The head is the kind (1), the length of the
// virtual server's label (1; 0 for overrides) and the label, the lengths of field and value (2 each).
// Numbers are in network order.
import Control
import JSONCoding
import LoadBalancing

/// A change on its way to Redis.
struct StoredChange: Equatable {
  enum Kind: UInt8 {
    case association = 1
    case forgotten = 2
    case evicted = 3
    case override = 4
  }

  /// The hash, behind the prefix of all keys.
  let key: String
  let field: [UInt8]
  let value: [UInt8]
  /// Before field and value in a record.
  let head: [UInt8]

  /// How many hashes the clients of a virtual server are spread over. Those of up to 512 fields, as with
  /// 16,000,000 clients, take a third of the memory of larger ones (hash-max-listpack-entries).
  static let buckets: UInt16 = 32768

  /// - Returns: `nil` where a label or a field is longer than a record can have.
  init?(_ change: AssociationChange) {
    let kind: Kind
    var value = Array((0..<6).map { UInt8(truncatingIfNeeded: change.at >> (40 - 8 * $0)) })
    switch change {
    case .association(let association):
      kind = .association
      field = association.client.field
      value.append(association.classOctet)
      value += association.realServer.octets
    case .gone(let gone):
      kind = gone.reason == .forgotten ? .forgotten : .evicted
      field = gone.client.field
      if gone.reason == .forgotten { value.append(Self.forgotten) }
    case .override(let override):
      kind = .override
      field = Array("\(override.virtualServer)\0\(override.realServer)".utf8)
      let setting = OverrideSetting(state: override.state, weight: override.weight)
      guard let text = try? JSON.encode(setting) else { return nil }
      value += text
    }
    let label = kind == .override ? [] : Array(change.virtualServer.utf8)
    guard label.count <= 255, field.count <= Int(UInt16.max) else { return nil }
    key =
      kind == .override
      ? "overrides" : Self.key(of: change.virtualServer, CRC16.of(field) % Self.buckets)
    self.value = value
    head =
      [kind.rawValue, UInt8(label.count)] + label + UInt16(field.count).octets
      + UInt16(value.count).octets
  }

  /// The class of what is forgotten.
  static let forgotten: UInt8 = 3

  static func key(of virtualServer: String, _ bucket: UInt16) -> String {
    "a:\(virtualServer):\(bucket)"
  }

  /// The virtual server of a hash of clients, behind the prefix; `nil` where it is none.
  static func virtualServer(ofKey key: Substring) -> String? {
    guard key.hasPrefix("a:"), let colon = key.lastIndex(of: ":"), colon > key.startIndex,
      key.index(key.startIndex, offsetBy: 2) <= colon
    else { return nil }
    return String(key[key.index(key.startIndex, offsetBy: 2)..<colon])
  }
}

/// State and weight of an override as JSON; each may be `null`.
private struct OverrideSetting: Codable {
  let state: RealServer.State?
  let weight: Int?

  private enum CodingKeys: CodingKey { case state, weight }

  init(state: RealServer.State?, weight: Int?) {
    self.state = state
    self.weight = weight
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    state = try container.decode(String?.self, forKey: .state).map { name in
      guard let state = RealServer.State(rawValue: name) else {
        throw DecodingError.dataCorruptedError(
          forKey: .state, in: container, debugDescription: "no state of a real server: \(name)")
      }
      return state
    }
    weight = try container.decode(Int?.self, forKey: .weight)
    guard (0...RealServer.mostWeight).contains(weight ?? 0) else {
      throw DecodingError.dataCorruptedError(
        forKey: .weight, in: container, debugDescription: "no weight of a real server")
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    // Both are there, so that each version says the same of the same.
    try container.encode(state?.rawValue, forKey: .state)
    try container.encode(weight, forKey: .weight)
  }
}

extension AssociationChange {
  /// What an operator has forgotten: at all directors.
  var isForgotten: Bool {
    if case .gone(let gone) = self { gone.reason == .forgotten } else { false }
  }

  /// A field of a hash of clients.
  init?(virtualServer: String, field: ArraySlice<UInt8>, value: ArraySlice<UInt8>) {
    // The daemon takes nothing of a text with a line that is none.
    guard value.count >= 7, !virtualServer.isEmpty, let client = Client(field: field),
      client.port > 0
    else { return nil }
    let rest = value.dropFirst(7)
    let at = Self.time(value)
    if value[value.startIndex + 6] == StoredChange.forgotten {
      self = .gone(
        GoneAssociation(at: at, client: client, reason: .forgotten, virtualServer: virtualServer))
    } else {
      guard
        let (clientClass, isUnheard) = SharedAssociation.clientClass(
          octet: value[value.startIndex + 6]),
        rest.count == 4 || rest.count == 16
      else { return nil }
      self = .association(
        SharedAssociation(
          at: at, clientClass: clientClass, isUnheard: isUnheard, client: client,
          realServer: IPAddress(octets: Array(rest)), virtualServer: virtualServer))
    }
  }

  /// A field of the hash of overrides.
  init?(overrideField field: ArraySlice<UInt8>, value: ArraySlice<UInt8>) {
    guard value.count > 6, let end = field.firstIndex(of: 0),
      let virtualServer = String(validating: field[..<end], as: UTF8.self),
      let realServer = IPAddress(utf8: field[(end + 1)...]),
      let setting = try? JSON.decode(OverrideSetting.self, from: value.dropFirst(6))
    else { return nil }
    self = .override(
      SharedOverride(
        at: Self.time(value), realServer: realServer, state: setting.state,
        virtualServer: virtualServer, weight: setting.weight))
  }

  private static func time(_ value: ArraySlice<UInt8>) -> UInt64 {
    value.prefix(6).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// The records of an entry of the stream. What a later version may have put there is left out; `nil`
  /// where it is cut off.
  static func records(_ bytes: [UInt8]) -> [AssociationChange]? {
    var changes: [AssociationChange] = []
    var rest = bytes[...]
    func take(_ count: Int) -> ArraySlice<UInt8>? {
      guard rest.count >= count else { return nil }
      defer { rest = rest.dropFirst(count) }
      return rest.prefix(count)
    }
    func number() -> Int? { take(2).map { $0.reduce(0) { $0 << 8 | Int($1) } } }
    while !rest.isEmpty {
      guard let kind = take(1)?.first, let labelLength = take(1)?.first,
        let label = take(Int(labelLength)), let fieldLength = number(), let valueLength = number(),
        let field = take(fieldLength), let value = take(valueLength)
      else { return nil }
      switch StoredChange.Kind(rawValue: kind) {
      case .association?, .forgotten?:
        guard let virtualServer = String(validating: label, as: UTF8.self),
          let change = AssociationChange(virtualServer: virtualServer, field: field, value: value)
        else { continue }
        changes.append(change)
      case .override?:
        guard let change = AssociationChange(overrideField: field, value: value) else { continue }
        changes.append(change)
      case .evicted?, nil: break
      }
    }
    return changes
  }
}

extension SharedAssociation {
  fileprivate var classOctet: UInt8 {
    switch clientClass {
    case .newcomer: isUnheard ? 4 : 0
    case .answered: 1
    case .resident: 2
    }
  }

  fileprivate static func clientClass(octet: UInt8) -> (ClientClass, isUnheard: Bool)? {
    switch octet {
    case 0: (.newcomer, false)
    case 1: (.answered, false)
    case 2: (.resident, false)
    case 4: (.newcomer, true)
    default: nil
    }
  }
}

extension Client {
  fileprivate var field: [UInt8] { address.octets + port.octets }

  fileprivate init?(field: ArraySlice<UInt8>) {
    guard field.count == 6 || field.count == 18 else { return nil }
    let port = field.suffix(2).reduce(0) { $0 << 8 | UInt16($1) }
    self.init(address: IPAddress(octets: Array(field.dropLast(2))), port: port)
  }
}

extension UInt16 {
  fileprivate var octets: [UInt8] { [UInt8(self >> 8), UInt8(self & 0xff)] }
}

/// CRC-16/XMODEM, as Redis' cluster has it: polynomial 0x1021, begun with 0.
enum CRC16 {
  private static let table: [UInt16] = (0..<256 as Range<UInt16>).map { octet in
    (0..<8).reduce(octet << 8) { remainder, _ in
      remainder & 0x8000 != 0 ? remainder << 1 ^ 0x1021 : remainder << 1
    }
  }

  static func of(_ bytes: [UInt8]) -> UInt16 {
    bytes.reduce(0) { remainder, octet in
      remainder << 8 ^ table[Int(remainder >> 8) ^ Int(octet)]
    }
  }
}
