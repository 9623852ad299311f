// Each file of the template as it stands, for the toolchain's own clang and for editors: with the
// stand-in header of the folder editor, and settings as ulb renders them.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Template files", .serialized)
struct TemplateFileTests {
  static let folder =
    URL(fileURLWithPath: Package.path("bpf-templates")).resolvingSymlinksInPath().path

  /// All files that are ours, found and not listed, so that none is forgotten.
  static let files: [String] = {
    let all = (try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? []
    return all.filter {
      ($0.hasSuffix(".h") || $0.hasSuffix(".c")) && !$0.hasPrefix("kernel-headers/")
    }.sorted()
  }()

  @Test("are found")
  func found() {
    #expect(Self.files.contains("ulb.c") && Self.files.contains("layout/layout.h"))
    #expect(Self.files.contains("editor/settings.h"))
  }

  @Test("are C without a warning", arguments: files)
  func checkedAlone(file: String) throws {
    try check(file, settings: nil)
  }

  @Test(
    "are C without a warning with other settings",
    arguments: files.filter { $0 != "editor/settings.h" })
  func checkedWithOtherSettings(file: String) throws {
    for family in AddressFamily.allCases {
      for level in [LogLevel.critical, .trace] {
        for debug in [0, 1] {
          let folder = try TemporaryDirectory()
          var configuration = Configuration.sample(
            family, level: level, debug: debug, ports: Configuration.manyPorts)
          if debug == 1 {
            configuration.lists.denied = NetworkList(file: "denied", networks: [])
            configuration.lists.isStrict = level == .trace
          }
          let settings = try Self.renderedSettings(configuration)
          try settings.write(
            toFile: folder.path(of: "settings.h"), atomically: true, encoding: .utf8)
          try check(file, settings: folder.path)
        }
      }
    }
  }

  /// - Parameter settings: a folder with other settings than the sample.
  private func check(_ file: String, settings: String?) throws {
    let flags = try String(contentsOfFile: Self.folder + "/compile_flags.txt", encoding: .utf8)
      .split(separator: "\n").map(String.init)
    #expect(flags.contains("-Wall") && flags.contains("-Wextra"))
    let arguments =
      [try Self.toolchainClang(), "-working-directory", Self.folder]
      + (settings.map { ["-I", $0] } ?? []) + flags + ["-Werror", "-fsyntax-only", file]
    let child = try ChildProcess(arguments)
    #expect(try child.waitForExit() == 0, "\(child.transcript)")
    #expect(child.lines.isEmpty, "\(child.transcript)")
  }

  /// The clang beside the swift that is on the path.
  private static func toolchainClang() throws -> String {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    for folder in path.split(separator: ":") {
      let swift = URL(fileURLWithPath: "\(folder)/swift").resolvingSymlinksInPath()
      let clang = swift.deletingLastPathComponent().appendingPathComponent("clang").path
      if FileManager.default.isExecutableFile(atPath: swift.path),
        FileManager.default.isExecutableFile(atPath: clang)
      {
        return clang
      }
    }
    throw Unavailable(description: "no clang beside a swift on PATH (\(path))")
  }

  /// The text that stands for settings.h in the rendered source.
  static func renderedSettings(_ configuration: Configuration) throws -> String {
    let lines = try Renderer.source(for: configuration, cpus: 2).components(separatedBy: "\n")
    let start = try #require(lines.firstIndex(of: "#line 1 \"settings.h\"")) + 1
    let end = try #require(lines[start...].firstIndex { $0.hasPrefix("#line ") })
    return lines[start..<end].joined(separator: "\n")
  }

  @Test("the editor's settings are a rendering")
  func sampleSettings() throws {
    let sample = try String(contentsOfFile: Self.folder + "/editor/settings.h", encoding: .utf8)
    let configuration = Configuration(
      interface: "eth0", virtualServer: try #require(IPAddress("10.40.0.1")), realServers: [],
      ports: [5683, 5684])
    // The renderer leaves an empty line there.
    #expect(
      sample.replacing("\n#pragma once\n", with: "\n\n")
        == (try Self.renderedSettings(configuration)),
      "render it anew, on 2 CPUs: ulb --render eth0 -vs 10.40.0.1 -rs 10.40.0.2 -p 5683 5684")
  }
}
