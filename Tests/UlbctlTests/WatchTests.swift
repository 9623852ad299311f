// ulbctl at a terminal: a pseudo-terminal that the test holds the other end of.
import Control
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import ulbctl

@Suite struct WatchTests {
  @Test(arguments: ["q", "\u{3}", "SIGTERM"])
  func theTerminalIsLeftAsItWas(_ end: String) async throws {
    let socket = try AnsweringSocket()
    try await elsewhere { [path = socket.path] in
      let terminal = try PseudoTerminal(["watch", "--interval", "0.1", "--socket", path])
      let before = terminal.settings
      try terminal.waitFor("Packets in")
      #expect(terminal.settings != before)
      terminal.resize(width: 40, height: 10)
      try terminal.waitFor("lines below")
      terminal.write("j")
      try terminal.waitFor("scroll")
      if end == "SIGTERM" { kill(terminal.pid, SIGTERM) } else { terminal.write(end) }
      #expect(try terminal.waitForExit() == 0)
      #expect(terminal.settings == before)
      #expect(terminal.output.hasPrefix("\u{1B}[?1049h\u{1B}[?25l\u{1B}[2J\u{1B}[H"))
      // The screen is erased once more for its new size, and otherwise line by line.
      #expect(terminal.output.components(separatedBy: "\u{1B}[2J").count == 3)
      #expect(!terminal.output.contains("\u{1B}[J"))
      #expect(terminal.output.hasSuffix("\u{1B}[?25h\u{1B}[?1049l"))
    }
    await socket.stop()
  }

  /// Nothing is erased behind a line's text: one that fills the screen would lose its last character,
  /// on which the cursor still stands.
  @Test func aLineIsErasedBeforeItIsWritten() {
    let lines = [Line("as wide as it is"), Line(), Line("red", .red)]
    #expect(
      FullScreen.text(lines, isColored: true)
        == "\u{1B}[H\u{1B}[Kas wide as it is\r\n\u{1B}[K\r\n\u{1B}[K\u{1B}[31mred\u{1B}[0m")
  }

  @Test func aDaemonThatGoesIsWaitedFor() async throws {
    let socket = try AnsweringSocket()
    let terminal = try PseudoTerminal(["watch", "--interval", "0.1", "--socket", socket.path])
    try await elsewhere { try terminal.waitFor("Packets in") }
    await socket.stop()
    try await elsewhere { try terminal.waitFor("no daemon answers") }
    let again = try AnsweringSocket(at: socket.path)
    try await elsewhere {
      try terminal.waitFor("Packets in", after: terminal.output)
      terminal.write("q")
      #expect(try terminal.waitForExit() == 0)
    }
    await again.stop()
  }

  @Test func colorsAreForTerminalsAlone() async throws {
    let socket = try AnsweringSocket()
    let problem = "\u{1B}[33m"
    let piped = try await ulbctl("status", "--no-rate", at: socket)
    #expect(!piped.standardOutput.contains("\u{1B}"))
    try await elsewhere { [path = socket.path] in
      let words = ["status", "--no-rate", "--socket", path]
      let colored = try PseudoTerminal(words)
      #expect(try colored.waitForExit() == 0)
      #expect(colored.output.contains(problem))
      let plain = try PseudoTerminal(words, environment: ["NO_COLOR": "1"])
      #expect(try plain.waitForExit() == 0)
      #expect(!plain.output.contains("\u{1B}"))
      #expect(plain.output.contains("192.168.100.101"))
    }
    await socket.stop()
  }

  @Test(arguments: [("y\n", 0), ("\n", 1)])
  func whoIsAskedMaySayNo(_ answer: String, _ status: Int32) async throws {
    let socket = try AnsweringSocket([
      "GET /v1/associations?class=newcomer&limit=0&count=true": .json(
        AssociationPage(associations: [], next: nil, count: 3)),
      "DELETE /v1/associations?class=newcomer": .json(Forgotten(forgotten: 3)),
    ])
    try await elsewhere { [path = socket.path] in
      let terminal = try PseudoTerminal(["forget", "--class", "newcomer", "--socket", path])
      try terminal.waitFor("Forget 3 associations that are newcomer? [y/N] ")
      terminal.write(answer)
      #expect(try terminal.waitForExit() == status)
    }
    #expect(socket.changes.count == (status == 0 ? 1 : 0))
    await socket.stop()
  }
}

/// A program with a terminal of 120 columns and 50 lines.
private final class PseudoTerminal: Sendable {
  private let process: Process
  private let descriptor: Int32
  /// Kept open, so that the terminal lasts longer than the program.
  private let other: FileHandle
  private let state: Shared

  private final class Shared: Sendable {
    let output = Mutex<[UInt8]>([])
  }

  init(_ arguments: [String], environment: [String: String] = [:]) throws {
    descriptor = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    // unlockpt(3) and ptsname(3) as ioctl_tty(2) has them.
    let (unlock, getNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)
    var (isLocked, number): (Int32, UInt32) = (0, 0)
    guard descriptor >= 0, ioctl(descriptor, unlock, &isLocked) == 0,
      ioctl(descriptor, getNumber, &number) == 0,
      case let end = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC), end >= 0
    else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    other = FileHandle(fileDescriptor: end, closeOnDealloc: true)
    process = Process()
    process.executableURL = URL(fileURLWithPath: Package.operatorCommand)
    process.arguments = arguments
    process.environment = ["TERM": "xterm-256color"].merging(environment) { $1 }
    (process.standardInput, process.standardOutput, process.standardError) = (other, other, other)
    state = Shared()
    setSize(width: 120, height: 50)
    Thread.detachNewThread { [descriptor, state] in
      var octets = [UInt8](repeating: 0, count: 4096)
      while case let count = Glibc.read(descriptor, &octets, octets.count), count > 0 {
        state.output.withLock { $0 += octets.prefix(count) }
      }
    }
    try process.run()
  }

  deinit {
    if process.isRunning { process.terminate() }
    close(descriptor)
  }

  var pid: pid_t { process.processIdentifier }

  /// Without the carriage returns that the terminal adds to line feeds.
  var output: String {
    String(decoding: state.output.withLock { $0.filter { $0 != 13 } }, as: UTF8.self)
  }

  /// What the terminal does with what is typed.
  var settings: [UInt32] {
    var settings = termios()
    tcgetattr(other.fileDescriptor, &settings)
    return [settings.c_iflag, settings.c_oflag, settings.c_cflag, settings.c_lflag]
  }

  func write(_ text: String) {
    _ = Array(text.utf8).withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
  }

  /// As a terminal's window tells the program in front.
  func resize(width: UInt16, height: UInt16) {
    setSize(width: width, height: height)
    kill(pid, SIGWINCH)
  }

  private func setSize(width: UInt16, height: UInt16) {
    var size = winsize(ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(descriptor, UInt(TIOCSWINSZ), &size)
  }

  /// - Parameter before: what was there already, and does not count.
  func waitFor(_ text: String, after before: String = "") throws {
    guard waitUntil({ output.dropFirst(before.count).contains(text) }) else {
      throw TimedOut("'\(text)' on the terminal, which showed:\n\(output)")
    }
  }

  func waitForExit() throws -> Int32 {
    guard waitUntil({ !process.isRunning }) else { throw TimedOut("the end of ulbctl") }
    // What it wrote last is still to be read.
    guard waitUntil(timeout: .seconds(5), { isRead }) else { throw TimedOut("the last output") }
    return process.terminationStatus
  }

  private var isRead: Bool {
    var waiting: Int32 = 0
    return ioctl(descriptor, UInt(FIONREAD), &waiting) == 0 && waiting == 0
  }
}
