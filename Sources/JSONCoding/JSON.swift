// The one way in which JSON (RFC 8259) is written and read. Not Foundation's: any use of that links all of
// it, with regular expressions 6 MB, half as much as all else of ulbctl.

public enum JSON {
  /// On one line, members sorted by name.
  public static func encode(_ value: some Encodable) throws -> [UInt8] {
    var text = JSONText()
    text.append(try JSONNode.element(value))
    return text.octets
  }

  /// - Throws: `DecodingError`.
  public static func decode<Value: Decodable>(
    _ type: Value.Type, from bytes: some Sequence<UInt8>
  ) throws -> Value {
    let value: JSONValue
    do throws(MalformedJSON) {
      value = try JSONValue(bytes)
    } catch {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(
          codingPath: [], debugDescription: "The given data was not valid JSON."))
    }
    return try JSONReader(value, at: .root).read(type)
  }
}
