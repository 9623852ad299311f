// What Redis is told and what it says, as values: the protocol itself is hiredis'.
import CHiredis
import NIOCore

/// A word of a command: bytes, whatever they are.
public struct RedisWord: Sendable, Hashable, ExpressibleByStringInterpolation {
  public let bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  public init(_ text: String) { bytes = Array(text.utf8) }

  public init(_ number: Int) { self.init(String(number)) }

  public init(stringLiteral text: String) { self.init(text) }
}

/// A command with its arguments.
public struct RedisCommand: Sendable {
  public var words: [RedisWord]

  public init(_ words: RedisWord...) { self.words = words }

  public init(_ words: [RedisWord]) { self.words = words }

  /// Appends it as Redis reads it.
  func write(to buffer: inout ByteBuffer) {
    // One run of bytes, as a pointer to each word's own would have to be held open at once.
    let bytes = words.flatMap(\.bytes)
    bytes.withUnsafeBytes { all in
      let start = all.baseAddress?.assumingMemoryBound(to: CChar.self)
      // Of no bytes at all there is no address; their length is 0 then.
      let nothing: StaticString = ""
      var next = start ?? UnsafeRawPointer(nothing.utf8Start).assumingMemoryBound(to: CChar.self)
      var pointers: [UnsafePointer<CChar>?] = []
      var lengths: [Int] = []
      pointers.reserveCapacity(words.count)
      lengths.reserveCapacity(words.count)
      for word in words {
        pointers.append(next)
        lengths.append(word.bytes.count)
        next += word.bytes.count
      }
      var text: UnsafeMutablePointer<CChar>?
      let count = redisFormatCommandArgv(&text, Int32(words.count), &pointers, lengths)
      precondition(count > 0, "no memory for a command of \(bytes.count) bytes")
      buffer.writeBytes(UnsafeRawBufferPointer(start: text, count: Int(count)))
      redisFreeCommand(text)
    }
  }
}

/// What Redis answers.
public enum RedisValue: Sendable, Hashable {
  /// A string, or a line like `OK`.
  case bytes([UInt8])
  case integer(Int)
  case array([RedisValue])
  case null
  /// One line that begins with a word in capitals: `NOSCRIPT No matching script.`
  case error(String)

  /// The bytes of a string.
  public var bytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }

  /// A string that is text.
  public var text: String? { bytes.flatMap { String(validating: $0, as: UTF8.self) } }

  public var integer: Int? { if case .integer(let number) = self { number } else { nil } }

  public var array: [RedisValue]? { if case .array(let values) = self { values } else { nil } }

  public var error: String? { if case .error(let line) = self { line } else { nil } }

  /// What hiredis has made of a reply.
  init(_ reply: UnsafePointer<redisReply>) {
    let reply = reply.pointee
    var bytes: [UInt8] { Array(UnsafeRawBufferPointer(start: reply.str, count: Int(reply.len))) }
    switch reply.type {
    case REDIS_REPLY_STRING, REDIS_REPLY_STATUS: self = .bytes(bytes)
    case REDIS_REPLY_INTEGER: self = .integer(Int(reply.integer))
    case REDIS_REPLY_ARRAY:
      self = .array(
        (0..<Int(reply.elements)).map { index in
          reply.element[index].map { RedisValue($0) } ?? .null
        })
    case REDIS_REPLY_ERROR: self = .error(String(decoding: bytes, as: UTF8.self))
    default: self = .null
    }
  }
}

/// Makes values of the bytes that come.
final class RedisReplies {
  private let reader: UnsafeMutablePointer<redisReader>

  init() {
    guard let reader = redisReaderCreate() else { preconditionFailure("no memory for a reader") }
    self.reader = reader
  }

  deinit { redisReaderFree(reader) }

  func feed(_ bytes: UnsafeRawBufferPointer) {
    redisReaderFeed(reader, bytes.assumingMemoryBound(to: CChar.self).baseAddress, bytes.count)
  }

  /// The next whole reply; `nil` while there is none.
  ///
  /// - Throws: where what came is not Redis' protocol, for this and all that follows.
  func next() throws(NoReply) -> RedisValue? {
    var reply: UnsafeMutableRawPointer?
    guard redisReaderGetReply(reader, &reply) == REDIS_OK else { throw NoReply() }
    guard let reply else { return nil }
    defer { freeReplyObject(reply) }
    return RedisValue(UnsafePointer(reply.assumingMemoryBound(to: redisReply.self)))
  }

  struct NoReply: Error {}
}
