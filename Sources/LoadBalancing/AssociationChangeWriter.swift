// Changes as JSON lines: text is put together, as there may be millions.

/// Writes changes as objects on a line each, their members sorted by name.
public struct AssociationChangeWriter: Sendable {
  /// Labels as JSON writes them.
  private var labels: [String: [UInt8]] = [:]

  public init() {}

  public mutating func append(_ change: AssociationChange, to text: inout [UInt8]) {
    switch change {
    case .association(let association):
      append(association.at, to: &text)
      text += Self.beginning(association)
      association.client.appendText(to: &text)
      text += #"","real_server":""#.utf8
      association.realServer.appendText(to: &text)
      text += #"","virtual_server":"#.utf8
      append(label: association.virtualServer, to: &text)
    case .gone(let gone):
      append(gone.at, to: &text)
      text += #","client":""#.utf8
      gone.client.appendText(to: &text)
      text += #"","gone":"\#(gone.reason.rawValue)","virtual_server":"#.utf8
      append(label: gone.virtualServer, to: &text)
    case .override(let override):
      append(override.at, to: &text)
      text += #","real_server":""#.utf8
      override.realServer.appendText(to: &text)
      text += #"","state":"#.utf8
      text += (override.state.map { #""\#($0.rawValue)""# } ?? "null").utf8
      text += #","virtual_server":"#.utf8
      append(label: override.virtualServer, to: &text)
      text += #","weight":\#(override.weight.map { "\($0)" } ?? "null")"#.utf8
    }
    text += "}\n".utf8
  }

  /// A line that tells where who reads on is.
  public static func line(_ cursor: ChangeCursor, isReset: Bool = false) -> [UInt8] {
    Array(#"{"cursor":"\#(cursor)"\#(isReset ? #","reset":true"# : "")}\#n"#.utf8)
  }

  private func append(_ time: UInt64, to text: inout [UInt8]) {
    text += #"{"at":"#.utf8
    text.append(decimal: time)
  }

  private mutating func append(label: String, to text: inout [UInt8]) {
    if let known = labels[label] {
      text += known
    } else {
      let octets = Array(JSONLine.text(label).utf8)
      labels[label] = octets
      text += octets
    }
  }

  private static func beginning(_ association: SharedAssociation) -> String.UTF8View {
    switch association.clientClass {
    case .newcomer where association.isUnheard: #","class":"unheard","client":""#.utf8
    case .newcomer: #","class":"newcomer","client":""#.utf8
    case .answered: #","class":"answered","client":""#.utf8
    case .resident: #","class":"resident","client":""#.utf8
    }
  }
}
