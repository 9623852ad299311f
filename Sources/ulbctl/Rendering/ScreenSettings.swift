// What a screen is drawn for. Pure.

/// How wide, how exact, and when.
struct ScreenSettings: Sendable {
  /// Columns there are; nothing where it is no terminal: as much as it takes.
  var width: Int?
  /// Lines there are; nothing for as many as it takes.
  var height: Int?
  var format = NumberFormat.compact
  /// In seconds since 1970.
  var now = secondsSince1970()
}
