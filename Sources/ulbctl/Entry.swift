// The entry: reads the command line, does what it asks for, and ends with a status.
import ArgumentParser
import Glibc
import SystemPackage

@main enum Entry {
  static func main() async {
    exit(await run(VerbFirst.arrange(Array(CommandLine.arguments.dropFirst()))))
  }

  /// - Returns: the exit status: 0, or that of a ``Failure``.
  static func run(_ arguments: [String]) async -> Int32 {
    // Who reads no more is told by write(2).
    signal(SIGPIPE, SIG_IGN)
    do {
      var command = try await Ulbctl.asyncParseAsRoot(arguments)
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      return 0
    } catch is OutputClosed {
      return 0
    } catch let code as ExitCode {
      return code.rawValue
    } catch let failure as Failure {
      write("ulbctl: error: \(failure)\n", to: .standardError)
      return failure.kind.rawValue
    } catch {
      // What ArgumentParser ends with: help, or a usage error, which is 64 with it.
      let text = Ulbctl.fullMessage(for: error)
      let isGood = Ulbctl.exitCode(for: error) == .success
      write(
        text.hasSuffix("\n") ? text : text + "\n", to: isGood ? .standardOutput : .standardError)
      return isGood ? 0 : Failure.Kind.usage.rawValue
    }
  }

  private static func write(_ text: String, to descriptor: FileDescriptor) {
    _ = try? descriptor.writeAll(text.utf8)
  }
}
