// Text in C structs.

extension String {
  /// The text in a C array of characters, up to its null byte or its end.
  public init<CharacterArray>(cArray array: CharacterArray) {
    self = withUnsafeBytes(of: array) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
