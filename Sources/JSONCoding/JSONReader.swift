// Makes values of what was read.

/// Where a value stands.
indirect enum JSONPath {
  case root
  case member(any CodingKey, JSONPath)
  case element(Int, JSONPath)

  var keys: [any CodingKey] {
    switch self {
    case .root: []
    case .member(let key, let path): path.keys + [key]
    case .element(let index, let path): path.keys + [Index(intValue: index)]
    }
  }

  struct Index: CodingKey {
    let index: Int
    var intValue: Int? { index }
    var stringValue: String { "Index \(index)" }

    init(intValue: Int) { index = intValue }
    init?(stringValue: String) { return nil }
  }
}

struct JSONReader: Decoder, SingleValueDecodingContainer {
  private let value: JSONValue
  private let path: JSONPath
  var codingPath: [any CodingKey] { path.keys }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  init(_ value: JSONValue, at path: JSONPath) {
    self.value = value
    self.path = path
  }

  // MARK: Values

  func read<Value: Decodable>(_ type: Value.Type) throws -> Value {
    // Where the type is known to the compiler, it leaves one of these.
    switch type {
    case is String.Type: try string() as! Value
    case is Bool.Type: try flag() as! Value
    case is Int.Type: try integer(Int.self) as! Value
    case is UInt64.Type: try integer(UInt64.self) as! Value
    case is UInt8.Type: try integer(UInt8.self) as! Value
    case is UInt16.Type: try integer(UInt16.self) as! Value
    case is UInt32.Type: try integer(UInt32.self) as! Value
    case is UInt.Type: try integer(UInt.self) as! Value
    case is Int64.Type: try integer(Int64.self) as! Value
    case is Int32.Type: try integer(Int32.self) as! Value
    case is Int16.Type: try integer(Int16.self) as! Value
    case is Int8.Type: try integer(Int8.self) as! Value
    case is Double.Type: try real(Double.self) as! Value
    case is Float.Type: try real(Float.self) as! Value
    default: try Value(from: self)
    }
  }

  private func string() throws -> String {
    guard case .string(let string) = value else { throw mismatch(String.self) }
    return string
  }

  private func flag() throws -> Bool {
    guard case .flag(let flag) = value else { throw mismatch(Bool.self) }
    return flag
  }

  private func integer<Integer: FixedWidthInteger>(_ type: Integer.Type) throws -> Integer {
    guard case .number(let text) = value else { throw mismatch(type) }
    if let integer = Integer(text) { return integer }
    // 1.0 and 1e2 are integers as well, as far as a Double has them all.
    guard let real = Double(text), real.magnitude < 0x1p53, let integer = Integer(exactly: real)
    else { throw corrupted("\(text) is no \(type)") }
    return integer
  }

  private func real<Real: BinaryFloatingPoint & LosslessStringConvertible>(
    _ type: Real.Type
  ) throws -> Real {
    guard case .number(let text) = value else { throw mismatch(type) }
    guard let real = Real(text), real.isFinite else { throw corrupted("\(text) is no \(type)") }
    return real
  }

  // MARK: Errors

  private func corrupted(_ description: String) -> DecodingError {
    .dataCorrupted(DecodingError.Context(codingPath: codingPath, debugDescription: description))
  }

  private func mismatch(_ type: Any.Type) -> DecodingError {
    let found =
      switch value {
      case .null: "null"
      case .flag: "bool"
      case .number: "number"
      case .string: "a string"
      case .array: "an array"
      case .object: "a dictionary"
      }
    let context = DecodingError.Context(
      codingPath: codingPath,
      debugDescription: "Expected to decode \(type) but found \(found) instead.")
    if case .null = value { return .valueNotFound(type, context) }
    return .typeMismatch(type, context)
  }

  // MARK: Decoder

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard case .object(let members) = value else { throw mismatch([String: Any].self) }
    return KeyedDecodingContainer(Members<Key>(members: members, path: path))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard case .array(let elements) = value else { throw mismatch([Any].self) }
    return Elements(elements: elements, path: path)
  }

  func singleValueContainer() -> any SingleValueDecodingContainer { self }

  func decodeNil() -> Bool {
    if case .null = value { true } else { false }
  }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try read(type) }

  private struct Members<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let members: [String: JSONValue]
    let path: JSONPath
    var codingPath: [any CodingKey] { path.keys }
    var allKeys: [Key] { members.keys.compactMap(Key.init) }

    func contains(_ key: Key) -> Bool { members[key.stringValue] != nil }

    private func reader(_ key: any CodingKey) throws -> JSONReader {
      guard let value = members[key.stringValue] else {
        throw DecodingError.keyNotFound(
          key,
          DecodingError.Context(
            codingPath: codingPath,
            debugDescription: "No value associated with key \"\(key.stringValue)\"."))
      }
      return JSONReader(value, at: .member(key, path))
    }

    func decodeNil(forKey key: Key) throws -> Bool { try reader(key).decodeNil() }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
      try reader(key).read(type)
    }

    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
      guard let value = members[key.stringValue] else { return nil }
      let reader = JSONReader(value, at: .member(key, path))
      return reader.decodeNil() ? nil : try reader.read(type)
    }

    func nestedContainer<NestedKey: CodingKey>(
      keyedBy type: NestedKey.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<NestedKey> {
      try reader(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
      try reader(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { try reader(SuperKey.super) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try reader(key) }
  }

  private struct Elements: UnkeyedDecodingContainer {
    let elements: [JSONValue]
    let path: JSONPath
    var codingPath: [any CodingKey] { path.keys }
    private(set) var currentIndex = 0
    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex == elements.count }

    init(elements: [JSONValue], path: JSONPath) {
      self.elements = elements
      self.path = path
    }

    private func reader(for type: Any.Type) throws -> JSONReader {
      guard !isAtEnd else {
        throw DecodingError.valueNotFound(
          type,
          DecodingError.Context(
            codingPath: codingPath, debugDescription: "Unkeyed container is at end."))
      }
      return JSONReader(elements[currentIndex], at: .element(currentIndex, path))
    }

    mutating func decodeNil() throws -> Bool {
      guard try reader(for: Never.self).decodeNil() else { return false }
      currentIndex += 1
      return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
      let value = try reader(for: type).read(type)
      currentIndex += 1
      return value
    }

    mutating func nestedContainer<NestedKey: CodingKey>(
      keyedBy type: NestedKey.Type
    ) throws -> KeyedDecodingContainer<NestedKey> {
      let container = try reader(for: [String: Any].self).container(keyedBy: type)
      currentIndex += 1
      return container
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
      let container = try reader(for: [Any].self).unkeyedContainer()
      currentIndex += 1
      return container
    }

    mutating func superDecoder() throws -> any Decoder {
      let reader = try reader(for: (any Decoder).self)
      currentIndex += 1
      return reader
    }
  }
}
