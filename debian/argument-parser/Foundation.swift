// In the place of ArgumentParser's file of this name. That has Foundation's JSON for its dump of the
// commands, and would link 6 MB with it. debian/rules puts beside it what JSONCoding writes with.

extension Error {
  func describe() -> String { String(describing: self) }
}

enum JSONEncoder {
  static func encode(_ value: some Encodable) -> String {
    guard let element = try? JSONNode.element(value) else { return "" }
    var text = JSONText()
    text.append(element)
    return String(decoding: text.octets, as: UTF8.self)
  }
}
