// The rendered source: the same each time, whole, and valid C without a warning.
import BCC
import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Renderer", .serialized)
struct RendererTests {
  /// Every combination of what changes the text.
  static let levelsAndDebug = LogLevel.allCases.flatMap { level in
    (0...4).map { (level: level, debug: $0) }
  }

  @Test("compiles without a warning", arguments: AddressFamily.allCases, levelsAndDebug)
  func compiles(family: AddressFamily, settings: (level: LogLevel, debug: Int)) throws {
    // Few and many by turns: each level and each way of tracing is compiled with both.
    let isEven = (settings.level.rawValue + settings.debug).isMultiple(of: 2)
    let configuration = Configuration.sample(
      family, level: settings.level, debug: settings.debug,
      ports: isEven ? Configuration.fewPorts : Configuration.manyPorts)
    #expect(try warnings(configuration) == "")
  }

  private func warnings(_ configuration: Configuration) throws -> String {
    let source = try Renderer.source(for: configuration)
    // The last two: libbcc's own headers are no better.
    return try module(
      source, flags: ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-sign-compare"]
    ).output
  }

  /// What leaves something of the template out, or puts something in.
  static let settings: [(name: String, set: @Sendable (inout Configuration) -> Void)] = [
    ("a single bucket", { $0.maxAssociations = 7 }),
    ("no classes", { $0.probation = 0 }),
    ("a list", { $0.lists.denied = NetworkList(file: "denied", networks: []) }),
    (
      "strict lists",
      {
        $0.lists.allowed = NetworkList(file: "allowed", networks: [])
        $0.lists.isStrict = true
      }
    ),
    ("verified gateways", { $0.verifiesGateway = true }),
    ("maglev", { $0.virtualServers[0].scheduler = .maglev }),
  ]

  @Test("settings compile without a warning", arguments: AddressFamily.allCases, settings.indices)
  func settingsCompile(family: AddressFamily, index: Int) throws {
    var configuration = Configuration.sample(family)
    Self.settings[index].set(&configuration)
    let warnings = try warnings(configuration)
    #expect(warnings == "", "\(Self.settings[index].name)")
  }

  @Test("libbcc prints nothing that nobody asked for", arguments: AddressFamily.allCases)
  func quiet(family: AddressFamily) throws {
    let output = try compiling { try DataPlane(.sample(family)).compilerOutput }
    #expect(output == "")
  }

  @Test("is the same each time", arguments: AddressFamily.allCases)
  func deterministic(family: AddressFamily) throws {
    let configuration = Configuration.sample(family, ports: Configuration.fewPorts.reversed())
    let source = try Renderer.source(for: configuration)
    for _ in 0..<3 { #expect(try Renderer.source(for: configuration) == source) }
    // Neither order nor repetition of ports matters, and real servers are not rendered.
    var other = Configuration.sample(family, ports: Configuration.fewPorts + Configuration.fewPorts)
    other.realServers = []
    #expect(try Renderer.source(for: other) == source)
  }

  @Test("no placeholder is left", arguments: AddressFamily.allCases, [0, 2])
  func placeholders(family: AddressFamily, debug: Int) throws {
    let source = try Renderer.source(
      for: .sample(family, debug: debug, ports: Configuration.manyPorts))
    for mark in ["{{", "}}", "CONTENT_TYPE", "#include \"", "#pragma once"] {
      #expect(!source.contains(mark), "\(mark)")
    }
  }

  /// The template's files, found and not listed, so that none is left out of the source.
  static let files =
    TemplateFileTests.files.filter { !$0.hasPrefix("editor/") && $0 != "layout/former.h" }.map {
      URL(fileURLWithPath: $0).lastPathComponent
    } + ["settings.h"]

  @Test("names each file, once")
  func filesNamed() throws {
    let lines = try Renderer.source(for: .sample()).split(separator: "\n")
    for file in Self.files {
      #expect(lines.count { $0 == "#line 1 \"\(file)\"" } == 1, "\(file)")
    }
  }

  /// What a `#line` says is where the line stands in the template.
  @Test("the lines' numbers are those of the files")
  func lineNumbers() throws {
    var file = ""
    var number = 0
    var compared = 0
    var texts: [String: [String]] = [:]
    for line in try Renderer.source(for: .sample()).components(separatedBy: "\n") {
      if line.hasPrefix("#line ") {
        let words = line.split(separator: " ")
        number = Int(words[1])!
        file = words[2].trimmingCharacters(in: ["\""])
        continue
      }
      if !line.isEmpty, file != "settings.h" {
        let folder = file == "layout.h" ? "layout/" : ""
        let path = Package.path("bpf-templates/\(folder)\(file)")
        let text =
          try texts[file]
          ?? String(contentsOfFile: path, encoding: .utf8).components(separatedBy: "\n")
        texts[file] = text
        #expect(text[number - 1] == line, "\(file):\(number)")
        compared += 1
      }
      number += 1
    }
    #expect(compared > 300)
  }

  @Test("a compiler's error names the template's file and line")
  func errorNamesFile() throws {
    let broken = try Renderer.source(for: .sample()).replacing(
      "swap_mac_addresses(frame->ethernet);", with: "no_such_variable = 1;")
    #expect {
      try module(broken)
    } throws: { error in
      "\(error)".contains("nat.h:") && "\(error)".contains("no_such_variable")
    }
  }
}
