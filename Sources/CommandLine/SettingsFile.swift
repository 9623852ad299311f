// A file of settings alone: KEY = VALUE in each line. Knows no key's meaning.
import LoadBalancing

/// What the lines of a file set, in their order.
public struct SettingsFile: Sendable {
  public struct Setting: Sendable {
    public let key: String
    public let value: String
    /// Counted from 1.
    public let line: Int
  }

  public let settings: [Setting]
  /// The name for messages.
  public let fileName: String

  /// Reads a whole file: UTF-8, blanks around key and value do not count, a line that begins with `#` or
  /// `;` is a remark.
  ///
  /// - Parameter keys: those that there are; any other is refused, and one that comes twice.
  public init(_ bytes: [UInt8], fileName: String, keys: [String]) throws(ConfigFileError) {
    self.fileName = fileName
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw ConfigFileError(
        fileName: fileName, line: nil, reason: "not UTF-8 text; save the file as UTF-8")
    }
    var settings: [Setting] = []
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    for (index, line) in lines.enumerated() {
      func error(_ reason: String) -> ConfigFileError {
        ConfigFileError(fileName: fileName, line: index + 1, reason: reason)
      }
      let line = Self.trimmed(line)
      if line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") { continue }
      guard let equals = line.firstIndex(of: "=") else {
        throw error(
          "\(PythonText.quoted(String(line), atMost: 80)) is no setting; write KEY = VALUE")
      }
      let key = Self.trimmed(line[..<equals]).lowercased()
      guard keys.contains(key) else {
        throw error(
          "\(PythonText.quoted(key, atMost: 80)) is no setting; what is known is "
            + keys.joined(separator: ", "))
      }
      if let before = settings.first(where: { $0.key == key }) {
        throw error("\(key) stands on line \(before.line) already; remove one of the two")
      }
      let value = Self.trimmed(line[line.index(after: equals)...])
      if value.isEmpty { throw error("\(key) has no value; write one, or remove the line") }
      settings.append(Setting(key: key, value: String(value), line: index + 1))
    }
    self.settings = settings
  }

  /// The setting of a key; `nil` where it has none.
  public subscript(key: String) -> Setting? { settings.first { $0.key == key } }

  /// Why the value of a setting will not do.
  public func error(_ setting: Setting, _ reason: String) -> ConfigFileError {
    ConfigFileError(
      fileName: fileName, line: setting.line,
      reason: "\(setting.key) = \(PythonText.quoted(setting.value, atMost: 80)): \(reason)")
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text
    while let first = text.unicodeScalars.first, PythonText.isSpace(first) {
      text.unicodeScalars.removeFirst()
    }
    while let last = text.unicodeScalars.last, PythonText.isSpace(last) {
      text.unicodeScalars.removeLast()
    }
    return text
  }
}
