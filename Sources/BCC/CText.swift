// Text in C structs.
import Glibc

extension String {
  /// The text in a C array of characters, up to its null byte or its end.
  public init<CharacterArray>(cArray array: CharacterArray) {
    self = withUnsafeBytes(of: array) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  /// The name of a directory's entry. The record that readdir(3) gives may end behind the name, and
  /// its buffer there: to copy the struct would be to read beyond.
  public init(nameOf entry: UnsafeMutablePointer<dirent>) {
    let offset = MemoryLayout<dirent>.offset(of: \.d_name)!
    self.init(
      cString: (UnsafeRawPointer(entry) + offset).assumingMemoryBound(to: CChar.self))
  }
}
