// The status, again and again.
import ArgumentParser
import Control

struct Watch: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "The status, read again each second, with rates as curves.",
    discussion: """
      q or Ctrl-C ends it, arrows scroll. A curve shows the packets that came in for a real server, \
      the newest at its right, all on the scale of the highest. There is no --json of what changes: see \
      status.
      """)

  @Option(help: ArgumentHelp("Seconds from one reading to the next.", valueName: "seconds"))
  var interval = 1.0
  @OptionGroup var daemon: DaemonOptions
  @OptionGroup var screen: ScreenOptions

  func validate() throws {
    guard (0.1...3600).contains(interval) else {
      throw ValidationError("--interval is 0.1 to 3600, not \(interval)")
    }
    if daemon.json { throw ValidationError("there is no --json of what changes: see status") }
  }

  private enum Occurrence: Sendable {
    case terminal(FullScreen.Occurrence)
    case reading(Status, Reading)
    case failure(Failure)
  }

  func run() async throws {
    // A daemon that is not there at the begin is an error; one that goes is waited for.
    let api = try daemon.connect(timeout: .seconds(5))
    let terminal = try FullScreen()
    defer { terminal.close() }
    let (occurrences, source) = AsyncStream.makeStream(of: Occurrence.self)
    terminal.watch { source.yield(.terminal($0)) }
    let readings = Task { await read(from: api) { source.yield($0) } }
    defer { readings.cancel() }
    var screen = WatchScreen()
    for await occurrence in occurrences {
      var hasNewSize = false
      switch occurrence {
      case .terminal(.ended): return
      case .terminal(.resized): hasNewSize = true
      case .terminal(.key(let key)): screen.scroll(key, by: Terminal.size?.height ?? 24)
      case .reading(let status, let reading): screen.add(status, reading)
      case .failure(let failure): screen.fail("\(failure)", now: secondsSince1970())
      }
      let size = Terminal.size ?? (80, 24)
      try terminal.draw(
        screen.lines(
          width: size.width, height: size.height, format: self.screen.settings.format,
          now: secondsSince1970()),
        hasNewSize: hasNewSize)
    }
  }

  private func read(from api: ControlAPI, _ body: @Sendable (Occurrence) -> Void) async {
    var next = ContinuousClock.now
    while !Task.isCancelled {
      do throws(Failure) {
        let status: Status = try await api.get(.status)
        body(.reading(status, try await api.reading()))
      } catch {
        body(.failure(error))
      }
      // What took too long is not made up for.
      next = max(next + .seconds(interval), .now)
      try? await Task.sleep(until: next)
    }
  }
}

extension WatchScreen {
  fileprivate mutating func scroll(_ key: FullScreen.Key, by page: Int) {
    switch key {
    case .up: scroll(by: -1)
    case .down: scroll(by: 1)
    case .pageUp: scroll(by: -page)
    case .pageDown: scroll(by: page)
    case .home: scroll(by: -Int(Int32.max))
    }
  }
}
