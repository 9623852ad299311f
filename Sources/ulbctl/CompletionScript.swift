// The scripts that complete ulbctl's command lines: the parser's own, taught what it does not know: options
// before the verb, see VerbFirst, and words with a colon in bash, which takes them for several.
import ArgumentParser

enum CompletionScript {
  /// The script for a shell.
  static func text(for shell: CompletionShell) -> String {
    let script = Ulbctl.completionScript(for: shell)
    func changed(_ place: String, _ text: String) -> String {
      var before = script.prefix { $0 != "\n" }
      // Not with the library's search, which brings 1.3 MB of regular expressions along.
      while before.endIndex < script.endIndex {
        let line = script.index(after: before.endIndex)
        if script[line...].hasPrefix(place) {
          return "\(script[..<line])\(text)\(script[line...].dropFirst(place.count))"
        }
        before = script[..<(script[line...].firstIndex(of: "\n") ?? script.endIndex)]
      }
      return script
    }
    return switch shell {
    case .bash: changed("_ulbctl() {\n", "\(bash)_ulbctl_parsed() {\n")
    case .zsh: changed("_ulbctl() {\n    emulate -RL zsh -G\n", zsh)
    default: changed("function __ulbctl_tokens\n", "\(fish)function __ulbctl_typed_tokens\n")
    }
  }

  // Each puts the verb first, and behind it what stood before it. Where the verb is what is completed, it is
  // alone; where it is a value before the verb, that is completed as behind `status`, which has them all.

  private static let bash = #"""
    _ulbctl() {
        local line=${COMP_LINE:0:COMP_POINT} current
        local -i verb=1 last
        local -a words
        # By blanks alone: COMP_WORDS has addresses in pieces.
        read -a words <<<"$line"
        [[ $line == *[[:space:]] ]] && words+=('')
        current=${words[-1]}
        # --order=idle: two words.
        [[ $current == --*=* ]] && words[-1]=${current%%=*} && words+=("${current#*=}")
        last=$((${#words[@]} - 1))
        while ((verb < last)); do
            case ${words[verb]} in
            \#(VerbFirst.withValue.joined(separator: "|"))) ((verb += 2)) ;;
            \#(VerbFirst.flag)|\#(VerbFirst.withValue.map { "\($0)=*" }.joined(separator: "|"))) ((verb++)) ;;
            *) break ;;
            esac
        done
        if ((verb > last)); then
            words=("${words[0]}" status "${words[@]:1}")
        elif ((verb == last)); then
            words=("${words[0]}" "${words[-1]}")
        else
            words=("${words[0]}" "${words[verb]}" "${words[@]:1:verb - 1}" "${words[@]:verb + 1}")
        fi
        COMP_WORDS=("${words[@]}")
        COMP_CWORD=$((${#words[@]} - 1))
        COMP_LINE=${words[*]}
        COMP_POINT=${#COMP_LINE}
        _ulbctl_parsed "$1" "${words[-1]}" "${words[-2]}"
        # What readline has in its place begins behind the last of these.
        current=${words[-1]}
        current=${current%"${current##*[=:]}"}
        COMPREPLY=("${COMPREPLY[@]#"$current"}")
    }


    """#

  private static let zsh = #"""
    _ulbctl() {
        emulate -RL zsh -G
        local -i verb=2
        while (( verb < CURRENT )); do
            case "${words[verb]}" in
            (\#(VerbFirst.withValue.joined(separator: "|"))) (( verb += 2 )) ;;
            (\#(VerbFirst.flag)|\#(VerbFirst.withValue.map { "\($0)=*" }.joined(separator: "|"))) (( verb++ )) ;;
            (*) break ;;
            esac
        done
        if (( verb > CURRENT )); then
            words=("${words[1]}" status "${(@)words[2,-1]}")
            (( CURRENT++ ))
        elif (( verb == CURRENT )); then
            words=("${words[1]}" "${(@)words[verb,-1]}")
            CURRENT=2
        else
            words=("${words[1]}" "${words[verb]}" "${(@)words[2,verb-1]}" "${(@)words[verb+1,-1]}")
        fi

    """#

  private static let fish = #"""
    function __ulbctl_tokens
        # The parser asks before fish 4 for the cursor in a way that is none there.
        if test "$argv" = -tC
            string length -- "$(commandline -ct)"
            return
        else if test "$argv" = -t
            commandline -ct
            return
        end
        set -l rest (__ulbctl_typed_tokens $argv)
        set -l before
        set -l command $rest[1]
        set -e rest[1]
        while set -q rest[1]
            if contains -- $rest[1] \#(VerbFirst.withValue.joined(separator: " "))
                if not set -q rest[2]
                    printf '%s\n' $command status $before $rest
                    return
                end
                set -a before $rest[1..2]
                set -e rest[1..2]
            else if string match -qr -- '^(\#(VerbFirst.flag)$|(\#(VerbFirst.withValue.joined(separator: "|")))=)' $rest[1]
                set -a before $rest[1]
                set -e rest[1]
            else
                break
            end
        end
        printf '%s\n' $command
        set -q rest[1]; or return
        printf '%s\n' $rest[1] $before
        set -e rest[1]
        set -q rest[1]; and printf '%s\n' $rest
    end


    """#
}
