// The web gateway's unit under a real systemd: what it serves, and what it may do.
import Foundation
import TestSupport
import Testing

/// One at a time: each has a container of its own, with a systemd in it.
@Suite(.serialized) struct WebUnitTests {
  /// In the group of a control socket it may read what a daemon tells; else it says who is missing.
  @Test func lifeOfTheUnit() throws {
    let container = try Container("ulb-web-\(getpid())")
    let files = FileManager.default
    try container.run("systemd-sysusers", "--inline", "u ulb -")
    try files.copyItem(
      atPath: Package.operatorCommand, toPath: container.path("/usr/bin/ulbctl"))
    try files.copyItem(
      atPath: Package.path("debian/ulbctl.ulb-web.service"),
      toPath: container.path("/etc/systemd/system/ulb-web.service"))
    try container.run("ip", "link", "set", "lo", "up")
    // Somebody who only takes connections, in a folder and at a socket of the group's.
    try container.run(
      "systemd-run", "--quiet", "--service-type=exec", "--property=Group=ulb",
      "--property=RuntimeDirectory=ulb/lb0", "--property=RuntimeDirectoryMode=0750",
      "--property=UMask=0117", "--unit=fake", "/usr/bin/python3", "-c",
      """
      import socket
      listener = socket.socket(socket.AF_UNIX)
      listener.bind("/run/ulb/lb0/control.sock")
      listener.listen()
      while True:
          connection = listener.accept()[0]
          connection.recv(4096)
          connection.sendall(b"HTTP/1.0 500 Nonsense\\r\\n\\r\\n")
          connection.close()
      """)

    try container.run("systemctl", "daemon-reload")
    try container.run("systemctl", "start", "ulb-web")
    #expect(try property("StatusText", container) == "http://127.0.0.1:9098/")
    #expect(try get("/", container).lowercased().contains("<!doctype html>"))
    let list = try get("/api/daemons", container)
    #expect(list.contains("answers GET /v1/status with 500"), "\(list)")
    #expect(try get("/metrics", container).contains("ulb_up{interface=\"lb0\"} 0\n"))

    // No capability, no root, and no way to a daemon but the group.
    let process = try container.process(pid_t(property("MainPID", container)) ?? 0)
    let facts = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
    for line in [
      "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "Seccomp:\t2", "NoNewPrivs:\t1",
    ] {
      #expect(facts.contains(line), "\(facts)")
    }
    #expect(!facts.contains("Uid:\t0"))
    try container.run("chgrp", "root", "/run/ulb/lb0")
    #expect(try get("/api/daemons", container).contains("no permission for /run/ulb/lb0"))

    // What web.conf says is in force after a restart.
    try files.createDirectory(
      atPath: container.path("/etc/ulb"), withIntermediateDirectories: true)
    try "LISTEN=[::1]:9099\nWEB_OPTIONS=\"--host lb1 --host lb1.example\"\n".write(
      toFile: container.path("/etc/ulb/web.conf"), atomically: false, encoding: .utf8)
    try container.run("systemctl", "restart", "ulb-web")
    #expect(try property("StatusText", container) == "http://[::1]:9099/")
    #expect(try get("/metrics", container, at: "[::1]:9099").contains("ulb_up"))
    #expect(try get("/metrics", container, at: "[::1]:9099", as: "lb1").contains("ulb_up"))
    try container.run("systemctl", "stop", "ulb-web")
    #expect(try property("Result", container) == "success")
  }

  private func property(_ name: String, _ container: Container) throws -> String {
    try container.run("systemctl", "show", "--value", "--property", name, "ulb-web")
  }

  private func get(
    _ path: String, _ container: Container, at server: String = "127.0.0.1:9098",
    as host: String? = nil
  ) throws -> String {
    try container.run(
      "/usr/bin/python3", "-c",
      """
      import sys, urllib.request
      request = urllib.request.Request(sys.argv[1], headers={"Host": sys.argv[2]})
      print(urllib.request.urlopen(request).read().decode())
      """,
      "http://\(server)\(path)", host ?? server)
  }

  /// 0 is best, 10 is worst.
  @Test func exposureIsSmall() throws {
    let unit = Package.path("debian/ulbctl.ulb-web.service")
    let result = try run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit)
    let text = result.standardOutput
    let match = try #require(
      text.firstMatch(of: /Overall exposure level for .*: ([0-9.]+)/), "\(text)")
    let exposure = try #require(Double(match.1))
    #expect(exposure <= 1.5)
  }
}
