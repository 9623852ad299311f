// What ulb-sync is told by its config file: /etc/ulb/IFNET.sync.conf. Opens no file itself.
import CommandLine
import Control
import JSONCoding
import Redis

/// What to share, where, and as whom.
public struct SyncConfiguration: Sendable, Equatable {
  /// The path of the daemon's control socket.
  public var control: String
  public var redis: RedisServer
  /// Directors of one cluster share; those of others on the same Redis do not.
  public var cluster: String
  /// What this director is called among those of its cluster.
  public var director: String

  public init(control: String, redis: RedisServer, cluster: String = "ulb", director: String) {
    self.control = control
    self.redis = redis
    self.cluster = cluster
    self.director = director
  }

  /// The keys of the file, as messages list them.
  public static let keys = [
    "redis", "sentinel", "sentinel_master", "tls", "database", "username", "password_file",
    "ca_file", "certificate_file", "key_file", "server_name", "cluster", "director", "control",
  ]

  /// Reads a whole file.
  ///
  /// - Parameters:
  ///   - interface: whose daemon's associations are shared.
  ///   - hostName: what the director is called where the file does not say it.
  ///   - readFile: reads the file of the password.
  public init(
    _ bytes: [UInt8], fileName: String, interface: String, hostName: String,
    readFile: (String) -> Result<[UInt8], FileError>
  ) throws(ConfigFileError) {
    let file = try SettingsFile(bytes, fileName: fileName, keys: Self.keys)
    redis = try Self.server(file)
    redis.username = file["username"]?.value
    if let setting = file["password_file"] {
      redis.password = try Self.password(file, setting, readFile)
    } else if let setting = file["username"] {
      throw file.error(setting, "has no password; set password_file, too")
    }
    cluster = try Self.name(file, "cluster") ?? "ulb"
    director = try Self.name(file, "director") ?? hostName
    control = file["control"]?.value ?? "/run/ulb/\(interface)/control.sock"
  }

