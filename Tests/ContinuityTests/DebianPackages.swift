// The Debian packages, as scripts/package makes them.
import Foundation
import TestSupport

enum DebianPackages {
  static let names = ["ulb", "ulbctl", "ulb-sync"]

  /// What is built of this work tree, once; scripts/test begins it before the tests.
  private static let built = Result {
    try need([Package.path("scripts/package")], timeout: .seconds(1_800)).split(separator: "\n")
      .map(String.init)
  }

  /// The file of a package.
  static func file(_ name: String) throws -> String {
    let files = try built.get()
    guard let file = files.first(where: { $0.contains("/\(name)_") }) else {
      throw Failure("no package \(name) in \(files)")
    }
    return file
  }

  /// A field of a package, such as `Version`.
  static func field(_ field: String, of name: String) throws -> String {
    try need(["dpkg-deb", "--field", file(name), field])
  }

  /// The same packages as of another version, in a folder of a container.
  /// - Parameter webConfiguration: what they have as `/etc/ulb/web.conf`.
  static func repack(
    as version: String, webConfiguration: String? = nil, into container: Container
  ) throws -> [String] {
    let files = FileManager.default
    return try names.map { name in
      let directory = try TemporaryDirectory()
      let root = directory.path(of: "root")
      try need(["dpkg-deb", "--raw-extract", file(name), root])
      let control = root + "/DEBIAN/control"
      let former = try field("Version", of: name)
      try String(contentsOfFile: control, encoding: .utf8)
        .replacing("Version: \(former)\n", with: "Version: \(version)\n")
        .replacing("(= \(former))", with: "(= \(version))")
        .write(toFile: control, atomically: false, encoding: .utf8)
      let configuration = root + "/etc/ulb/web.conf"
      if let webConfiguration, files.fileExists(atPath: configuration) {
        try webConfiguration.write(toFile: configuration, atomically: false, encoding: .utf8)
      }
      let package = "/root/\(name)_\(version).deb"
      try need(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", root, container.path(package)])
      return package
    }
  }

  /// Installs all on a machine that has no toolchain.
  static func install(in container: Container) throws {
    try hideToolchain(in: container)
    try container.run(["dpkg", "--install"] + names.map(file))
  }

  /// Puts nothing over the toolchain's folder.
  static func hideToolchain(in container: Container) throws {
    let swift = URL(fileURLWithPath: try need(["sh", "-c", "command -v swift"]))
      .resolvingSymlinksInPath()
    guard FileManager.default.fileExists(atPath: container.path(swift.path)) else { return }
    let folder = swift.deletingLastPathComponent().deletingLastPathComponent()
    guard folder.lastPathComponent == "usr", folder.path != "/usr" else {
      throw Failure("the toolchain of \(swift.path) has no folder of its own that could be hidden")
    }
    try container.run("mount", "-t", "tmpfs", "none", folder.path)
    try container.run("test", "!", "-e", swift.path)
  }
}
