// The config file of ulb-sync, and its command line.
import CommandLine
import Foundation
import Redis
import TestSupport
import Testing

@testable import Sync

@Suite struct ConfigurationTests {
  private func configuration(_ text: String) throws(ConfigFileError) -> SyncConfiguration {
    try SyncConfiguration(
      Array(text.utf8), fileName: "lb0.sync.conf", interface: "lb0", hostName: "host"
    ) { path in
      path == "/secret"
        ? .success(Array("pass word\nmore".utf8)) : .failure(FileError(.permissionDenied))
    }
  }

  private func server(_ text: String) throws -> RedisServer { try configuration(text).redis }

  @Test func defaults() throws {
    let configuration = try configuration("# remark\n\nredis = redis://127.0.0.1\n")
    #expect(configuration.control == "/run/ulb/lb0/control.sock")
    #expect(configuration.cluster == "ulb")
    #expect(configuration.director == "host")
    #expect(configuration.redis == RedisServer(.tcp(host: "127.0.0.1", port: 6379)))
  }

  @Test func placesOfRedis() throws {
    #expect(try server("redis = redis://[fd00::1]:7/3").place == .tcp(host: "fd00::1", port: 7))
    #expect(try server("redis = redis://[fd00::1]").place == .tcp(host: "fd00::1", port: 6379))
    #expect(try server("redis = redis://[fd00::1]:7/3").database == 3)
    #expect(
      try server("redis = unix:///run/redis.sock?db=2").place == .unix(path: "/run/redis.sock"))
    #expect(try server("redis = unix:///run/redis.sock?db=2").database == 2)
    var tls = RedisServer.TLS()
    tls.authorities = "/ca"
    tls.serverName = "name"
    let secure = try server("redis=rediss://redis.example\nca_file=/ca\nserver_name=name")
    #expect(secure.tls == tls)
    let watched = try server(
      "sentinel = one:1, two\nsentinel_master = lb\ntls = yes\ndatabase = 4\nusername = u\n"
        + "password_file = /secret")
    #expect(
      watched.place
        == .sentinels([.init(host: "one", port: 1), .init(host: "two", port: 26379)], master: "lb"))
    #expect(watched.tls == RedisServer.TLS())
    #expect(watched.database == 4)
    #expect(watched.username == "u")
    #expect(watched.password == "pass word")
    #expect(watched.name == "lb of one:1, two:26379")
  }

  @Test(arguments: [
    ("", "lb0.sync.conf: it does not say where Redis is; write redis = redis://HOST:PORT"),
    ("redis", "line 1: 'redis' is no setting; write KEY = VALUE"),
    ("\nredis =", "line 2: redis has no value"),
    ("Redis = redis://a\nredis = redis://b", "line 2: redis stands on line 1 already"),
    ("server = redis://a", "line 1: 'server' is no setting; what is known is redis, sentinel, "),
    ("redis = http://a", "line 1: redis = 'http://a': write redis://HOST:PORT/DATABASE"),
    ("redis = a:6379", "write redis://HOST:PORT/DATABASE"),
    ("redis = redis://a:0", "write redis://"), ("redis = redis://a:65536", "write redis://"),
    ("redis = redis://a:b:1", "write redis://"), ("redis = redis://", "write redis://"),
    ("redis = unix://run/redis", "or unix:///PATH"),
    ("redis = redis://a/x", "the database is no number"),
    ("redis = redis://:secret@a", "set username and password_file"),
    ("redis = redis://a\nsentinel = b\n", "redis is set as well"),
    ("sentinel = b", "set sentinel_master, too"),
    ("sentinel = b:x\nsentinel_master = m", "'b:x' is none; write HOST:PORT, HOST:PORT"),
    ("sentinel = b\nsentinel_master = m\ntls = maybe", "line 3: tls = 'maybe': write yes or no"),
    ("redis = redis://a\ntls = yes", "is for sentinel alone"),
    ("redis = redis://a\nca_file = /ca", "is for TLS alone"),
    ("redis = rediss://a\nkey_file = /key", "set both"),
    ("redis = redis://a\nusername = u", "has no password; set password_file, too"),
    (
      "redis = redis://a\npassword_file = /none", "cannot be read: Permission denied; let the group"
    ),
    ("redis = redis://a\ncluster = a{b}", "line 2: cluster = 'a{b}': write at most 64 letters"),
    ("redis = redis://a\ndirector = a b", "write at most 64 letters"),
  ])
  func refusals(_ text: String, _ reason: String) throws {
    let error = #expect(throws: ConfigFileError.self) { _ = try configuration(text) }
    let line = try #require(error).description
    #expect(line.hasPrefix("lb0.sync.conf"), "\(line)")
    #expect(line.contains(reason), "\(line)")
    #expect(!line.contains("\n") && !line.contains("secret@") || text.contains("secret@"))
  }

  private func ulbSync(_ arguments: String...) throws -> CompletedProcess {
    try CompletedProcess(try ChildProcess([Package.executables + "/ulb-sync"] + arguments))
  }

  @Test func theCommandLine() throws {
    let directory = try TemporaryDirectory()
    let file = directory.path(of: "conf")
    let version = try ulbSync("--version")
    #expect(version.standardOutput == "ulb-sync \(CommandLineRequest.version)")
    #expect(try ulbSync("--help").standardOutput.contains("--check"))
    #expect(try ulbSync().status == 2)
    #expect(try ulbSync("lb0", "--wrong").status == 2)
    let missing = try ulbSync("lb0", "--config", file)
    #expect(missing.status == 1)
    #expect(
      missing.standardError
        == "ulb-sync: error: \(file) cannot be read: No such file or directory; see ulb-sync.conf(5)"
    )
    try "redis = redis://redis.example/1\ndirector = a\n"
      .write(toFile: file, atomically: false, encoding: .utf8)
    let good = try ulbSync("lb0", "--config", file, "--check")
    #expect(good.status == 0)
    #expect(
      good.standardOutput
        == #"{"cluster":"ulb","control":"/run/ulb/lb0/control.sock","database":1,"director":"a","has_password":false,"redis":"redis.example:6379","tls":false}"#
    )
    try "redis = nowhere\n".write(toFile: file, atomically: false, encoding: .utf8)
    let bad = try ulbSync("lb0", "--config", file, "--check")
    #expect(bad.status == 1)
    #expect(bad.standardError.hasPrefix("ulb-sync: error: \(file), line 1: redis = 'nowhere': "))
  }
}
