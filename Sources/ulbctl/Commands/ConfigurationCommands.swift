// The config file: reload, check.
import ArgumentParser
import Control
import Glibc
import SystemPackage

struct ReloadConfiguration: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reload",
    abstract: "Has the daemon read its config file at once; fails where it is refused.",
    discussion: "Without it the file is looked at each second.")

  @OptionGroup var daemon: DaemonOptions

  func run() async throws {
    let api = try daemon.connect()
    try api.write(try await api.octets("POST", .reload), daemon, isApplied: true)
  }
}

struct CheckConfiguration: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "What a config file would change, or why it would be refused. Applies nothing.")

  @Argument(help: "The file; - for standard input.", completion: .file()) var file: String
  @OptionGroup var daemon: DaemonOptions

  /// What a config file has at most, in bytes.
  private static let mostOctets = 1 << 20

  func run() async throws {
    let text = try read()
    let api = try daemon.connect()
    let octets = try await api.octets("POST", .check, text: text, mediaType: "text/plain")
    try api.write(octets, daemon, isApplied: false)
  }

  private func read() throws -> [UInt8] {
    do {
      guard file != "-" else { return try FileDescriptor.standardInput.readAll(Self.mostOctets) }
      let descriptor = try FileDescriptor.open(file, .readOnly)
      return try descriptor.closeAfter { try descriptor.readAll(Self.mostOctets) }
    } catch let error as Errno {
      throw Failure(.refused, "\(file) cannot be read: \(error)")
    }
  }
}

extension ControlAPI {
  /// - Throws: where the config file is refused, with the reason.
  fileprivate func write(_ octets: [UInt8], _ options: DaemonOptions, isApplied: Bool) throws {
    let reload: Reload = try decode(octets)
    if options.json { try Terminal.write(json: octets) }
    if reload.result == .refused {
      throw Failure(.refused, reload.reason ?? "the config file is refused")
    }
    guard !options.json else { return }
    try Terminal.write(reload.lines(isApplied: isApplied))
  }
}

extension Reload {
  /// What has changed, or would, and what the file hardly means.
  func lines(isApplied: Bool) -> [Line] {
    let heading =
      switch (result, isApplied) {
      case (.unchanged, _): "unchanged: it says what is in force already"
      case (_, true): "applied"
      case (_, false): "good; it would change:"
      }
    return [Line(heading)] + changes.map { Line("  \($0)") }
      + warnings.map { Line("  warning: \($0)") }
  }
}

extension FileDescriptor {
  /// All that is left to read, and one octet more than `most` where there is more.
  fileprivate func readAll(_ most: Int) throws -> [UInt8] {
    var octets: [UInt8] = []
    while octets.count <= most {
      let piece = try [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, count in
        count = try read(into: UnsafeMutableRawBufferPointer(buffer))
      }
      guard !piece.isEmpty else { break }
      octets += piece
    }
    return octets
  }
}
