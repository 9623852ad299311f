// The installation as the README tells it, typed into a machine with a real systemd.
import Foundation
import TestSupport
import Testing

@Suite struct InstallationTests {
  /// The indented blocks of the README's section on it, in their order.
  private func commands() throws -> String {
    let readme = try String(contentsOfFile: Package.path("README.md"), encoding: .utf8)
    let section = try #require(
      readme.components(separatedBy: "\n## ").first { $0.hasPrefix("Installing it\n") })
    return section.split(separator: "\n", omittingEmptySubsequences: false)
      .filter { $0.hasPrefix("    ") }.map { $0.dropFirst(4) }.joined(separator: "\n")
  }

  @Test func commandsOfTheReadmeInstallAServiceThatBalances() throws {
    let commands = try commands()
    try #require(commands.contains("sudo scripts/systemd/install\n"))
    try #require(commands.contains("sudo systemctl enable --now ulb@eth0\n"))
    // The container has no network to fetch packages over: they are there when it starts.
    let scratch = Package.path(".build/static")
    for product in ["ulb", "ulbctl"] {
      try need(
        [
          "swift", "build", "--package-path", Package.path("."), "--scratch-path", scratch, "-c",
          "release", "--static-swift-stdlib", "--product", product,
        ], timeout: .seconds(600))
    }

    let topology = try Topology(realServers: 3)
    let network = try Network(topology)
    let container = try Container(topology.director.name)
    try container.take(topology, interface: "eth0")
    // The repository is read-only in there: what is built goes into memory.
    let repository = Package.path(".")
    let script = """
      set -euo pipefail
      mkdir -p /run/copy/upper /run/copy/work
      mount -t overlay -o lowerdir=\(repository),upperdir=/run/copy/upper,workdir=/run/copy/work \
        overlay \(repository)
      cd \(repository)
      \(commands)
      """
    let output = try container.run("bash", "-c", script)
    #expect(
      output.contains(
        "3 real server(s) behind \(Topology.virtualServer(.ipv4)), eth0 in native mode"),
      "\(output)")
    #expect(output.contains("XDP program attached to eth0"), "\(output)")
    #expect(try network.serversOfNewClients(3) == ["srv1", "srv2", "srv3"])
    let state = try container.run("systemctl", "is-enabled", "ulb@eth0")
    #expect(state == "enabled")
    #expect(try container.run("ulbctl", "--version").hasPrefix("ulbctl "))
    let completion = "/usr/local/share/bash-completion/completions/ulbctl"
    #expect(try container.run("bash", "-c", "source \(completion) && complete -p ulbctl") != "")
  }

  /// What `install` tells to copy is a configuration that ulb takes, for the interface it names.
  @Test func examplesAreAConfiguration() throws {
    let example = try String(
      contentsOfFile: Package.path("scripts/systemd/example.conf"), encoding: .utf8)
    let options = try #require(example.firstMatch(of: /\nULB_OPTIONS="(.*)"\n/)).1
      .replacing("/etc/ulb/eth0.servers", with: Package.path("scripts/systemd/example.servers"))
    let arguments = ["eth0", "--check"] + options.split(separator: " ").map(String.init)
    let output = try need([Package.executable] + arguments)
    #expect(output.contains(#""real_servers":["192.0.2.11","192.0.2.12"]"#), "\(output)")
  }
}
