// The Debian packages on a machine with a real systemd and no toolchain: installed, upgraded, removed.
import Foundation
import TestSupport
import Testing

/// One at a time: each has a container of its own, with a systemd in it.
@Suite(.serialized) struct PackageTests {
  /// A section of the README.
  private func section(_ title: String) throws -> String {
    let readme = try String(contentsOfFile: Package.path("README.md"), encoding: .utf8)
    return try #require(
      readme.components(separatedBy: "\n## ").first { $0.hasPrefix(title + "\n") })
  }

  /// The indented blocks of a section of the README, in their order.
  private func commands(_ title: String) throws -> String {
    try section(title).split(separator: "\n", omittingEmptySubsequences: false)
      .filter { $0.hasPrefix("    ") }.map { $0.dropFirst(4) }.joined(separator: "\n")
  }

  @Test func commandsOfTheReadmeInstallAServiceThatBalances() throws {
    let build = "sudo scripts/package\n"
    let installation = try commands("Installing it")
    try #require(installation.hasPrefix(build))
    let service = try commands("Running it")
    try #require(service.contains("sudo systemctl enable --now ulb@eth0\n"))
    // Typed there, it would find no toolchain.
    _ = try DebianPackages.file("ulb")

    let topology = try Topology(realServers: 3)
    let network = try Network(topology)
    let container = try Container(topology.director.name)
    try container.take(topology, interface: "eth0")
    try DebianPackages.hideToolchain(in: container)
    let script = """
      set -euo pipefail
      cd \(Package.path("."))
      \(installation.dropFirst(build.count))
      \(service)
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
    // It listens where nobody asked it to only when the operator wants it.
    #expect(
      try container.run("systemctl", "show", "--value", "--property=UnitFileState", "ulb-web")
        == "disabled")
    #expect(try container.run("ulbctl", "--version").hasPrefix("ulbctl "))
    for page in ["ulb.8", "ulb@.service.8", "ulb.conf.5", "ulbctl.8"] {
      #expect(try container.run("man", "--where", page).hasPrefix("/usr/share/man/"))
    }
    for name in ["ulb", "ulbctl"] {
      for file in [
        "bash-completion/completions/\(name)", "zsh/vendor-completions/_\(name)",
        "fish/vendor_completions.d/\(name).fish",
      ] {
        try container.run("test", "-s", "/usr/share/\(file)")
      }
    }
  }

  /// What the packages show as an example is a configuration that ulb takes.
  @Test func examplesAreAConfiguration() throws {
    let example = try String(
      contentsOfFile: Package.path("debian/examples/eth0.conf"), encoding: .utf8)
    let options = try #require(example.firstMatch(of: /\nULB_OPTIONS="(.*)"\n/)).1
      .replacing("/etc/ulb/eth0.servers", with: Package.path("debian/examples/eth0.servers"))
    let arguments = ["eth0", "--check"] + options.split(separator: " ").map(String.init)
    let output = try need([Package.executable] + arguments)
    #expect(output.contains(#""real_servers":["192.0.2.11","192.0.2.12"]"#), "\(output)")
  }

  @Test func executablesAreSmallHardenedAndNeedNoToolchain() throws {
    let directory = try TemporaryDirectory()
    // Half of ulbctl is Swift's library; with any use of Foundation it would have 6 MB more.
    for (name, size) in [("ulb", 30_000_000), ("ulbctl", 15_000_000), ("ulb-sync", 30_000_000)] {
      let root = directory.path(of: name)
      try need(["dpkg-deb", "--extract", DebianPackages.file(name), root])
      let executable = "\(root)/usr/bin/\(name)"
      let attributes = try FileManager.default.attributesOfItem(atPath: executable)
      let actual = try #require(attributes[.size] as? Int)
      print("packages: \(name) has \(actual) bytes")
      #expect(actual <= size)

      let facts = try need([
        "readelf", "--wide", "--file-header", "--program-headers", "--dynamic", "--dyn-syms",
        "--notes", executable,
      ])
      #expect(facts.contains("DYN (Position-Independent Executable file)"))
      #expect(facts.contains("GNU_RELRO"))
      #expect(facts.contains("BIND_NOW"))
      #expect(facts.contains(#/GNU_STACK .* RW /#))
      #expect(facts.contains(" __stack_chk_fail@"))
      #expect(!facts.contains("(RPATH)") && !facts.contains("(RUNPATH)"))
      let libraries = facts.matches(of: /Shared library: \[(.*)\]/).map { String($0.1) }
      #expect(libraries.contains("libc.so.6"))
      #expect(!libraries.contains { $0.contains("swift") || $0.contains("Foundation") })
      #expect(libraries.contains { $0.hasPrefix("libbcc") } == (name == "ulb"), "\(libraries)")
      // Those of the distribution, which it mends.
      for library in ["libhiredis", "libssl", "libcrypto"] {
        #expect(
          libraries.contains { $0.hasPrefix(library) } == (name == "ulb-sync"), "\(libraries)")
      }
      #expect(!(try need(["readelf", "--wide", "--sections", executable]).contains(".symtab")))

      // The debugger finds what was stripped by this.
      let build = try #require(facts.firstMatch(of: /Build ID: ([0-9a-f]{2})([0-9a-f]+)/))
      let debug = try need(["dpkg-deb", "--contents", DebianPackages.file("\(name)-dbgsym")])
      #expect(debug.contains("/usr/lib/debug/.build-id/\(build.1)/\(build.2).debug"), "\(debug)")
    }
    #expect(try DebianPackages.field("Depends", of: "ulb").contains("libbpfcc"))
    let needed = try DebianPackages.field("Depends", of: "ulbctl")
    #expect(!needed.contains("libbpf"), "\(needed)")
  }

  /// Packages go on under an upgrade, and nothing runs from a deleted file behind it. Where a policy
  /// forbids to restart services, they stay as they are.
  @Test func anUpgradeUnderTrafficLosesNothing() throws {
    let unit = try Unit(install: DebianPackages.install(in:))
    let (topology, container) = (unit.topology, unit.container)
    try container.run("ip", "link", "set", "lo", "up")
    try container.run("systemctl", "start", Unit.name, "ulb-web")
    let services = [Unit.name, "ulb-web.service"]
    func outdated() throws -> [String] {
      let report = try container.run("needrestart", "-b", "-l")
      return services.filter { report.contains("NEEDRESTART-SVC: \($0)") }
    }
    let version = try DebianPackages.field("Version", of: "ulb")
    let former = try unit.mainPID()
    #expect(try outdated() == [])

    let policy = "/usr/sbin/policy-rc.d"
    try unit.write("#!/bin/sh\nexit 101\n", to: policy)
    try container.run("chmod", "+x", policy)
    try container.run(
      ["dpkg", "--install"] + DebianPackages.repack(as: version + "+1", into: container))
    #expect(try unit.mainPID() == former)
    #expect(try outdated() == services)
    try container.run("rm", policy)

    let own = "LISTEN=[::1]:9099\n"
    try unit.write(own, to: "/etc/ulb/web.conf")
    let files = try ["lb0.conf", "lb0.servers"].map {
      try String(contentsOfFile: container.path("/etc/ulb/\($0)"), encoding: .utf8)
    }
    let packages = try DebianPackages.repack(
      as: version + "+2", webConfiguration: "LISTEN=127.0.0.1:9097\n", into: container)
    let load = try Load(topology)
    #expect(waitUntil { load.knownClients == Load.clients })
    let before = try Losses(topology)
    load.enter(phase: 1)
    // Takes what dpkg would have taken for an answer: the operator's own.
    try container.run(["dpkg", "--force-confdef", "--install"] + packages)
    #expect(load.waitForRound())
    load.enter(phase: 2)
    #expect(load.waitForRound())
    try expectNobodyNoticed(load, topology, since: before)

    #expect(try unit.mainPID() != former)
    #expect(try unit.property("ActiveState") == "active")
    try unit.waitForJournal("The association table of the process before is taken over.")
    #expect(try outdated() == [])
    #expect(
      try container.run("systemctl", "show", "--value", "--property=StatusText", "ulb-web")
        == "http://[::1]:9099/")
    let kept = try ["lb0.conf", "lb0.servers", "web.conf"].map {
      try String(contentsOfFile: container.path("/etc/ulb/\($0)"), encoding: .utf8)
    }
    #expect(kept == files + [own])
    try unit.systemctl("stop")
  }

  /// What there is on a machine but for what changes by itself; the account of ulb stays, as those
  /// of all packages.
  private func files(_ container: Container) throws -> Set<String> {
    let list = try container.run(
      "find", "/etc", "/opt", "/run", "/srv", "/usr", "/var", "-xdev", "-not", "-path",
      "/run/systemd/*", "-not", "-path", "/run/log/*", "-not", "-path", "/run/needrestart*")
    return Set(list.split(separator: "\n").map(String.init))
  }

  @Test func removalLeavesTheConfigurationAndPurgeNothing() throws {
    var before: Set<String> = []
    let unit = try Unit { container in
      try DebianPackages.hideToolchain(in: container)
      // What an installation has done of the manuals that are there already is not ours.
      try container.run("mandb", "--quiet", "--no-purge")
      before = try files(container)
      try DebianPackages.install(in: container)
    }
    let (container, interface) = (unit.container, unit.topology.directorInterface)
    let network = try Network(unit.topology)
    try container.run("ip", "link", "set", "lo", "up")
    try container.run("systemctl", "enable", "--now", Unit.name, "ulb-web")
    let clients = try network.newClients(3)
    #expect(network.servers(of: clients) == ["srv1", "srv2", "srv3"])

    try unit.write("redis = redis://127.0.0.1\n", to: "/etc/ulb/lb0.sync.conf")
    try container.run("systemctl", "enable", "--now", "ulb-sync@lb0")
    for page in ["ulb-sync.8", "ulb-sync.conf.5"] {
      #expect(try container.run("man", "--where", page).hasPrefix("/usr/share/man/"))
    }
    try container.run(["dpkg", "--remove"] + DebianPackages.names)
    #expect(try interface.xdpProgram() == nil)
    #expect(try unit.property("ActiveState") == "inactive")
    let left = try files(container)
    for path in [
      "/etc/ulb/lb0.conf", "/etc/ulb/lb0.servers", "/etc/ulb/lb0.sync.conf", "/etc/ulb/web.conf",
      "/var/lib/private/ulb/lb0.associations",
      "/etc/systemd/system/multi-user.target.wants/\(Unit.name)",
    ] {
      #expect(left.contains(path))
    }
    for path in ["/usr/bin/ulb", "/usr/bin/ulbctl", "/usr/bin/ulb-sync", "/usr/share/ulb"] {
      #expect(!left.contains(path))
    }

    // Who installs it again has all as it was, and clients their real servers.
    try DebianPackages.install(in: container)
    try unit.systemctl("start")
    #expect(network.servers(of: clients.reversed()) == ["srv3", "srv2", "srv1"])

    try container.run(["dpkg", "--purge"] + DebianPackages.names)
    #expect(try interface.xdpProgram() == nil)
    let remainder = try files(container).subtracting(before).sorted()
    #expect(remainder == [])
  }

  /// As the README of ulb.py has it, but for the word that ours says to change.
  @Test func aUnitForTheOriginalNeedsOneWordChanged() throws {
    let lines = try commands("Coming from ulb.py").split(separator: "\n")
      .filter { $0.hasPrefix("ExecStart=") }
    try #require(lines.count == 2)
    let (former, new) = (lines[0].split(separator: " "), lines[1].split(separator: " "))
    #expect(lines[0].hasPrefix("ExecStart=/usr/bin/python3 ulb.py eth0 "))
    #expect(former.count == new.count && zip(former, new).count { $0 != $1 } == 1)

    let topology = try Topology(realServers: 3)
    let network = try Network(topology)
    let container = try Container(topology.director.name)
    try container.take(topology, interface: "eth0")
    try DebianPackages.install(in: container)
    try """
    [Unit]
    Description=UDP Load Balancer
    Wants=network-online.target
    [Service]
    Type=notify
    NotifyAccess=all
    Environment=PYTHONUNBUFFERED=1
    \(lines[1])
    [Install]
    WantedBy=multi-user.target

    """.write(
      toFile: container.path("/etc/systemd/system/balancer.service"), atomically: false,
      encoding: .utf8)
    try container.run("systemctl", "daemon-reload")
    try container.run("systemctl", "start", "balancer")
    #expect(try network.serversOfNewClients(3) == ["srv1", "srv2", "srv3"])
    // Who looks for it by its name finds it.
    let process = try container.run(
      "systemctl", "show", "--value", "--property=MainPID", "balancer")
    #expect(try container.run("pidof", "ulb.py") == process)
    try container.run("systemctl", "stop", "balancer")
    #expect(try Interface("eth0", in: topology.director).xdpProgram() == nil)
  }
}
