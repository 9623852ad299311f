// State files that could not be used: each kept aside under a name of its own, the newest few.
import Glibc
import LoadBalancing
import SystemPackage

/// The names that refused state files are kept under: `FILE.refused-YYYYMMDDTHHMMSS`, in UTC, and
/// with `-1`, `-2` and so on behind it where there is one of that second.
enum RefusedFiles {
  /// How many are kept.
  static let most = 5
  private static let infix = ".refused-"
  /// The most of one second.
  private static let mostOfOneSecond = 999

  /// What stands behind the infix. Later ones are greater.
  struct Suffix: Comparable {
    let time: String
    let number: Int

    init(time: Timestamp, number: Int) {
      self.time = String(time.description.prefix(19).filter { $0 != "-" && $0 != ":" })
      self.number = number
    }

    /// `nil` for what is not exactly as this program writes it.
    init?(_ text: Substring) {
      let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
      let time = Array(parts[0].utf8)
      guard time.count == 15, time[8] == UInt8(ascii: "T"),
        time.enumerated().allSatisfy({ $0 == 8 || (0x30...0x39).contains($1) })
      else { return nil }
      self.time = String(parts[0])
      guard parts.count == 2 else {
        number = 0
        return
      }
      guard let number = Int(parts[1]), (1...RefusedFiles.mostOfOneSecond).contains(number),
        String(number) == parts[1]
      else { return nil }
      self.number = number
    }

    var text: String { number == 0 ? time : "\(time)-\(number)" }

    static func < (left: Suffix, right: Suffix) -> Bool {
      (left.time, left.number) < (right.time, right.number)
    }
  }

  /// Gives a file such a name; never overwrites one.
  ///
  /// - Returns: the file's path from now on.
  static func keep(_ path: String, time: Timestamp) throws(StateFileError) -> String {
    for number in 0...mostOfOneSecond {
      let aside = path + infix + Suffix(time: time, number: number).text
      do throws(StateFileError) {
        try move(path, to: aside)
        return aside
      } catch .system(_, _, .fileExists) {
        continue
      }
    }
    throw failure(path, .fileExists)
  }

  /// Removes all but the newest, of regular files with exactly such names. What cannot be removed
  /// stays.
  ///
  /// - Parameter aside: stays whatever the clock said when others were named.
  static func removeOld(of path: String, butNot aside: String) {
    let (folder, base) = split(path)
    var found: [(suffix: Suffix, path: String)] = []
    for name in names(in: folder) where name.hasPrefix(base + infix) {
      let other = folder + name
      guard let suffix = Suffix(name.dropFirst((base + infix).count)), other != aside,
        (try? OpenFile.look(at: other))?.type == .regular
      else { continue }
      found.append((suffix, other))
    }
    found.sort { $0.suffix > $1.suffix }
    for (_, other) in found.dropFirst(most - 1) { unlink(other) }
  }

  /// The name is taken first, so that what is replaced is an empty file of this call's own.
  private static func move(_ path: String, to aside: String) throws(StateFileError) {
    _ = try OpenFile(making: aside, .writeOnly)
    guard rename(path, aside) == 0 else {
      let error = Errno(rawValue: errno)
      unlink(aside)
      throw failure(path, error)
    }
  }

  private static func failure(_ path: String, _ errno: Errno) -> StateFileError {
    .system(operation: "keep aside", path: path, errno: errno)
  }

  /// - Returns: the folder with a slash at its end, or nothing, and the name in it.
  private static func split(_ path: String) -> (folder: String, base: String) {
    guard let slash = path.lastIndex(of: "/") else { return ("", path) }
    return (String(path[...slash]), String(path[path.index(after: slash)...]))
  }

  private static func names(in folder: String) -> [String] {
    guard let directory = opendir(folder.isEmpty ? "." : folder) else { return [] }
    defer { closedir(directory) }
    let offset = MemoryLayout<dirent>.offset(of: \.d_name)!
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = (UnsafeRawPointer(entry) + offset).assumingMemoryBound(to: CChar.self)
      names.append(String(cString: name))
    }
    return names
  }
}
