// Another program, asked for what it prints.
import Glibc

struct Executable {
  let path: String

  /// What it writes to its standard output.
  ///
  /// - Throws: where it ends with a status other than 0, or prints nothing.
  func output(_ arguments: String...) throws(Failure) -> String {
    let command = ([path] + arguments).map(Self.quoted).joined(separator: " ")
    var octets: [UInt8] = []
    guard let stream = popen("exec \(command)", "re") else {
      throw Failure("\(path) cannot be started: \(String(cString: strerror(errno)))")
    }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&buffer, 1, buffer.count, stream)
      if count == 0 { break }
      octets += buffer[..<count]
    }
    guard pclose(stream) == 0, !octets.isEmpty else {
      throw Failure(
        "\(command) failed; build it, and name its folder where that is not this program's")
    }
    return String(decoding: octets, as: UTF8.self)
  }

  private static func quoted(_ word: String) -> String {
    "'" + word.replacing("'", with: #"'\''"#) + "'"
  }
}
