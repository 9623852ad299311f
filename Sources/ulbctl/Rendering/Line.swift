// Lines of text with colors, before anybody knows whether there is a terminal. Pure.
import LoadBalancing

/// What a span of a line is to look like where colors are wanted.
enum Tint: String, Sendable {
  case plain = ""
  case bold = "1"
  case dim = "2"
  case red = "31"
  case green = "32"
  case yellow = "33"
  case cyan = "36"
  /// What an operator must not overlook.
  case alarm = "1;31"
}

/// Text of one tint.
struct Span: Sendable, Equatable {
  var text: String
  var tint: Tint

  init(_ text: String, _ tint: Tint = .plain) {
    self.text = text.onOneLine
    self.tint = tint
  }
}

/// A line of a screen. A character takes one column: addresses, numbers, box drawing.
struct Line: Sendable, Equatable {
  var spans: [Span]

  init(_ spans: [Span] = []) { self.spans = spans }
  init(_ text: String, _ tint: Tint = .plain) { spans = [Span(text, tint)] }

  var width: Int { spans.reduce(0) { $0 + $1.text.count } }

  static func + (left: Line, right: Line) -> Line { Line(left.spans + right.spans) }

  /// The line's beginning, `…` at its end where something is cut off.
  func cut(at width: Int) -> Line {
    guard self.width > width else { return self }
    guard width > 0 else { return Line() }
    var (left, spans) = (width - 1, [Span]())
    for span in self.spans where left > 0 {
      spans.append(Span(String(span.text.prefix(left)), span.tint))
      left -= spans.last!.text.count
    }
    return Line(spans + [Span("…")])
  }

  /// The line as several where it is too wide, broken at blanks alone: a word that is wider stays
  /// whole. What stands in the first columns stays, and is left free below.
  ///
  /// - Parameters:
  ///   - width: what there is room for; nothing for as much as it takes.
  ///   - indentation: how many columns are left free in the lines below.
  func wrapped(_ width: Int?, by indentation: Int) -> [Line] {
    guard let width, self.width > width else { return [self] }
    let blank = Span(String(repeating: " ", count: indentation))
    var lines: [Line] = []
    var line = Line()
    for span in spans {
      // Each word with the blanks before it.
      var rest = span.text[...]
      while !rest.isEmpty {
        let start = rest.firstIndex { $0 != " " } ?? rest.endIndex
        let end = rest[start...].firstIndex(of: " ") ?? rest.endIndex
        let (blanks, word) = (rest[..<start], rest[start..<end])
        if line.width + blanks.count + word.count > width, line.width > indentation {
          lines.append(line)
          line = Line([blank, Span(String(word), span.tint)])
        } else if line.spans.last?.tint == span.tint {
          line.spans[line.spans.count - 1].text += blanks + word
        } else {
          line.spans.append(Span(String(blanks + word), span.tint))
        }
        rest = rest[end...]
      }
    }
    return lines + [line]
  }

  /// - Parameter isColored: whether escape sequences are wanted (ECMA-48, section 8.3.117).
  func text(isColored: Bool) -> String {
    let text = spans.map { span in
      isColored && span.tint != .plain && !span.text.isEmpty
        ? "\u{1B}[\(span.tint.rawValue)m\(span.text)\u{1B}[0m" : span.text
    }.joined()
    // What was padded for a column that is the last needs no blanks.
    guard !isColored, let end = text.lastIndex(where: { $0 != " " }) else {
      return isColored ? text : ""
    }
    return String(text[...end])
  }
}

extension [Line] {
  /// The lines with an end each.
  func text(isColored: Bool) -> String {
    map { $0.text(isColored: isColored) + "\n" }.joined()
  }
}

extension String {
  func padded(to width: Int) -> String {
    self + String(repeating: " ", count: Swift.max(0, width - count))
  }

  func leftPadded(to width: Int) -> String {
    String(repeating: " ", count: Swift.max(0, width - count)) + self
  }
}
