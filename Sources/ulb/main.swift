// The entry: reads the command line, does what it asks for, and ends with a status.
import DataPlane
import Glibc
import LoadBalancing
import Systemd

/// Makes a path that stays right when the working directory changes.
func absolute(_ path: String) -> String {
  guard !path.hasPrefix("/"), let directory = getcwd(nil, 0) else { return path }
  defer { free(directory) }
  return "\(String(cString: directory))/\(path)"
}

func run(_ requested: Configuration) -> Int32 {
  var configuration = requested
  configuration.configFile = requested.configFile.map(absolute)
  configuration.stateFile = requested.stateFile.map(absolute)
  if case .directory(let directory) = requested.kernelHeaders {
    configuration.kernelHeaders = .directory(absolute(directory))
  }
  let state = configuration.configFile.flatMap { FileFingerprint(path: $0) }
  // Nothing depends on the working directory, and libbcc leaves and enters it while it compiles.
  chdir("/")
  let log = Log(format: configuration.logFormat, family: configuration.family)
  do {
    let daemon = try Daemon(
      configuration, configFileState: state, kept: KeptObjects(DescriptorStore.take()),
      signals: Signals(), log: log)
    return daemon.run()
  } catch {
    log.drain()
    StandardError.write(failure: "\(error)")
    return 1
  }
}

func main() -> Int32 {
  let arguments = Array(CommandLine.arguments.dropFirst())
  do {
    switch try CommandLineRequest.parse(arguments, readFile: { FileReader.readSettled($0) }) {
    case .run(let configuration): return run(configuration)
    case .check(let configuration): print(configuration.json())
    case .render(let configuration): print(try Renderer.source(for: configuration.effective))
    case .help(let text), .version(let text):
      print(text, terminator: text.hasSuffix("\n") ? "" : "\n")
    }
    return 0
  } catch let error as UsageError {
    StandardError.write(error.text)
    return error.status
  } catch {
    StandardError.write(failure: "\(error)")
    return 1
  }
}

exit(main())