  /// A name that is part of keys and of messages.
  private static func name(_ file: SettingsFile, _ key: String) throws(ConfigFileError) -> String? {
    guard let setting = file[key] else { return nil }
    guard setting.value.utf8.count <= 64,
      setting.value.unicodeScalars.allSatisfy({
        $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil)
          || "-_.".unicodeScalars.contains($0)
      })
    else {
      throw file.error(setting, "write at most 64 letters, digits, hyphens, dots and underscores")
    }
    return setting.value
  }

  private static func password(
    _ file: SettingsFile, _ setting: SettingsFile.Setting,
    _ readFile: (String) -> Result<[UInt8], FileError>
  ) throws(ConfigFileError) -> String {
    switch readFile(setting.value) {
    case .success(let bytes):
      let line = bytes.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
      guard let password = String(validating: line, as: UTF8.self), !password.isEmpty else {
        throw file.error(setting, "its first line is no password; write it there")
      }
      return password
    case .failure(let error):
      throw file.error(
        setting, "cannot be read: \(error.reason); let the group ulb read it (chgrp ulb, chmod 640)"
      )
    }
  }

  // MARK: Where Redis is

  private static func server(_ file: SettingsFile) throws(ConfigFileError) -> RedisServer {
    var server: RedisServer
    var isSecure = false
    switch (file["redis"], file["sentinel"]) {
    case (let setting?, nil): (server, isSecure) = try self.server(file, url: setting)
    case (nil, let setting?): (server, isSecure) = try sentinels(file, setting)
    case (_?, let setting?):
      throw file.error(setting, "redis is set as well; remove one of the two")
    case (nil, nil):
      throw ConfigFileError(
        fileName: file.fileName, line: nil,
        reason: "it does not say where Redis is; write redis = redis://HOST:PORT")
    }
    if case .sentinels = server.place {
    } else {
      for key in ["sentinel_master", "tls", "database"] {
        guard let setting = file[key] else { continue }
        throw file.error(
          setting, "is for sentinel alone; redis has it in its address: rediss://HOST:PORT/DATABASE"
        )
      }
    }
    var tls = RedisServer.TLS()
    tls.authorities = file["ca_file"]?.value
    tls.certificate = file["certificate_file"]?.value
    tls.key = file["key_file"]?.value
    tls.serverName = file["server_name"]?.value
    if isSecure {
      server.tls = tls
    } else {
      for key in ["ca_file", "certificate_file", "key_file", "server_name"] {
        guard let setting = file[key] else { continue }
        throw file.error(setting, "is for TLS alone; write rediss:// for redis://, or tls = yes")
      }
    }
    if (tls.certificate == nil) != (tls.key == nil) {
      let setting = file["certificate_file"] ?? file["key_file"]!
      throw file.error(setting, "certificate_file and key_file belong together; set both")
    }
    return server
  }

  /// `redis://HOST[:PORT][/DATABASE]`, `rediss://…` with TLS, `unix:///PATH[?db=DATABASE]`.
  private static func server(
    _ file: SettingsFile, url setting: SettingsFile.Setting
  ) throws(ConfigFileError) -> (RedisServer, isSecure: Bool) {
    let forms = "write redis://HOST:PORT/DATABASE, rediss:// with TLS, or unix:///PATH"
    let parts = setting.value.split(
      separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else { throw file.error(setting, forms) }
    if parts[1].contains("@") {
      throw file.error(setting, "a password does not belong here; set username and password_file")
    }
    var server: RedisServer
    switch parts[0] {
    case "unix":
      let words = parts[1].split(separator: "?db=", omittingEmptySubsequences: false)
      guard words[0].hasPrefix("/"), words.count <= 2 else { throw file.error(setting, forms) }
      server = RedisServer(.unix(path: String(words[0])))
      if words.count == 2 { server.database = try database(file, setting, words[1]) }
      return (server, false)
    case "redis", "rediss":
      let words = parts[1].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      guard let endpoint = RedisServer.Endpoint(String(words[0]), defaultPort: 6379) else {
        throw file.error(setting, forms)
      }
      server = RedisServer(.tcp(host: endpoint.host, port: endpoint.port))
      if words.count == 2, !words[1].isEmpty {
        server.database = try database(file, setting, words[1])
      }
      return (server, parts[0] == "rediss")
    default: throw file.error(setting, forms)
    }
  }

  private static func sentinels(
    _ file: SettingsFile, _ setting: SettingsFile.Setting
  ) throws(ConfigFileError) -> (RedisServer, isSecure: Bool) {
    var endpoints: [RedisServer.Endpoint] = []
    for word in setting.value.split(whereSeparator: { $0 == "," || $0 == " " || $0 == "\t" }) {
      guard let endpoint = RedisServer.Endpoint(String(word), defaultPort: 26379) else {
        throw file.error(setting, "'\(word.prefix(80))' is none; write HOST:PORT, HOST:PORT")
      }
      endpoints.append(endpoint)
    }
    guard let master = file["sentinel_master"] else {
      throw file.error(setting, "set sentinel_master, too: what the Sentinels call it")
    }
    if endpoints.isEmpty { throw file.error(setting, "write HOST:PORT, HOST:PORT") }
    var server = RedisServer(.sentinels(endpoints, master: master.value))
    if let setting = file["database"] {
      server.database = try database(file, setting, setting.value[...])
    }
    var isSecure = false
    if let setting = file["tls"] {
      switch setting.value.lowercased() {
      case "yes": isSecure = true
      case "no": break
      default: throw file.error(setting, "write yes or no")
      }
    }
    return (server, isSecure)
  }

  private static func database(
    _ file: SettingsFile, _ setting: SettingsFile.Setting, _ text: Substring
  ) throws(ConfigFileError) -> Int {
    guard let number = UInt16(text) else {
      throw file.error(setting, "the database is no number; write 0, or leave it out")
    }
    return Int(number)
  }

  // MARK: As JSON

  private struct Members: Encodable {
    let control: String
    let cluster: String
    let director: String
    let redis: String
    let database: Int
    let tls: Bool
    let username: String?
    let hasPassword: Bool

    private enum CodingKeys: String, CodingKey {
      case control, cluster, director, redis, database, tls, username
      case hasPassword = "has_password"
    }
  }

  /// One JSON object on one line, without the password.
  public func json() -> String {
    let members = Members(
      control: control, cluster: cluster, director: director, redis: redis.name,
      database: redis.database, tls: redis.tls != nil, username: redis.username,
      hasPassword: redis.password != nil)
    return String(decoding: (try? JSON.encode(members)) ?? [], as: UTF8.self)
  }
}
