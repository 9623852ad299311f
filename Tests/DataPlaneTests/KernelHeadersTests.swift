// What libbcc compiles against, seen from outside: by the running ulb.
import Foundation
import TestSupport
import Testing

@testable import DataPlane

@Suite("Kernel headers", .serialized)
struct KernelHeadersTests {
  static let arguments = ["one", "-vs", "10.40.0.1", "-rs", "10.40.0.2", "-p", "5683"]

  /// Starts ulb, which compiles, and stops it.
  private func startAndStop(_ more: [String] = [], environment: [String: String] = [:]) throws {
    let wire = try Wire()
    try compiling {
      let daemon = try Daemon.start(
        Self.arguments + more, in: wire.namespace, environment: environment)
      #expect(try Interface("one", in: wire.namespace).xdpProgram() != nil)
      #expect(try daemon.stop() == 0, "\(daemon.process.transcript)")
    }
  }

  /// Runs ulb where it cannot compile.
  private func refusal(_ more: [String] = [], environment: [String: String] = [:]) throws -> String
  {
    let wire = try Wire()
    return try compiling {
      let child = try ChildProcess(
        [Package.executable] + Self.arguments + more, in: wire.namespace, environment: environment)
      #expect(try child.waitForExit() == 1)
      #expect(child.standardOutput == [])
      #expect(child.standardError.count == 1, "\(child.transcript)")
      return child.standardError.first ?? ""
    }
  }

  @Test("the own tree leaves nothing behind")
  func nothingLeft() throws {
    let folder = try TemporaryDirectory()
    try startAndStop(environment: ["RUNTIME_DIRECTORY": folder.path])
    #expect(try folder.contents() == [])
    // Of several folders, systemd's first.
    let other = try TemporaryDirectory()
    try startAndStop(environment: ["RUNTIME_DIRECTORY": "\(folder.path):\(other.path)"])
    #expect(try folder.contents() == [] && other.contents() == [])
  }

  @Test("what a killed process left is removed, what a living one has is not")
  func leftovers() throws {
    let folder = try TemporaryDirectory()
    let dead = try ChildProcess(["true"])
    #expect(try dead.waitForExit() == 0)
    let names = [
      "ulb-headers-\(dead.pid)-abcdef", "ulb-headers-\(getpid())-abcdef", "ulb-headers-x",
      "other-\(dead.pid)-abcdef",
    ]
    for name in names {
      let inside = folder.path(of: name) + "/include/linux"
      try FileManager.default.createDirectory(atPath: inside, withIntermediateDirectories: true)
      try Data().write(to: URL(fileURLWithPath: inside + "/kconfig.h"))
    }
    try startAndStop(environment: ["RUNTIME_DIRECTORY": folder.path])
    #expect(try folder.contents() == names.dropFirst().sorted())
  }

  @Test("no folder to write to")
  func noFolder() throws {
    let error = try refusal(environment: ["RUNTIME_DIRECTORY": "/nonexistent/folder"])
    #expect(
      error == "ulb: error: cannot make a folder in /nonexistent/folder: No such file or directory")
  }

  @Test("the administrator's variable is honoured")
  func administratorsVariable() throws {
    let error = try refusal(environment: ["BCC_KERNEL_SOURCE": "/nonexistent/source"])
    #expect(error.hasPrefix("ulb: error: no kernel headers at /nonexistent/source: "))
    let folder = try TemporaryDirectory()
    try startAndStop(environment: [
      "BCC_KERNEL_SOURCE": try Self.debianTree(), "RUNTIME_DIRECTORY": folder.path,
    ])
  }

  /// The generated half of Debian's split headers.
  private static func debianTree() throws -> String {
    #if arch(x86_64)
      let suffix = "-amd64"
    #else
      let suffix = "-arm64"
    #endif
    let trees = try FileManager.default.contentsOfDirectory(atPath: "/usr/src").filter {
      $0.hasPrefix("linux-headers-") && $0.hasSuffix(suffix)
    }
    return "/usr/src/" + (try #require(trees.sorted().last, "install linux-headers\(suffix)"))
  }

  @Test("Debian's split tree compiles")
  func debian() throws {
    try startAndStop(["--kernel_headers", try Self.debianTree()])
  }

  @Test("a directory without headers")
  func nonsense() throws {
    let folder = try TemporaryDirectory()
    #expect(
      try refusal(["--kernel_headers", folder.path])
        == "ulb: error: no kernel headers at \(folder.path): it has no include/linux/kconfig.h")
    try "include /nonexistent/Makefile\n".write(
      toFile: folder.path(of: "Makefile"), atomically: true, encoding: .utf8)
    #expect(
      try refusal(["--kernel_headers", folder.path])
        == "ulb: error: no kernel headers at \(folder.path): it has no include/linux/kconfig.h")
    for path in ["/nonexistent", "/etc/hostname"] {
      #expect(
        try refusal(["--kernel_headers", path])
          == "ulb: error: no kernel headers at \(path): there is no such directory")
    }
  }

  /// A tree that has the file that is looked for, and nothing else.
  @Test("a directory with other headers")
  func foreign() throws {
    let folder = try TemporaryDirectory()
    try FileManager.default.createDirectory(
      atPath: folder.path(of: "include/linux"), withIntermediateDirectories: true)
    try Data().write(to: URL(fileURLWithPath: folder.path(of: "include/linux/kconfig.h")))
    let error = try refusal(["--kernel_headers", folder.path])
    #expect(error.hasPrefix("ulb: error: the BPF source does not compile: "), "\(error)")
  }
}
