// Which daemon is meant may be said before the verb.
import Testing

@testable import ulbctl

@Suite struct VerbFirstTests {
  @Test(arguments: [
    ("-i eth0 status", "status -i eth0"),
    ("--socket /run/s --json drain 10.0.0.2", "drain --socket /run/s --json 10.0.0.2"),
    ("--socket=/run/s --interface=eth0 client c", "client --socket=/run/s --interface=eth0 c"),
    ("status -i eth0", "status -i eth0"),
    ("--help", "--help"), ("-i eth0", "-i eth0"), ("-i", "-i"), ("", ""),
    ("--colour status", "--colour status"), ("-i eth0 --colour status", "-i eth0 --colour status"),
  ])
  func whatNamesTheDaemonGoesBehindTheVerb(_ typed: String, _ arranged: String) {
    func words(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }
    #expect(VerbFirst.arrange(words(typed)) == words(arranged))
  }
}
