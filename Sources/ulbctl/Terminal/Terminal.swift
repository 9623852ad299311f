// Standard output: whether it is a terminal, how large, and writing to it.
import Glibc
import LoadBalancing
import SystemPackage

/// Nobody reads any more what is written: the end of a command, and no failure of its own.
struct OutputClosed: Error {}

enum Terminal {
  static var isOutput: Bool { isatty(FileDescriptor.standardOutput.rawValue) == 1 }
  static var isInput: Bool { isatty(FileDescriptor.standardInput.rawValue) == 1 }

  /// Whether escape sequences for colors are wanted (https://no-color.org).
  static var isColored: Bool {
    isOutput && variable("NO_COLOR").isEmpty && variable("TERM") != "dumb"
  }

  private static func variable(_ name: String) -> String {
    getenv(name).map { String(cString: $0) } ?? ""
  }

  /// Columns and lines; nothing where standard output is no terminal.
  static var size: (width: Int, height: Int)? {
    var size = winsize()
    guard isOutput, ioctl(FileDescriptor.standardOutput.rawValue, UInt(TIOCGWINSZ), &size) == 0,
      size.ws_col > 0, size.ws_row > 0
    else { return nil }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  static func write(_ lines: [Line]) throws { try write(lines.text(isColored: isColored)) }
  static func write(_ text: String) throws { try write(Array(text.utf8)) }

  static func write(_ octets: [UInt8]) throws {
    do {
      try FileDescriptor.standardOutput.writeAll(octets)
    } catch Errno.brokenPipe {
      throw OutputClosed()
    } catch {
      throw Failure(.refused, "standard output cannot be written to: \(error)")
    }
  }

  /// An answer as it came, with an end of line.
  static func write(json octets: [UInt8]) throws {
    try write(octets.last == UInt8(ascii: "\n") ? octets : octets + [UInt8(ascii: "\n")])
  }

  /// A remark that is no result.
  static func note(_ text: String) {
    _ = try? FileDescriptor.standardError.writeAll((text.onOneLine + "\n").utf8)
  }

  /// - Returns: whether the operator says yes.
  static func asks(_ question: String) -> Bool {
    _ = try? FileDescriptor.standardError.writeAll("\(question) [y/N] ".utf8)
    return ["y", "yes"].contains(readLine()?.lowercased())
  }
}
