// A real shell that is asked what it completes command lines with. Knows nothing of ulb.
import Foundation

/// A shell with line editing: bash and zsh on a terminal of their own, where all completions of a line are
/// inserted; fish tells them.
public enum CompletingShell: String, CaseIterable, Sendable {
  case bash, zsh, fish

  /// The file in which it looks for a command's completion.
  public func fileName(of command: String) -> String {
    switch self {
    case .bash: command
    case .zsh: "_\(command)"
    case .fish: "\(command).fish"
    }
  }

  /// What is offered in the place of the last word of each line.
  ///
  /// - Parameters:
  ///   - folder: where it finds completions by itself.
  ///   - directory: where the command lines are typed.
  ///   - path: a folder that comes first in `PATH`.
  ///   - preparation: commands that are run before, in a mount namespace of the shell's own.
  /// - Returns: words by line, sorted; folders without a slash at their end.
  public func completions(
    of lines: [String], from folder: String, in directory: String, path: String,
    preparation: String = ""
  ) throws -> [String: [String]] {
    let home = try TemporaryDirectory()
    let answers = home.path(of: "answers")
    try Self.write("", answers)
    try Self.write(setUp(folder), home.path(of: rcFile))
    let typed = lines.map(keys).joined() + "exit\n"
    try Self.write(
      self == .fish ? lines.joined(separator: "\n") + "\n" : typed, home.path(of: "typed"))
    try runSuccessfully(
      [
        "env", "-C", directory, "HOME=\(home.path)", "ZDOTDIR=\(home.path)", "INPUTRC=/dev/null",
        "TERM=dumb", "LC_ALL=C.UTF-8",
        "PATH=\(path):\(ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")",
        // Whatever it starts ends with it.
        "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
        "sh", "-e", "-c", "\(preparation)\n\(session(home))",
      ])
    // A line for each, of words with a separator behind each.
    let answered = try String(contentsOfFile: answers, encoding: .utf8)
      .split(separator: "\n").map { $0.split(separator: "\u{1f}").map(String.init) }
    guard answered.count == lines.count else {
      throw ProgramFailed(
        description: "\(rawValue) answered \(answered.count) of \(lines.count) lines: \(answered)")
    }
    return Dictionary(
      zip(lines, zip(lines, answered).map { offered($1, for: $0) }), uniquingKeysWith: { $1 })
  }

  private static func write(_ text: String, _ path: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  }

  private func offered(_ words: [String], for line: String) -> [String] {
    let typed = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    let last = typed[typed.count - 1]
    // On a terminal they stand behind the words that were typed before.
    let offered = self == .fish ? words[...] : words.dropFirst(typed.count - 1)
    // Where nothing is offered, the line stays as it was.
    if self != .fish, Array(offered) == [last] { return [] }
    let option = last.firstIndex(of: "=").map { String(last[...$0]) } ?? ""
    return offered.map { word in
      var word = word.hasPrefix(option) ? String(word.dropFirst(option.count)) : word
      if word.hasSuffix("/") { word.removeLast() }
      return word
    }.sorted()
  }

  // MARK: What the shells are told

  private var rcFile: String { self == .zsh ? ".zshrc" : "rc" }

  private func setUp(_ folder: String) -> String {
    let record = #"{ printf '%s\037' "$@" >>~/answers; echo >>~/answers; }"#
    return switch self {
    case .bash:
      """
      ln -s '\(folder)' ~/completions
      BASH_COMPLETION_USER_DIR=~
      source /usr/share/bash-completion/bash_completion
      record() \(record)
      PROMPT_COMMAND='echo >>~/ready'
      """
    case .zsh:
      """
      fpath=('\(folder)' $fpath)
      autoload -Uz compinit
      compinit -u -d ~/dump
      bindkey -e
      zle -C all-matches complete-word _generic
      bindkey '^Xa' all-matches
      zstyle ':completion:all-matches:*' insert true
      zstyle ':completion:all-matches::::' completer _all_matches _complete
      record() \(record)
      zle-line-init() { print >>~/ready }
      zle -N zle-line-init

      """
    case .fish:
      """
      set fish_complete_path '\(folder)'
      while read line
          set -l offered (complete -C $line | string replace -r '\\t.*' '')
          printf '%s\\x1f' $offered >>~/answers
          echo >>~/answers
      end
      true
      """
    }
  }

  /// A line, the insertion of all its completions, and at its beginning the command that notes it.
  private func keys(_ line: String) -> String {
    switch self {
    case .bash: "\(line)\u{1b}*\u{01}record \n"
    case .zsh: "\(line)\u{18}a\u{01}record \n"
    case .fish: ""
    }
  }

  private func session(_ home: TemporaryDirectory) -> String {
    // A line is typed when the shell begins to edit one: zsh throws away what comes before.
    func onTerminal(_ shell: String) -> String {
      """
      n=0
      >~/ready
      while IFS= read -r line; do
        n=$((n + 1))
        while [ $(wc -l <~/ready) -lt $n ]; do sleep 0.01; done
        printf '%s\n' "$line"
      done <~/typed | script -qec '\(shell)' /dev/null
      """
    }
    return switch self {
    case .bash: onTerminal("bash --noprofile --rcfile ~/rc -i")
    case .zsh: onTerminal("zsh -d -i")
    case .fish: "fish --no-config ~/rc <~/typed"
    }
  }
}
