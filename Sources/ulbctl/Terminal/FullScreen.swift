// The whole terminal for a command, and the terminal as it was when the command ends.
import Glibc
import SystemPackage

/// The alternate screen, and keys as they are pressed (termios(3), xterm's control sequences).
final class FullScreen: Sendable {
  /// What happens at the terminal.
  enum Occurrence: Sendable, Equatable {
    case key(Key)
    /// It has another size.
    case resized
    /// The operator, or a signal, ends the command.
    case ended
  }

  enum Key: Sendable, Equatable {
    case up, down, pageUp, pageDown, home
  }

  private let before: termios
  private let signals: Signals

  /// - Throws: ``Failure`` where there is no terminal.
  init() throws {
    var settings = termios()
    guard Terminal.isOutput, tcgetattr(FileDescriptor.standardInput.rawValue, &settings) == 0 else {
      throw Failure(.usage, "this needs a terminal: ulbctl status shows the same once")
    }
    before = settings
    signals = try Signals([SIGINT, SIGTERM, SIGHUP, SIGWINCH])
    // Keys are not waited for until the line's end, not shown, and no signals.
    settings.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
    tcsetattr(FileDescriptor.standardInput.rawValue, TCSADRAIN, &settings)
    try Terminal.write("\u{1B}[?1049h\u{1B}[?25l" + Self.clear)
  }

  /// Gives the terminal back.
  func close() {
    try? Terminal.write("\u{1B}[?25h\u{1B}[?1049l")
    var settings = before
    tcsetattr(FileDescriptor.standardInput.rawValue, TCSADRAIN, &settings)
  }

  /// Erases all of it.
  private static let clear = "\u{1B}[2J"

  /// - Parameters:
  ///   - lines: As many as the screen has, none wider than it.
  ///   - hasNewSize: Whether what a terminal of another size has made of the former lines stands there.
  func draw(_ lines: [Line], hasNewSize: Bool) throws {
    try Terminal.write(
      (hasNewSize ? Self.clear : "") + Self.text(lines, isColored: Terminal.isColored))
  }

  /// Lines over those that were there. Each is erased before it is written: behind a character in the
  /// last column the cursor still stands on it, and would erase it.
  static func text(_ lines: [Line], isColored: Bool) -> String {
    "\u{1B}[H"
      + lines.map { "\u{1B}[K" + $0.text(isColored: isColored) }.joined(separator: "\r\n")
  }

  /// Hands on what happens, from a thread of its own, until the end.
  func watch(_ body: @escaping @Sendable (Occurrence) -> Void) {
    DetachedThread.start { [signals] in
      let input = FileDescriptor.standardInput.rawValue
      var waited = [
        pollfd(fd: input, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signals.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
      ]
      while true {
        guard poll(&waited, 2, -1) > 0 else { continue }
        if waited[1].revents != 0 {
          guard signals.next() == SIGWINCH else { return body(.ended) }
          body(.resized)
        }
        guard waited[0].revents != 0 else { continue }
        var octets = [UInt8](repeating: 0, count: 64)
        let count = read(input, &octets, octets.count)
        guard count > 0, let keys = Self.keys(in: octets.prefix(count)) else { return body(.ended) }
        for key in keys { body(.key(key)) }
      }
    }
  }

  /// - Returns: nothing where one of the keys is to end the command: q, Ctrl-C, Ctrl-D.
  static func keys(in octets: some Sequence<UInt8>) -> [Key]? {
    let names: [(String, Key?)] = [
      ("\u{1B}[A", .up), ("\u{1B}OA", .up), ("k", .up), ("\u{1B}[B", .down), ("\u{1B}OB", .down),
      ("j", .down), ("\u{1B}[5~", .pageUp), ("\u{1B}[6~", .pageDown), (" ", .pageDown),
      ("\u{1B}[H", .home), ("g", .home), ("q", nil), ("Q", nil), ("\u{3}", nil), ("\u{4}", nil),
    ]
    var (rest, keys) = (Array(octets)[...], [Key]())
    while !rest.isEmpty {
      guard let (name, key) = names.first(where: { rest.starts(with: $0.0.utf8) }) else {
        rest = rest.dropFirst()
        continue
      }
      guard let key else { return nil }
      keys.append(key)
      rest = rest.dropFirst(name.utf8.count)
    }
    return keys
  }
}
