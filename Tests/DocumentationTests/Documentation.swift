// The files that are made for packages, made once for all tests.
import Foundation
import TestSupport

struct Documentation {
  private let directory: TemporaryDirectory

  /// The one that all tests look at.
  static let made = Result { try Documentation() }

  static let pages = [
    "ulb.8", "ulbctl.8", "ulb-sync.8", "ulb.conf.5", "ulb-sync.conf.5", "ulb@.service.8",
  ]

  init() throws {
    directory = try TemporaryDirectory()
    // The last second of January 2026.
    try runSuccessfully(
      ["env", "SOURCE_DATE_EPOCH=1769903999", Package.documentation, directory.path])
  }

  func path(_ inside: String) -> String { directory.path(of: inside) }

  func text(_ inside: String) throws -> String {
    try String(contentsOfFile: path(inside), encoding: .utf8)
  }

  /// A page as a terminal shows it, on lines that are never too short.
  func shown(_ page: String) throws -> String {
    let lines = try runSuccessfully(
      ["mandoc", "-T", "utf8", "-O", "width=1000", path("man/\(page)")])
    // A letter that is struck over another one is bold or underlined.
    return lines.joined(separator: "\n").replacing(/.\u{8}/, with: "")
  }

  /// What stands literally in a page's section, a block each.
  func literals(_ page: String, in section: String) throws -> [String] {
    let text = try text("man/\(page)")
    let lines =
      text.components(separatedBy: "\n.Sh \(section)\n").last?
      .components(separatedBy: "\n.Sh ").first ?? ""
    return lines.matches(of: /\n\.Bd -literal[^\n]*\n(?<text>[\s\S]*?)\n\.Ed/).map {
      String($0.output.text).replacing(#"\-"#, with: "-").replacing(#"\e"#, with: #"\"#)
    }
  }
}

extension String {
  /// Words alone, for texts that are broken into lines elsewhere, and without what ulb.py's help has and
  /// a page has not.
  var words: String {
    replacing("<Required> ", with: "").replacing(" :", with: ":").lowercased()
      .split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }
}
