// The entry: reads the command line, does what it asks for, and ends with a status.
import AssociationFile
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

extension Configuration {
  /// The paths of the files that it is read from, as given.
  fileprivate var files: [WatchedFile: String] {
    var files: [WatchedFile: String] = [:]
    files[.configuration] = configFile
    files[.allowedClients] = lists.allowed?.file
    files[.deniedClients] = lists.denied?.file
    return files
  }
}

/// - Returns: a daemon that serves.
func start(
  _ requested: Configuration, warnings: [String], fileStates: [String: FileFingerprint],
  kept: [DescriptorStore.Entry]
) throws -> Daemon {
  var configuration = requested
  let watchers = requested.files.mapValues {
    FileWatcher(path: absolute($0), known: fileStates[$0], now: .now)
  }
  configuration.stateFile = requested.stateFile.map(absolute)
  if case .path(let path) = requested.control { configuration.control = .path(absolute(path)) }
  if case .directory(let directory) = requested.kernelHeaders {
    configuration.kernelHeaders = .directory(absolute(directory))
  }
  // Nothing depends on the working directory, and libbcc leaves and enters it while it compiles.
  chdir("/")
  let log = Log(format: configuration.logFormat)
  let director = DirectorAddresses.ofInterfaces()
  do {
    // Before there is another thread, so that none is interrupted.
    let signals = try Signals()
    // A path that will not do is said before anything is compiled.
    let state = try configuration.stateFile.map { path in
      try StateKeeper(
        StateFile(path), interval: .seconds(configuration.stateInterval), log: log)
    }
    let api = try ControlAPI()
    let (control, controlWarnings) = try ControlServer.start(configuration, api)
    do {
      return try Daemon(
        configuration.served(on: director),
        warnings: warnings + configuration.warnings(on: director) + controlWarnings,
        watchers: watchers,
        state: state, api: api, control: control, kept: KeptObjects(kept), signals: signals,
        log: log)
    } catch {
      control?.finishStop()
      throw error
    }
  } catch {
    log.drain()
    throw error
  }
}

/// Says why a start has failed.
///
/// Where the journal reads it, the usage is left out: sixteen lines of it at each attempt would hide
/// the one that matters.
func report(_ message: String, usage: String) {
  if !usage.isEmpty, StandardError.isJournal {
    StandardError.write(failure: "\(message); see 'ulb --help'")
  } else {
    StandardError.write(usage)
    StandardError.write(failure: message)
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
  var kept = DescriptorStore.take()
  var failedStarts = FailedStarts(&kept, notifier: try? Notifier())
  // The states that files were read in, by their paths as given, so that a change since then is seen as
  // one.
  var fileStates: [String: FileFingerprint] = [:]
  var conditions = StartConditions()
  func fail(_ message: String, usage: String = "", status: Int32) -> Int32 {
    report(message, usage: usage)
    return failedStarts.putOff(message, until: conditions) ? 0 : status
  }
  do {
    let arguments = Array(Swift.CommandLine.arguments.dropFirst())
    let (request, warnings) = try CommandLineRequest.parse(arguments) { path in
      let file = FileReader.readSettled(path)
      fileStates[path] = try? file.get().state
      conditions.add(file: absolute(path), fileStates[path] ?? FileFingerprint(path: path))
      return file.map(\.bytes)
    }
    switch request {
    case .run(let configuration):
      conditions.add(interface: configuration.interface)
      if let path = configuration.stateFile.map(absolute) {
        conditions.add(file: path, FileFingerprint(path: path))
      }
      let daemon = try start(
        configuration, warnings: warnings, fileStates: fileStates, kept: kept)
      failedStarts.forget()
      return daemon.run()
    case .check(let configuration):
      StandardError.write(
        warnings: warnings + configuration.warnings(on: .ofInterfaces()))
      print(configuration.json())
    case .render(let configuration):
      StandardError.write(warnings: warnings)
      print(try Renderer.source(for: configuration.effective))
    case .help(let text):
      print(text, terminator: text.hasSuffix("\n") ? "" : "\n")
    case .showVersion:
      print("ulb \(CommandLineRequest.version) (\(Platform.description))")
    }
    return 0
  } catch let error as UsageError {
    return fail(error.message, usage: error.usage, status: error.exitStatus)
  } catch {
    return fail("\(error)", status: 1)
  }
}

exit(main())
