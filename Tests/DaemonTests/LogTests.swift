// What the daemon's own lines look like, and what becomes of those that nobody reads.
import Foundation
import LoadBalancing
import Testing

@testable import ulb

@Suite struct LogTests {
  private func message(_ line: String) throws -> String {
    let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
    return try #require((object as? [String: String])?["message"])
  }

  @Test(arguments: ["x", "\u{1}", "🜂"]) func aLongMessageIsStillAnObject(character: String) throws {
    let pipe = try Pipe()
    let log = Log(format: .json, family: .ipv4, output: Output(pipe.writing))
    log.error(String(repeating: character, count: 300_000))
    log.error("the next")
    let lines = pipe.read(while: log.flush)
    #expect(lines.count == 2)
    #expect(lines[0].utf8.count <= Output.longestLine)
    let text = try message(lines[0])
    #expect(text.hasPrefix(String(repeating: character, count: 2000)))
    #expect(text.hasSuffix(" bytes more)"))
    #expect(try message(lines[1]) == "the next")
  }

  @Test func linesThatNobodyReadAreCounted() throws {
    let pipe = try Pipe()
    let log = Log(format: .text, family: .ipv4, output: Output(pipe.writing))
    for _ in 0..<400 { log.error(String(repeating: "x", count: 992)) }
    let written = pipe.read(while: log.flush)
    #expect(written.count < 400)
    log.error("read again")
    #expect(
      pipe.read(while: log.flush) == [
        "WARNING: \(400 - written.count) line(s) of this log were lost here", "ERROR: read again",
      ])
  }
}
