// What directors share, in Redis: which keys there are, and what is done with them. Knows no daemon.
import Control
import JSONCoding
import LoadBalancing
import Redis

/// Two connections to one Redis: one that asks and writes, one that waits for what others write.
///
/// Keys begin with `ulb:{CLUSTER}:`, the braces included, so that a Redis cluster keeps them together:
/// - `a:VIRTUAL SERVER:BUCKET`, hashes: clients, see RecordCoding.swift
/// - `overrides`, a hash: what control sockets have set of real servers
/// - `changes`, a stream: batches of records `b` of a director `d`, whose oldest was found at `t` (ms)
/// - `id`, a string: another one, or none, means that Redis was emptied
/// - `directors`, a hash: who is there, as JSON
struct SharedState: Sendable {
  /// Which data set this is: of another one nothing that was known holds.
  struct Identity: Equatable, Sendable {
    /// The key `id`.
    var id: String
    /// The process that has it. Another one, after a failover or a crash, may lack what the former has
    /// acknowledged.
    var run: String
  }

  /// A place in the stream.
  struct Position: Comparable, Sendable {
    let milliseconds: UInt64
    let number: UInt64

    init?(_ text: String?) {
      guard let parts = text?.split(separator: "-"), parts.count == 2,
        let milliseconds = UInt64(parts[0]), let number = UInt64(parts[1])
      else { return nil }
      self.milliseconds = milliseconds
      self.number = number
    }

    var text: String { "\(milliseconds)-\(number)" }

    static func < (left: Position, right: Position) -> Bool {
      (left.milliseconds, left.number) < (right.milliseconds, right.number)
    }
  }

  /// A batch of the stream.
  struct Entry: Sendable {
    let position: Position
    let director: String
    /// Milliseconds since 1970, by the director's clock.
    let found: UInt64
    let changes: [AssociationChange]
  }

  /// A director, as it has last said of itself.
  struct Director: Sendable {
    let name: String
    /// Milliseconds since 1970, by Redis' clock.
    let seen: UInt64
    let lag: Double?
    /// A number of the process, which tells two directors of one name apart.
    let process: UInt64?
    /// It is there and has not written all that it knows: Redis lacks something.
    let isFilling: Bool
  }

  enum Failure: Error, Equatable {
    case redis(RedisError)
    /// The data set is another one than it was.
    case emptied
  }

  /// Batches that the stream keeps, about.
  static let entries = 2000
  /// The most entries that are read at once.
  static let readAtOnce = 200
  /// From when on a director that says nothing is no more.
  private static let silence: UInt64 = 60_000
  /// From when on nobody waits for one that says nothing.
  private static let pause: UInt64 = 5000
  /// For how long is remembered what was forgotten.
  private static let memory: UInt64 = 24 * 3600 * 1000

  private let asking: RedisConnection
  private let waiting: RedisConnection
  private let prefix: String
  let identity: Identity
  /// Nobody was here before: Redis was empty.
  let isNew: Bool

  var server: String { asking.name }

