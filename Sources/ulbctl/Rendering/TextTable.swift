// A table with aligned columns that gives up columns before it wraps. Pure.

/// A table of text.
struct TextTable: Sendable {
  struct Column: Sendable {
    enum Alignment: Sendable { case left, right }

    let title: String
    let alignment: Alignment
    /// What is left out first where the table is too wide: the highest. One of 0 always stays.
    let rank: Int
    /// What it takes at least, beside its title.
    let width: Int

    init(_ title: String, _ alignment: Alignment = .right, rank: Int = 0, width: Int = 0) {
      self.title = title
      self.alignment = alignment
      self.rank = rank
      self.width = width
    }
  }

  let columns: [Column]
  /// As many cells as columns each.
  var rows: [[Span]] = []
  /// Stands before each line.
  var indentation = 0

  init(_ columns: [Column], indentation: Int = 0) {
    self.columns = columns
    self.indentation = indentation
  }

  mutating func add(_ cells: [Span]) {
    precondition(cells.count == columns.count, "a row has a cell for each column")
    rows.append(cells)
  }

  /// - Parameter width: what there is room for; `nil` for as much as it takes.
  func lines(width: Int? = nil) -> [Line] {
    let widths = columns.indices.map { index in
      rows.reduce(max(columns[index].title.count, columns[index].width)) {
        max($0, $1[index].text.count)
      }
    }
    var shown = Array(columns.indices)
    if let width {
      while indentation + shown.reduce(0, { $0 + widths[$1] + 1 }) - 1 > width,
        let last = shown.filter({ columns[$0].rank > 0 }).max(by: {
          columns[$0].rank < columns[$1].rank
        })
      {
        shown.removeAll { $0 == last }
      }
    }
    func line(_ cells: [Span]) -> Line {
      var spans = indentation > 0 ? [Span(String(repeating: " ", count: indentation))] : []
      for (place, index) in shown.enumerated() {
        if place > 0 { spans.append(Span(" ")) }
        let cell = cells[index]
        let text =
          switch columns[index].alignment {
          case .left: cell.text.padded(to: widths[index])
          case .right: cell.text.leftPadded(to: widths[index])
          }
        spans.append(Span(text, cell.tint))
      }
      return Line(spans)
    }
    return [line(columns.map { Span($0.title, .dim) })] + rows.map(line)
  }
}
