// Texts as mdoc(7) wants them, also those that no help has today.
import Testing

@testable import documentation

@Suite struct MdocTests {
  @Test func whatWouldBeAMacroIsText() {
    #expect(Mdoc.filled(".conf is read") == #"\&.conf is read"#)
    #expect(Mdoc.filled("'eth0' is meant") == #"\&'eth0' is meant"#)
    #expect(Mdoc.filled(#"C:\new"#) == #"C:\enew"#)
    #expect(Mdoc.literal([".conf", #"a \"#]) == "\\&.conf\na \\e")
  }

  @Test func dashesOfOptionsAreNoHyphens() {
    #expect(
      Mdoc.filled("Not with --no-rate, (-i) or ulb-web.")
        == #"Not with \-\-no\-rate, (\-i) or ulb-web."#)
  }

  @Test func eachSentenceBeginsALine() {
    #expect(
      Mdoc.filled("One, e.g. 10.40.0.1. Two, 1.5 s. --three. (default: 4) Five")
        == "One, e.g. 10.40.0.1.\nTwo, 1.5 s.\n\\-\\-three.\n(default: 4)\nFive")
  }

  @Test func linesAreShortAndNoneBeginsWithAPoint() {
    let text = String(repeating: "word ", count: 15) + "wo .conf 'x'"
    #expect(
      Mdoc.filled(text)
        == String(repeating: "word ", count: 15) + "wo\n\\&.conf 'x'")
  }

  @Test func aListEndsWithAnd() {
    #expect(Mdoc.list([".Cm a"]) == ".Cm a")
    #expect(Mdoc.list([".Cm a", ".Cm b"]) == ".Cm a\nand\n.Cm b")
    #expect(Mdoc.list([".Cm a", ".Cm b", ".Cm c"]) == ".Cm a ,\n.Cm b\nand\n.Cm c")
  }
}
