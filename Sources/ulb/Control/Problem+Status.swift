// The refusals of the control socket by their HTTP status (RFC 9110, section 15).
import Control

extension Problem {
  static func badRequest(_ detail: String) -> Problem {
    Problem(status: 400, title: "Bad Request", detail: detail)
  }
  static func notFound(_ detail: String) -> Problem {
    Problem(status: 404, title: "Not Found", detail: detail)
  }
  static func methodNotAllowed(_ detail: String) -> Problem {
    Problem(status: 405, title: "Method Not Allowed", detail: detail)
  }
  static func notAcceptable(_ detail: String) -> Problem {
    Problem(status: 406, title: "Not Acceptable", detail: detail)
  }
  /// What was asked for does not go together with what is there.
  static func conflict(_ detail: String) -> Problem {
    Problem(status: 409, title: "Conflict", detail: detail)
  }
  static func contentTooLarge(_ detail: String) -> Problem {
    Problem(status: 413, title: "Content Too Large", detail: detail)
  }
  static func unsupportedMediaType(_ detail: String) -> Problem {
    Problem(status: 415, title: "Unsupported Media Type", detail: detail)
  }
  /// Well-formed, and cannot be done.
  static func unprocessable(_ detail: String) -> Problem {
    Problem(status: 422, title: "Unprocessable Content", detail: detail)
  }
  static func tooMany(_ detail: String) -> Problem {
    Problem(status: 429, title: "Too Many Requests", detail: detail)
  }
  static func unavailable(_ detail: String) -> Problem {
    Problem(status: 503, title: "Service Unavailable", detail: detail)
  }
}
