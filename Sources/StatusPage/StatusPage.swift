// The status page's files, embedded in the executable. They ask for /api/ of whoever serves them, and for
// nothing from anywhere else.

public enum StatusPage {
  /// A file as it is served.
  public struct File: Sendable {
    /// For `Content-Type`.
    public let mediaType: String
    public let bytes: [UInt8]
  }

  /// What there is at a path of a URL; `nil` where that is nothing of the page.
  public static func file(at path: String) -> File? { files[path] }

  /// For `Content-Security-Policy`: all that the page needs.
  public static let contentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

  private static let files: [String: File] = [
    "/": File(mediaType: "text/html; charset=utf-8", bytes: PackageResources.page_html),
    "/page.css": File(mediaType: "text/css; charset=utf-8", bytes: PackageResources.page_css),
    "/page.js": File(mediaType: "text/javascript; charset=utf-8", bytes: PackageResources.page_js),
    "/icon.svg": File(mediaType: "image/svg+xml", bytes: PackageResources.icon_svg),
  ]
}
