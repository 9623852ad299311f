// Bars and curves of block characters (Unicode, U+2580 ff.). Pure.

/// How full something is, in eighths of a character.
func bar(_ part: Double, width: Int) -> String {
  let part = part.isFinite ? min(max(part, 0), 1) : 0
  // What is not empty is not shown as empty, and full is full alone.
  var eighths = Int(part * Double(width * 8))
  if part > 0, eighths == 0 { eighths = 1 }
  let whole = String(repeating: "█", count: eighths / 8)
  let blocks = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
  return (whole + blocks[eighths % 8]).padded(to: width)
}

/// The last values as a curve, the newest at the right; what is not known is a blank.
///
/// - Parameter top: what the highest block is, so that several curves can be compared.
func sparkline(_ values: some BidirectionalCollection<Double?>, width: Int, top: Double) -> String {
  let blocks = Array("▁▂▃▄▅▆▇█")
  let shown = values.suffix(width)
  let curve = shown.map { value -> Character in
    guard let value, value.isFinite, value >= 0 else { return " " }
    guard top > 0, value > 0 else { return blocks[0] }
    // Nothing is the lowest block alone, as far as there are others.
    return blocks[min(max(Int((value / top * 7).rounded(.up)), 1), 7)]
  }
  return String(curve).leftPadded(to: width)
}
