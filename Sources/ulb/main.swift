// The entry: reads the command line, does what it asks for, and ends with a status.
import CommandLine
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

func run(
  _ requested: Configuration, warnings: [String], configFileState: FileFingerprint?
) -> Int32 {
  var configuration = requested
  configuration.configFile = requested.configFile.map(absolute)
  configuration.stateFile = requested.stateFile.map(absolute)
  if case .directory(let directory) = requested.kernelHeaders {
    configuration.kernelHeaders = .directory(absolute(directory))
  }
  // Nothing depends on the working directory, and libbcc leaves and enters it while it compiles.
  chdir("/")
  let log = Log(format: configuration.logFormat, family: configuration.family)
  let director = DirectorAddresses.ofInterfaces()
  do {
    let daemon = try Daemon(
      configuration.served(on: director),
      warnings: warnings + configuration.warnings(on: director), configFileState: configFileState,
      kept: KeptObjects(DescriptorStore.take()), signals: Signals(), log: log)
    return daemon.run()
  } catch {
    log.drain()
    StandardError.write(failure: "\(error)")
    return 1
  }
}

/// Opens what is not open of standard input, output and error on /dev/null, so that no table or
/// socket takes their numbers.
func openStandardDescriptors() {
  for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) < 0 {
    _ = open("/dev/null", O_RDWR)
  }
}

func main() -> Int32 {
  openStandardDescriptors()
  let arguments = Array(Swift.CommandLine.arguments.dropFirst())
  // The state that the config file was read in, so that a change since then is seen as one.
  var configFileState: FileFingerprint?
  do {
    let (request, warnings) = try CommandLineRequest.parse(arguments) { path in
      let file = FileReader.readSettled(path)
      configFileState = try? file.get().state
      return file.map(\.bytes)
    }
    switch request {
    case .run(let configuration):
      return run(configuration, warnings: warnings, configFileState: configFileState)
    case .check(let configuration):
      StandardError.write(
        warnings: warnings + configuration.warnings(on: .ofInterfaces()))
      print(try configuration.json())
    case .render(let configuration):
      StandardError.write(warnings: warnings)
      print(try Renderer.source(for: configuration.effective))
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
