// The command and what it has below it.
import ArgumentParser

struct Ulbctl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ulbctl",
    abstract: "Shows what ulb does, and changes it while packets run.",
    discussion: """
      Exit status: 0; 1 where something was refused; 2 for a wrong command line; 3 where no \
      daemon answers.
      """,
    subcommands: [Completion.self])
}
