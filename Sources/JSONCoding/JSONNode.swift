// What a value encodes of itself, until it is written: members are sorted then.

enum JSONElement {
  /// A number, `true`, `false` or `null`, as it is written.
  case literal(String)
  case string(String)
  case node(JSONNode)
}

/// An object, unless its value asks for an array or is a single one.
final class JSONNode: Encoder {
  let codingPath: [any CodingKey] = []
  let userInfo: [CodingUserInfoKey: Any] = [:]

  fileprivate(set) var isArray = false
  fileprivate(set) var elements: [JSONElement] = []
  /// Of the elements of an object.
  fileprivate(set) var names: [String] = []
  /// Where it is none of both.
  private var single: JSONElement?

  static func element<Value: Encodable>(_ value: Value) throws -> JSONElement {
    switch Value.self {
    case is String.Type: return .string(value as! String)
    case is Bool.Type: return .literal(value as! Bool ? "true" : "false")
    case is Double.Type: return try number(value as! Double)
    case is Float.Type: return try number(value as! Float)
    case is Int.Type, is UInt64.Type, is UInt8.Type, is UInt16.Type, is UInt32.Type, is UInt.Type,
      is Int64.Type, is Int32.Type, is Int16.Type, is Int8.Type:
      return .literal("\(value)")
    default:
      let node = JSONNode()
      try value.encode(to: node)
      return node.single ?? .node(node)
    }
  }

  private static func number(
    _ number: some BinaryFloatingPoint & Encodable & CustomStringConvertible
  ) throws -> JSONElement {
    guard number.isFinite else {
      throw EncodingError.invalidValue(
        number,
        EncodingError.Context(codingPath: [], debugDescription: "\(number) is no number in JSON"))
    }
    let text = number.description
    return .literal(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    KeyedEncodingContainer(Members<Key>(node: self))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    isArray = true
    return Elements(node: self)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { Single(node: self) }

  private struct Members<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: JSONNode
    let codingPath: [any CodingKey] = []

    private func append(_ element: JSONElement, _ key: any CodingKey) {
      node.names.append(key.stringValue)
      node.elements.append(element)
    }

    private func appendNode(_ key: any CodingKey) -> JSONNode {
      let node = JSONNode()
      append(.node(node), key)
      return node
    }

    func encodeNil(forKey key: Key) { append(.literal("null"), key) }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
      append(try JSONNode.element(value), key)
    }

    func nestedContainer<NestedKey: CodingKey>(
      keyedBy type: NestedKey.Type, forKey key: Key
    ) -> KeyedEncodingContainer<NestedKey> {
      appendNode(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
      appendNode(key).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { appendNode(SuperKey.super) }
    func superEncoder(forKey key: Key) -> any Encoder { appendNode(key) }
  }

  private struct Elements: UnkeyedEncodingContainer {
    let node: JSONNode
    let codingPath: [any CodingKey] = []
    var count: Int { node.elements.count }

    private func appendNode() -> JSONNode {
      let node = JSONNode()
      self.node.elements.append(.node(node))
      return node
    }

    func encodeNil() { node.elements.append(.literal("null")) }

    func encode<Value: Encodable>(_ value: Value) throws {
      node.elements.append(try JSONNode.element(value))
    }

    func nestedContainer<NestedKey: CodingKey>(
      keyedBy type: NestedKey.Type
    ) -> KeyedEncodingContainer<NestedKey> {
      appendNode().container(keyedBy: type)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
      appendNode().unkeyedContainer()
    }

    func superEncoder() -> any Encoder { appendNode() }
  }

  private struct Single: SingleValueEncodingContainer {
    let node: JSONNode
    let codingPath: [any CodingKey] = []

    func encodeNil() { node.single = .literal("null") }
    func encode<Value: Encodable>(_ value: Value) throws {
      node.single = try JSONNode.element(value)
    }
  }
}

/// What the part of a value is called that its superclass has encoded.
enum SuperKey: String, CodingKey {
  case `super`
}
