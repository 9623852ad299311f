// What a shell completes a command line with.
import ArgumentParser

struct Completion: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints a script that teaches a shell to complete ulbctl's command lines.",
    discussion: """
      bash: ulbctl completion bash > /usr/share/bash-completion/completions/ulbctl
      zsh:  ulbctl completion zsh > /usr/share/zsh/vendor-completions/_ulbctl
      fish: ulbctl completion fish > ~/.config/fish/completions/ulbctl.fish
      """)

  enum Shell: String, CaseIterable, ExpressibleByArgument {
    case bash, zsh, fish
  }

  @Argument(help: "bash, zsh or fish.") var shell: Shell

  func run() {
    let shell: CompletionShell =
      switch shell {
      case .bash: .bash
      case .zsh: .zsh
      case .fish: .fish
      }
    print(CompletionScript.text(for: shell))
  }
}
