// The daemon's lines: GET /v1/associations/changes, and what POST /v1/associations takes.
import Control
import LoadBalancing

/// A line of the daemon's stream of changes.
public enum ChangeLine: Sendable, Equatable {
  case change(SharedChange)
  /// Where to go on from; with a reset what follows is the whole.
  case cursor(String, isReset: Bool)

  /// `nil` where a line is neither.
  public init?(_ line: ArraySlice<UInt8>) {
    guard let members = FlatObject(line) else { return nil }
    if let cursor = members.text("cursor") {
      if case .bool(true)? = members["reset"] {
        self = .cursor(cursor, isReset: true)
      } else {
        self = .cursor(cursor, isReset: false)
      }
      return
    }
    guard let change = SharedChange(members) else { return nil }
    self = .change(change)
  }
}

extension SharedChange {
  fileprivate init?(_ members: FlatObject) {
    guard let at = members.number("at"), at < 1 << 48,
      let virtualServer = members.text("virtual_server"), let change = Change(members)
    else { return nil }
    self.init(at: at, virtualServer: virtualServer, change)
  }
}

extension Change {
  fileprivate init?(_ members: FlatObject) {
    if let text = members.text("client") {
      guard let client = Client(text) else { return nil }
      switch members.text("gone") {
      case "forgotten"?: self = .forgotten(client: client)
      case "evicted"?: self = .evicted(client: client)
      case nil:
        guard let known = members.text("class").flatMap({ AssociationClass(rawValue: $0) }),
          let realServer = members.text("real_server").flatMap({ IPAddress($0) })
        else { return nil }
        self = .association(client: client, class: known, realServer: realServer)
      default: return nil
      }
    } else {
      guard let realServer = members.text("real_server").flatMap({ IPAddress($0) }),
        let setting = OverrideMembers(members)
      else { return nil }
      self = .override(realServer: realServer, state: setting.state, weight: setting.weight)
    }
  }
}

/// State and weight of an override as JSON; each may be `null`.
struct OverrideMembers {
  let state: RealServer.State?
  let weight: Int?

  init?(_ members: FlatObject) {
    switch members["state"] {
    case .text(let name)?:
      guard let state = RealServer.State(rawValue: name) else { return nil }
      self.state = state
    case .null?: state = nil
    default: return nil
    }
    switch members["weight"] {
    case .number(let number)?:
      guard number <= UInt64(RealServer.mostWeight) else { return nil }
      weight = Int(number)
    case .null?: weight = nil
    default: return nil
    }
  }

  init(state: RealServer.State?, weight: Int?) {
    self.state = state
    self.weight = weight
  }

  var stateText: String { state.map { "\"\($0.rawValue)\"" } ?? "null" }
  var weightText: String { weight.map { String($0) } ?? "null" }
}

/// Writes changes as the daemon reads them: a line each, members sorted by name.
public struct ChangeWriter {
  public private(set) var bytes: [UInt8] = []
  public private(set) var count = 0
  /// What virtual servers are called in JSON, as a member.
  private var labels: [String: [UInt8]] = [:]

  public init() {}

  public mutating func append(_ change: SharedChange) {
    add(#"{"at":"#)
    bytes.append(decimal: change.at)
    switch change.change {
    case .association(let client, let known, let realServer):
      add(#","class":""#)
      add(known.rawValue + "\"")
      add(client)
      add(#","real_server":""#)
      realServer.appendText(to: &bytes)
      add("\"")
      addLabel(of: change)
    case .forgotten(let client):
      add(client)
      add(#","gone":"forgotten""#)
      addLabel(of: change)
    case .evicted(let client):
      add(client)
      add(#","gone":"evicted""#)
      addLabel(of: change)
    case .override(let realServer, let state, let weight):
      let setting = OverrideMembers(state: state, weight: weight)
      add(#","real_server":""#)
      realServer.appendText(to: &bytes)
      add(#"","state":"# + setting.stateText)
      addLabel(of: change)
      add(#","weight":"# + setting.weightText)
    }
    add("}\n")
    count += 1
  }

  /// Gives away what has been written.
  mutating func take() -> (bytes: [UInt8], count: Int) {
    defer { (bytes, count) = ([], 0) }
    return (bytes, count)
  }

  private mutating func add(_ text: String) { bytes += text.utf8 }

  private mutating func add(_ client: Client) {
    add(#","client":""#)
    client.appendText(to: &bytes)
    add("\"")
  }

  private mutating func addLabel(of change: SharedChange) {
    if labels[change.virtualServer] == nil {
      let label = (try? JSON.encode(change.virtualServer)) ?? Array("\"\"".utf8)
      labels[change.virtualServer] = Array(#","virtual_server":"#.utf8) + label
    }
    bytes += labels[change.virtualServer]!
  }
}