  /// Connects, and makes what is there at least: an id, and a stream that is not empty.
  init(_ server: RedisServer, cluster: String) async throws(RedisError) {
    prefix = "ulb:{\(cluster)}:"
    asking = try await RedisConnection.connect(to: server)
    var found = server
    found.place = asking.place
    waiting = try await RedisConnection.connect(to: found)
    let new = (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 16) }.joined()
    let answers = try await asking.send([
      RedisCommand("INFO", "server"),
      RedisCommand("SET", Self.word(prefix, "id"), RedisWord(new), "NX"),
      RedisCommand("GET", Self.word(prefix, "id")),
      RedisCommand("EXISTS", Self.word(prefix, "changes")),
      RedisCommand("SCRIPT", "LOAD", Self.script),
    ])
    for answer in answers { try asking.check(answer) }
    let run =
      answers[0].text?.split(whereSeparator: \.isNewline).first { $0.hasPrefix("run_id:") } ?? ""
    identity = Identity(id: answers[2].text ?? "", run: String(run))
    isNew = identity.id == new
    hash = RedisWord(answers[4].bytes ?? [])
    if answers[3].integer == 0 {
      // So that there is a place to read on from.
      try await asking.send(
        RedisCommand("XADD", key("changes"), "*", "d", "", "t", "0", "b", ""))
    }
  }

  func close() {
    asking.close()
    waiting.close()
  }

  // MARK: Writing

  /// Changes that are written as one.
  struct Batch: Sendable {
    var changes: [StoredChange]
    /// When the oldest was found: milliseconds since 1970.
    var found: UInt64
  }

  private static let script = RedisWord(PackageResources.write_lua)
  /// What Redis knows the script by.
  private let hash: RedisWord

  /// Writes batches, of which only what is later than what is there is taken.
  ///
  /// Returns when Redis has them.
  func write(_ batches: [Batch], of director: String) async throws(Failure) {
    let arguments = batches.map { batch -> [RedisWord] in
      var words: [RedisWord] = [
        "1", key("changes"), RedisWord(prefix), RedisWord(identity.id), RedisWord(director),
        RedisWord(String(batch.found)), RedisWord(Self.entries),
      ]
      for change in batch.changes {
        words += [
          RedisWord(change.key), RedisWord(change.field), RedisWord(change.value),
          RedisWord(change.head),
        ]
      }
      return words
    }
    var answers = try await send(arguments.map { RedisCommand(["EVALSHA", hash] + $0) })
    // SCRIPT FLUSH, or a Redis that was started anew.
    let lost = answers.indices.filter { answers[$0].error?.hasPrefix("NOSCRIPT") == true }
    if !lost.isEmpty {
      let again = try await send(lost.map { RedisCommand(["EVAL", Self.script] + arguments[$0]) })
      for (index, answer) in zip(lost, again) { answers[index] = answer }
    }
    for answer in answers {
      if try check(answer).integer == -1 { throw .emptied }
    }
  }

  // MARK: Reading

  /// The end of the stream.
  func end() async throws(Failure) -> Position {
    let answer = try await send(RedisCommand("XREVRANGE", key("changes"), "+", "-", "COUNT", "1"))
    guard let position = Position(answer.array?.first?.array?.first?.text) else { throw .emptied }
    return position
  }

  /// Reads all, some thousand changes at a time.
  ///
  /// - Parameter now: Milliseconds since 1970: what was forgotten long before is removed.
  func readAll(
    now: UInt64, _ body: ([AssociationChange]) async throws -> Void
  ) async throws {
    let overrides = try await send(RedisCommand("HGETALL", key("overrides")))
    try await body(
      Self.pairs(overrides).compactMap { AssociationChange(overrideField: $0, value: $1) })
    let pattern = Self.escaped(prefix) + "a:*"
    var cursor = "0"
    repeat {
      let answer = try await send(
        RedisCommand("SCAN", RedisWord(cursor), "MATCH", RedisWord(pattern), "COUNT", "1000"))
      guard let parts = answer.array, parts.count == 2, let next = parts[0].text,
        let names = parts[1].array?.compactMap(\.text)
      else { throw Failure.redis(.notRedis(server)) }
      cursor = next
      var rest = names[...]
      while !rest.isEmpty {
        try await body(try await readHashes(rest.prefix(64), now: now))
        rest = rest.dropFirst(64)
      }
    } while cursor != "0"
  }

  private func readHashes(
    _ names: ArraySlice<String>, now: UInt64
  ) async throws(Failure) -> [AssociationChange] {
    let answers = try await send(names.map { RedisCommand("HGETALL", RedisWord($0)) })
    var changes: [AssociationChange] = []
    var old: [RedisCommand] = []
    for (name, answer) in zip(names, answers) {
      guard
        let virtualServer = StoredChange.virtualServer(ofKey: name.dropFirst(prefix.count))
      else { continue }
      for (field, value) in Self.pairs(try check(answer)) {
        guard
          let change = AssociationChange(virtualServer: virtualServer, field: field, value: value)
        else { continue }
        changes.append(change)
        if change.isForgotten, change.at + Self.memory < now {
          old.append(RedisCommand("HDEL", RedisWord(name), RedisWord(Array(field))))
        }
      }
    }
    if !old.isEmpty { _ = try await send(old) }
    return changes
  }

  /// What came after a place: at once where there is something, else after some time nothing.
  ///
  /// - Returns: `nil` where it is not sure that nothing between is missing: the stream was cut behind it.
  func read(after position: Position) async throws(Failure) -> [Entry]? {
    // The second command is carried out when the first one is answered.
    let check =
      "return {redis.call('GET', KEYS[2]), redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]}"
    let answers: [RedisValue]
    do throws(RedisError) {
      answers = try await waiting.send([
        RedisCommand(
          "XREAD", "COUNT", RedisWord(Self.readAtOnce), "BLOCK", "1000", "STREAMS", key("changes"),
          RedisWord(position.text)),
        RedisCommand("EVAL", RedisWord(check), "2", key("changes"), key("id")),
      ])
    } catch {
      throw .redis(error)
    }
    let state = try self.check(answers[1]).array ?? []
    guard state.first?.text == identity.id else { throw .emptied }
    guard let first = Position(state.last?.array?.first?.text), first <= position else {
      return nil
    }
    return try self.check(answers[0]).array?.first?.array?.last?.array?.compactMap(Self.entry) ?? []
  }

  private static func entry(_ value: RedisValue) -> Entry? {
    guard let parts = value.array, parts.count == 2, let position = Position(parts[0].text),
      let fields = parts[1].array
    else { return nil }
    var members: [String: [UInt8]] = [:]
    for index in stride(from: 0, to: fields.count - 1, by: 2) {
      if let name = fields[index].text { members[name] = fields[index + 1].bytes }
    }
    func text(_ name: String) -> String { String(decoding: members[name] ?? [], as: UTF8.self) }
    return Entry(
      position: position, director: text("d"), found: UInt64(text("t")) ?? 0,
      changes: AssociationChange.records(members["b"] ?? []) ?? [])
  }

  // MARK: Directors

  /// Says that a director is there, removes those that are no more, and tells who is.
  ///
  /// - Parameter isWhole: whether it has written all that it knows.
  func announce(
    _ name: String, lag: Double?, process: UInt64, isWhole: Bool
  ) async throws(Failure) -> [Director] {
    let time = try await send(RedisCommand("TIME")).array?.compactMap {
      $0.text.flatMap(UInt64.init)
    }
    guard let time, time.count == 2 else { throw .redis(.notRedis(server)) }
    let now = time[0] * 1000 + time[1] / 1000
    let answers = try await send([
      RedisCommand("HGETALL", key("directors")),
      RedisCommand(
        "HSET", key("directors"), RedisWord(name),
        RedisWord(
          DirectorMembers(seen: now, lag: lag, process: process, isWhole: isWhole).text)),
    ])
    try check(answers[1])
    var directors: [Director] = []
    var gone: [RedisWord] = []
    for (field, value) in Self.pairs(try check(answers[0])) {
      let members = try? JSON.decode(DirectorMembers.self, from: value)
      guard let members, members.seen + Self.silence > now else {
        gone.append(RedisWord(Array(field)))
        continue
      }
      directors.append(
        Director(
          name: String(decoding: field, as: UTF8.self), seen: members.seen, lag: members.lag,
          process: members.process,
          isFilling: !members.isWhole && members.seen + Self.pause > now))
    }
    gone.removeAll { $0 == RedisWord(name) }
    if !gone.isEmpty { try await send(RedisCommand(["HDEL", key("directors")] + gone)) }
    return directors.sorted { $0.name < $1.name }
  }

  private struct DirectorMembers: Codable {
    let seen: UInt64
    let lag: Double?
    let process: UInt64?
    let isWhole: Bool

    var text: String { String(decoding: (try? JSON.encode(self)) ?? [], as: UTF8.self) }

    private enum CodingKeys: String, CodingKey {
      case seen, process
      case lag = "lag_ms"
      case isWhole = "whole"
    }
  }

  // MARK: Commands

  private func key(_ name: String) -> RedisWord { Self.word(prefix, name) }

  private static func word(_ prefix: String, _ name: String) -> RedisWord {
    RedisWord(prefix + name)
  }

  /// As SCAN's pattern means it.
  private static func escaped(_ text: String) -> String {
    String(text.flatMap { #"*?[]\^"#.contains($0) ? ["\\", $0] : [$0] })
  }

  private static func pairs(
    _ value: RedisValue
  ) -> [(ArraySlice<UInt8>, ArraySlice<UInt8>)] {
    let values = value.array ?? []
    return stride(from: 0, to: values.count - 1, by: 2).compactMap { index in
      guard let field = values[index].bytes, let value = values[index + 1].bytes else { return nil }
      return (field[...], value[...])
    }
  }

  @discardableResult
  private func send(_ command: RedisCommand) async throws(Failure) -> RedisValue {
    try check(try await send([command])[0])
  }

  private func send(_ commands: [RedisCommand]) async throws(Failure) -> [RedisValue] {
    do throws(RedisError) {
      return try await asking.send(commands)
    } catch {
      throw .redis(error)
    }
  }

  @discardableResult
  private func check(_ value: RedisValue) throws(Failure) -> RedisValue {
    if case .error(let line) = value { throw .redis(.refused(server, line)) }
    return value
  }
}
