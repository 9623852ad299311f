// A request to the control socket as the resources see it: what it may say, and what is refused.
import Control
import HTTP
import JSONCoding
import LoadBalancing

/// A request to a resource.
struct APIRequest: Sendable {
  let http: HTTPRequest
  /// What stands in the path for the placeholders of the resource's, in their order.
  let parameters: [String]
  /// Whether only the head of the answer is wanted.
  let isHead: Bool

  // MARK: Query

  /// The only value of a parameter; `nil` where there is none.
  func value(_ name: String) throws(Problem) -> String? {
    let values = values(name)
    guard values.count < 2 else {
      throw .badRequest("\(name)= stands in the query twice; once will do")
    }
    return values.first
  }

  /// All values of a parameter that may be repeated.
  func values(_ name: String) -> [String] {
    http.query.filter { $0.name == name }.map(\.value)
  }

  /// A parameter's value as `read` understands it.
  ///
  /// - Parameter expected: what a value is, for who has given another.
  func value<Value>(
    _ name: String, _ expected: String, _ read: (String) -> Value?
  ) throws(Problem) -> Value? {
    guard let text = try value(name) else { return nil }
    guard let value = read(text) else { throw wrong(name, text, expected) }
    return value
  }

  /// The same of one that may be repeated.
  func values<Value>(
    _ name: String, _ expected: String, _ read: (String) -> Value?
  ) throws(Problem) -> [Value] {
    var result: [Value] = []
    for text in values(name) {
      guard let value = read(text) else { throw wrong(name, text, expected) }
      result.append(value)
    }
    return result
  }

  private func wrong(_ name: String, _ text: String, _ expected: String) -> Problem {
    .badRequest("\(name)=\(text.shortened().onOneLine) in the query: expected \(expected)")
  }

  // MARK: Body

  /// The most bytes of a body that is JSON: those that there are have some hundred.
  static let mostJSON = 16 << 10

  /// The body as JSON, of at most so many bytes.
  ///
  /// - Parameter members: all that the object may have.
  func json<Value: Decodable>(
    _ type: Value.Type, mediaTypes: [String] = ["application/json"], members: [String],
    atMost most: Int = mostJSON
  ) throws(Problem) -> Value {
    try checkMediaType(mediaTypes)
    guard http.body.count <= most else {
      throw .contentTooLarge(
        "the body is longer than \(grouped(most)) bytes; "
          + "send an object with \(members.joined(separator: ", "))")
    }
    do {
      let names = try JSON.decode([String: Anything].self, from: http.body).keys
      if let unknown = names.sorted().first(where: { !members.contains($0) }) {
        throw Problem.badRequest(
          "the body's member '\(unknown.shortened().onOneLine)' is unknown; "
            + "use \(members.joined(separator: ", "))")
      }
      return try JSON.decode(type, from: http.body)
    } catch let problem as Problem {
      throw problem
    } catch let error as DecodingError {
      throw .badRequest(error.explanation(members))
    } catch {
      throw .badRequest(
        "the body is no JSON object; send one with \(members.joined(separator: ", "))")
    }
  }

  /// The body as it is.
  func text(_ mediaTypes: [String]) throws(Problem) -> [UInt8] {
    try checkMediaType(mediaTypes)
    return http.body
  }

  /// Refuses a body where none is read.
  func expectNoBody() throws(Problem) {
    guard http.body.isEmpty else {
      throw .badRequest("a body came with \(http.method) \(http.path), which takes none")
    }
  }

  private func checkMediaType(_ known: [String]) throws(Problem) {
    let type = http.header("Content-Type").map(MediaRange.init)?.type ?? "none"
    guard known.contains(type) else {
      throw .unsupportedMediaType(
        "Content-Type: \(type.shortened().onOneLine) is not read here; "
          + "send \(known.joined(separator: " or "))")
    }
  }

  // MARK: Answers

  /// Which of the media types that there are is liked best (RFC 9110, section 12.5.1); the first of
  /// those that are liked alike.
  func preferred(_ types: [String]) throws(Problem) -> String {
    guard let accept = http.header("Accept") else { return types[0] }
    let ranges = accept.split(separator: ",").map { MediaRange(String($0)) }
    guard !ranges.isEmpty else { return types[0] }
    var best: (type: String, quality: Double)?
    for type in types {
      // The most specific range counts.
      let range = ranges.filter { $0.contains(type) }.max { $0.precision < $1.precision }
      if let quality = range?.quality, quality > best?.quality ?? 0 { best = (type, quality) }
    }
    guard let best else {
      throw .notAcceptable(
        "\(http.path) is to be had as \(types.joined(separator: " or ")), "
          + "not as Accept: \(accept.shortened().onOneLine)")
    }
    return best.type
  }
}

/// A media type, or a range of them, with its quality (RFC 9110, section 12.5.1).
private struct MediaRange {
  /// Lower case, without parameters.
  let type: String
  /// 0…1: how much it is liked.
  let quality: Double

  init(_ text: String) {
    let parts = text.lowercased().split(separator: ";", omittingEmptySubsequences: false).map {
      String($0.filter { $0 != " " && $0 != "\t" })
    }
    type = parts.first ?? ""
    quality =
      parts.dropFirst().first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
  }

  var precision: Int { type == "*/*" ? 0 : type.hasSuffix("/*") ? 1 : 2 }

  func contains(_ other: String) -> Bool {
    switch precision {
    case 0: true
    case 1: other.hasPrefix(type.dropLast())
    default: other == type
    }
  }
}

/// Whatever JSON there is.
private struct Anything: Decodable {
  init(from decoder: any Decoder) {}
}

extension DecodingError {
  /// What is wrong with the body, where, and what is expected.
  fileprivate func explanation(_ members: [String]) -> String {
    let object = "an object with \(members.joined(separator: ", "))"
    switch self {
    case .keyNotFound(let key, _):
      return "the body's member '\(key.stringValue)' is missing; send \(object)"
    case .typeMismatch(_, let context), .valueNotFound(_, let context),
      .dataCorrupted(let context):
      guard let key = context.codingPath.first else {
        return "the body is no JSON object; send \(object)"
      }
      return "the body's member '\(key.stringValue.shortened().onOneLine)': "
        + context.debugDescription.shortened().onOneLine
    @unknown default:
      return "the body is not understood; send \(object)"
    }
  }
}
