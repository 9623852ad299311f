// What a config file's content changes, for who brings it into force and for who only asks.
import CommandLine
import LoadBalancing

/// The step from the configuration in force to what a config file says.
struct ConfigFileChange {
  /// A sentence of the log and of the control socket's.
  struct Message: Equatable {
    let text: String
    /// The label of the virtual server that it is about.
    var virtualServer: String?
  }

  let before: Configuration
  /// The configuration with what the file says.
  let after: Configuration
  /// What the file's reader is to be warned of.
  let warnings: [String]
  /// What the control socket had set and the file has ended.
  private let ended: [Overrides.Ended]

  /// - Parameters:
  ///   - content: the file's.
  ///   - name: what the file is called in messages.
  /// - Throws: why it is refused, with the line where there is one.
  init(
    _ content: [UInt8], named name: String, in configuration: Configuration
  ) throws(ConfigFileError) {
    before = configuration
    let file = try ConfigFile.parse(content, fileName: name)
    var (next, warnings) = try configuration.updated(from: file, on: .ofInterfaces())
    ended = next.overrides.reconcile(with: next.configured.virtualServers)
    after = next
    self.warnings = warnings
  }

  /// Whether anything changes.
  var isChange: Bool { before != after }

  /// Whether the virtual servers need another program. The lists of real servers may need one as
  /// well, where they grow.
  var needsProgram: Bool { after.effective.isRendered(differentlyFrom: before.effective) }

  /// What changes, in the order in which it is told.
  ///
  /// - Parameter isRecompiled: whether another program is or would be compiled for it.
  func messages(isRecompiled: Bool) -> [Message] {
    var messages: [Message] = []
    if isRecompiled {
      let summary = after.effective.liveSummary
      messages.append(Message(text: "Program compiled anew and swapped in: \(summary)."))
    }
    let changes = VirtualServerChange.changes(
      from: before.effective.virtualServers, to: after.effective.virtualServers)
    messages += changes.compactMap { change in
      change.message.map { Message(text: $0, virtualServer: change.virtualServer.label) }
    }
    messages += ended.map { $0.message(in: after) }.map {
      Message(text: $0.text, virtualServer: $0.virtualServer)
    }
    return messages
  }
}
