// The unit of ulb-sync under a real systemd: what it does, and what it may do.
import Foundation
import TestSupport
import Testing

/// One at a time: each has a container of its own, with a systemd in it.
@Suite(.serialized) struct SyncUnitTests {
  private static let unit = Package.path("debian/ulb-sync@.service")
  private static let name = "ulb-sync@lb0"

  /// It shares as a member of the socket's group and as nobody else.
  @Test func lifeOfTheUnit() throws {
    let container = try Container("ulb-sync-\(getpid())")
    let files = FileManager.default
    try container.run("systemd-sysusers", "--inline", "u ulb -")
    try files.copyItem(
      atPath: Package.executables + "/ulb-sync", toPath: container.path("/usr/bin/ulb-sync"))
    try files.copyItem(
      atPath: Self.unit, toPath: container.path("/etc/systemd/system/ulb-sync@.service"))
    try files.createDirectory(
      atPath: container.path("/etc/ulb"), withIntermediateDirectories: true)
    try "secret\n".write(
      toFile: container.path("/etc/ulb/password"), atomically: false, encoding: .utf8)
    try container.run("chgrp", "ulb", "/etc/ulb/password")
    try container.run("chmod", "640", "/etc/ulb/password")
    try container.run("ip", "link", "set", "lo", "up")
    try container.run(
      "systemd-run", "--quiet", "--service-type=exec", "--unit=redis", "redis-server", "--save", "",
      "--bind", "127.0.0.1", "--requirepass", "secret")
    // A daemon that shares nothing and takes all.
    try container.run(
      "systemd-run", "--quiet", "--service-type=exec", "--property=Group=ulb",
      "--property=RuntimeDirectory=ulb/lb0", "--property=RuntimeDirectoryMode=0750",
      "--property=UMask=0117", "--unit=fake", "/usr/bin/python3", "-c",
      """
      import http.server, socketserver, time
      class Handler(http.server.BaseHTTPRequestHandler):
          def do_GET(self):
              self.send_response(200)
              self.end_headers()
              self.wfile.write(b'{"cursor":"1.1","reset":true}\\n')
              while True:
                  self.wfile.write(b'{"cursor":"1.1"}\\n')
                  time.sleep(1)
          def do_PUT(self):
              self.rfile.read(int(self.headers["Content-Length"]))
              self.send_response(204)
              self.end_headers()
          do_POST = do_PUT
          def address_string(self):
              return "sync"
      class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
          pass
      Server("/run/ulb/lb0/control.sock", Handler).serve_forever()
      """)
    try container.run("systemctl", "daemon-reload")

    // Without a config file it says what is missing, and is not started again and again.
    let failed = try run(
      Package.path("scripts/systemd/container"), "exec", container.name, "systemctl", "start",
      Self.name)
    #expect(failed.status != 0)
    #expect(try property("NRestarts", container) == "0")

    try "redis = redis://127.0.0.1\npassword_file = /etc/ulb/password\ndirector = a\n".write(
      toFile: container.path("/etc/ulb/lb0.sync.conf"), atomically: false, encoding: .utf8)
    try container.run("systemctl", "reset-failed", Self.name)
    try container.run("systemctl", "start", Self.name)
    let shares = try waitUntil {
      try property("StatusText", container) == "sharing over 127.0.0.1:6379 with nobody yet"
    }
    let status = try property("StatusText", container)
    #expect(shares, "\(status)")
    let directors = try container.run(
      "redis-cli", "-a", "secret", "--no-auth-warning", "HKEYS", "ulb:{ulb}:directors")
    #expect(directors == "a")

    // No capability, no root, and no way to a daemon but the group.
    let process = try container.process(pid_t(property("MainPID", container)) ?? 0)
    let facts = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
    for line in [
      "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "Seccomp:\t2", "NoNewPrivs:\t1",
    ] {
      #expect(facts.contains(line), "\(facts)")
    }
    #expect(!facts.contains("Uid:\t0"))
    try container.run("systemctl", "stop", Self.name)
    #expect(try property("Result", container) == "success")
  }

  /// With the package's example, who gives a director clients stops first when ulb is stopped, starts with
  /// it, and is left alone when ulb is restarted.
  @Test func clientsGoElsewhereBeforeUlbStops() throws {
    let container = try Container("stop-with-ulb-\(getpid())")
    func write(_ text: String, _ name: String) throws {
      let path = container.path("/etc/systemd/system/\(name)")
      try FileManager.default.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try text.write(toFile: path, atomically: false, encoding: .utf8)
    }
    // Of ulb and bird nothing counts here but that they run.
    let program = "[Service]\nExecStart=/usr/bin/sleep infinity\n"
    try write(program, "ulb@.service")
    try write(program + "[Install]\nWantedBy=multi-user.target\n", "bird.service")
    let example = try String(
      contentsOfFile: Package.path("debian/examples/stop-with-ulb.conf"), encoding: .utf8)
    try write(example.replacing("eth0", with: "lb0"), "bird.service.d/ulb.conf")
    try container.run("systemctl", "daemon-reload")
    try container.run("systemctl", "enable", "bird")
    func property(_ name: String, of unit: String) throws -> String {
      try container.run("systemctl", "show", "--value", "--property", name, unit)
    }

    try container.run("systemctl", "start", "ulb@lb0")
    #expect(try property("ActiveState", of: "bird") == "active")
    let process = try property("MainPID", of: "bird")
    try container.run("systemctl", "restart", "ulb@lb0")
    #expect(try property("MainPID", of: "bird") == process)
    try container.run("systemctl", "stop", "ulb@lb0")
    #expect(try property("ActiveState", of: "bird") == "inactive")
    let ends = try ["bird", "ulb@lb0"].map {
      UInt64(try property("InactiveEnterTimestampMonotonic", of: $0)) ?? 0
    }
    #expect(ends[0] > 0 && ends[0] < ends[1], "\(ends)")
    try container.run("systemctl", "start", "ulb@lb0")
    #expect(try property("ActiveState", of: "bird") == "active")
  }

  private func property(_ name: String, _ container: Container) throws -> String {
    try container.run("systemctl", "show", "--value", "--property", name, Self.name)
  }

  /// 0 is best, 10 is worst.
  @Test func exposureIsSmall() throws {
    let result = try run("systemd-analyze", "security", "--offline=yes", "--no-pager", Self.unit)
    let text = result.standardOutput
    let match = try #require(
      text.firstMatch(of: /Overall exposure level for .*: ([0-9.]+)/), "\(text)")
    let exposure = try #require(Double(match.1))
    #expect(exposure <= 1.5)
  }
}
