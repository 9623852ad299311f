// The entry: reads the command line and the config file, shares until it is told to stop, and ends with a
// status.
import ArgumentParser
import CommandLine
import Glibc
import Sync
import SystemPackage
import Systemd

struct UlbSync: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ulb-sync",
    abstract: "Shares the associations of a ulb daemon with other directors, over Redis.",
    discussion: """
      Carries what the daemon's control socket tells to Redis, and what other directors have put there \
      to the daemon. Packets do not wait for it. It needs no right but to connect to the socket; \
      ulb-sync@IFNET.service runs it as a user of its own.
      """,
    version: "ulb-sync \(CommandLineRequest.version)")

  @Argument(
    help: ArgumentHelp("The network interface of the daemon.", valueName: "ifnet"),
    completion: .shellCommand("ls /sys/class/net"))
  var interface: String

  @Option(
    name: .customLong("config"),
    help: ArgumentHelp(
      "The config file, see ulb-sync.conf(5). (default: /etc/ulb/IFNET.sync.conf)",
      valueName: "file"), completion: .file())
  var file: String?

  @Flag(
    name: .customLong("check"),
    help: "Check the config file, print what it says as one JSON object and exit.")
  var isCheck = false
}

/// Why the program ends: one line.
struct Failure: Error {
  let description: String
}

@main enum Entry {
  static func main() async {
    // Before there is another thread, so that each has them blocked.
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] { sigaddset(&signals, number) }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    signal(SIGPIPE, SIG_IGN)
    exit(await run(Array(CommandLine.arguments.dropFirst()), signals))
  }

  /// - Returns: the exit status: 0, 1 where the configuration will not do, 2 for a wrong command line.
  private static func run(_ arguments: [String], _ signals: sigset_t) async -> Int32 {
    let log = SyncLog()
    let command: UlbSync
    do {
      command = try UlbSync.parse(arguments)
    } catch {
      let isGood = UlbSync.exitCode(for: error) == .success
      let text = UlbSync.fullMessage(for: error)
      let descriptor = isGood ? FileDescriptor.standardOutput : .standardError
      _ = try? descriptor.writeAll((text.hasSuffix("\n") ? text : text + "\n").utf8)
      return isGood ? 0 : 2
    }
    do throws(Failure) {
      let configuration = try configuration(command)
      if command.isCheck {
        print(configuration.json())
        return 0
      }
      await share(configuration, log, signals)
      return 0
    } catch {
      log.failure(error.description)
      return 1
    }
  }

  private static func configuration(_ command: UlbSync) throws(Failure) -> SyncConfiguration {
    let name = command.file ?? "/etc/ulb/\(command.interface).sync.conf"
    switch read(name) {
    case .failure(let error):
      throw Failure(
        description: "\(name) cannot be read: \(error.reason); see ulb-sync.conf(5)")
    case .success(let bytes):
      do throws(ConfigFileError) {
        return try SyncConfiguration(
          bytes, fileName: name, interface: command.interface, hostName: hostName, readFile: read)
      } catch {
        throw Failure(description: "\(error)")
      }
    }
  }

  private static func share(
    _ configuration: SyncConfiguration, _ log: SyncLog, _ signals: sigset_t
  ) async {
    // A manager that does not hear of it ends the service by itself.
    let manager = try? Notifier()
    let work = Task { await Sharing(configuration, log: log).run(manager: manager) }
    let waiting = Waiting(signals: signals) { work.cancel() }
    waiting.start()
    await work.value
  }

  private static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func read(_ name: String) -> Result<[UInt8], FileError> {
    do {
      let descriptor = try FileDescriptor.open(name, .readOnly, options: .closeOnExec)
      return try descriptor.closeAfter {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
          let count = try buffer.withUnsafeMutableBytes { try descriptor.read(into: $0) }
          if count == 0 { return .success(bytes) }
          bytes += buffer[..<count]
          // What is no config file has no end, perhaps.
          if bytes.count > 1 << 20 { return .failure(FileError(.fileTooLarge)) }
        }
      }
    } catch {
      return .failure(FileError(error as? Errno ?? .ioError))
    }
  }
}

/// A thread that waits for signals, as no task must.
private final class Waiting: Sendable {
  private let signals: sigset_t
  private let body: @Sendable () -> Void

  init(signals: sigset_t, _ body: @escaping @Sendable () -> Void) {
    self.signals = signals
    self.body = body
  }

  func start() {
    var thread = pthread_t()
    let this = Unmanaged.passRetained(self)
    let result = pthread_create(
      &thread, nil,
      { argument in
        let this = Unmanaged<Waiting>.fromOpaque(argument!).takeRetainedValue()
        var (signals, number) = (this.signals, Int32(0))
        sigwait(&signals, &number)
        this.body()
        return nil
      }, this.toOpaque())
    guard result == 0 else { return this.release() }
    pthread_detach(thread)
  }
}
