// The version, which is written in one place.
import CommandLine
import Foundation
import TestSupport
import Testing

@Suite struct VersionTests {
  private func output(_ command: String...) throws -> String {
    let completed = try CompletedProcess(ChildProcess(command))
    try #require(completed.status == 0, "\(command): \(completed.standardError)")
    return completed.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// ulb's own version is what packagers and scripts read: the second word.
  @Test func bothCommandsTellIt() throws {
    let version = CommandLineRequest.version
    let library = try output("pkg-config", "--modversion", "libbcc")
    let kernel = try output("uname", "-r")
    #expect(
      try output(Package.executable, "--version")
        == "ulb \(version) (libbcc \(library), Linux \(kernel))")
    #expect(try output(Package.operatorCommand, "--version") == "ulbctl \(version)")
  }

  @Test func theChangeLogBeginsWithIt() throws {
    let log = try String(contentsOfFile: Package.path("CHANGELOG.md"), encoding: .utf8)
    let heading = try #require(log.firstMatch(of: /\n## (\S+)/)).1
    #expect(heading == CommandLineRequest.version)
  }
}
