// The command and what it has below it.
import ArgumentParser
import CommandLine

struct Ulbctl: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ulbctl",
    abstract: "Shows what ulb does, and changes it while packets run.",
    discussion: """
      Exit status: 0; 1 where something was refused; 2 for a wrong command line; 3 where no \
      daemon answers.
      """,
    version: "ulbctl \(CommandLineRequest.version)",
    groupedSubcommands: [
      CommandGroup(
        name: "Seeing",
        subcommands: [
          ShowStatus.self, ShowServers.self, ListClients.self, ShowClient.self,
          ShowCounters.self, Watch.self, Trace.self, ShowEvents.self,
          CheckHealth.self,
        ]),
      CommandGroup(
        name: "Changing",
        subcommands: [
          Drain.self, BringUp.self, TakeDown.self, SetWeight.self, Forget.self, Move.self,
          ReloadConfiguration.self,
        ]),
      CommandGroup(
        name: "Other", subcommands: [CheckConfiguration.self, Serve.self, Completion.self]),
    ])
}
