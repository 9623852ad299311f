// Lines of any length to readers of any speed: nothing ends or stops the daemon.
import Glibc
import Testing

@testable import ulb

@Suite struct OutputTests {
  @Test(arguments: [256 << 10, 1 << 20, 8 << 20])
  func aLineOfAnyLengthIsCutWithAMark(length: Int) throws {
    let pipe = try Pipe()
    let output = Output(pipe.writing)
    #expect(output.write(String(repeating: "x", count: length), spare: false))
    #expect(output.write("the next", spare: false))
    let lines = pipe.read(while: output.flush)
    #expect(lines.count == 2)
    let mark = "… (\(length - Output.longestLine) bytes more)"
    let isCut = lines.first == String(repeating: "x", count: Output.longestLine) + mark
    #expect(isCut)
    #expect(lines.last == "the next")
  }

  @Test func noCharacterIsCutInTwo() throws {
    let pipe = try Pipe()
    let output = Output(pipe.writing)
    // Each is 4 bytes long, and one byte goes before the first.
    #expect(output.write("x" + String(repeating: "🜂", count: 20_000), spare: false))
    let line = try #require(pipe.read(while: output.flush).first)
    // Not the whole line, which would fill the report of a failure.
    #expect(line.suffix(21) == "🜂… (\(80_001 - Output.longestLine + 3) bytes more)")
  }

  @Test func theLongestLineIsWhole() throws {
    let pipe = try Pipe()
    let output = Output(pipe.writing)
    let line = String(repeating: "x", count: Output.longestLine)
    #expect(output.write(line, spare: true))
    let isWhole = pipe.read(while: output.flush) == [line]
    #expect(isWhole)
  }

  @Test(arguments: [true, false]) func whatAStalledReaderDoesNotTakeIsRefusedAtOnce(spare: Bool)
    throws
  {
    let pipe = try Pipe()
    let output = Output(pipe.writing)
    let line = String(repeating: "x", count: 9_999)
    let start = ContinuousClock.now
    let taken = (0..<1000).count { _ in output.write(line, spare: spare) }
    #expect(ContinuousClock.now - start < .seconds(10))
    #expect((1..<1000).contains(taken))
    // Whoever reads again finds all that was taken, whole, and what comes next.
    let areWhole = pipe.read(while: output.flush) == [String](repeating: line, count: taken)
    #expect(areWhole)
    #expect(output.write("the next", spare: spare))
    #expect(pipe.read(while: output.flush) == ["the next"])
  }

  @Test func aLineThatCannotBeSparedGoesWhereOneThatCanDoesNot() throws {
    let pipe = try Pipe()
    let output = Output(pipe.writing)
    let line = String(repeating: "x", count: 9_999)
    while output.write(line, spare: true) {}
    #expect(output.write("important", spare: false))
    #expect(pipe.read(while: output.flush).last == "important")
  }

  @Test func aSlowReaderGetsLongLinesWhole() throws {
    let pipe = try Pipe()
    let output = Output(pipe.writing)
    var received: [UInt8] = []
    for _ in 0..<50 {
      #expect(output.write(String(repeating: "y", count: 30_000), spare: false))
      for _ in 0..<31 {
        received += pipe.take(1000)
        output.flush()
      }
    }
    received += pipe.read(while: output.flush).joined().utf8
    #expect(received.count { $0 == UInt8(ascii: "y") } == 50 * 30_000)
  }

  @Test func aReaderThatHasGoneCostsNothing() throws {
    signal(SIGPIPE, SIG_IGN)
    let pipe = try Pipe()
    let output = Output(pipe.writing)
    pipe.closeReading()
    let start = ContinuousClock.now
    for _ in 0..<1000 {
      #expect(output.write(String(repeating: "x", count: 9_999), spare: true))
      output.flush()
    }
    output.drain()
    #expect(ContinuousClock.now - start < .seconds(5))
  }
}
