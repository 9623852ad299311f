// A headless Chromium, told what to do over its DevTools pipe. Knows nothing of ulb.
import Foundation
import Synchronization
import TestSupport

/// What the browser or the page has refused.
struct BrowserFailed: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// A browser with one page. It ends when nobody holds it any more.
final class Browser: Sendable {
  typealias Object = [String: Any]

  /// An answer or an event, as it came: JSON values are no Sendable.
  private struct Message: Sendable {
    let text: String

    var object: Object {
      (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? Object ?? [:]
    }
  }

  private struct State {
    var lastID = 0
    var answers: [Int: Message] = [:]
    var events: [Message] = []
  }

  /// What a server would answer.
  struct Answer: Sendable {
    let mediaType: String
    let headers: [String: String]
    let bytes: [UInt8]
  }

  private let directory: TemporaryDirectory
  private let process: ChildProcess
  private let commands: Int32
  private let state = Mutex(State())
  private let session: Mutex<String?> = Mutex(nil)
  private let writing = Mutex(())
  /// Instead of a server; of the path with its query.
  private let answer: (@Sendable (String) -> Answer?)?

  /// - Parameters:
  ///   - namespace: the network that it is in, else this process's own.
  ///   - answer: answers what the page asks for at ``origin``, of the path with its query, where there is
  ///     no server; what it has no answer to is 404.
  init(
    in namespace: NetworkNamespace? = nil, width: Int = 1280, height: Int = 900,
    answer: (@Sendable (String) -> Answer?)? = nil
  ) throws {
    self.answer = answer
    directory = try TemporaryDirectory()
    let (input, output) = (directory.path(of: "input"), directory.path(of: "output"))
    for path in [input, output] {
      guard mkfifo(path, 0o600) == 0 else { throw SystemError("mkfifo \(path)") }
    }
    // For reading too, so that neither this open(2) nor the browser's waits for the other.
    commands = Glibc.open(input, O_RDWR | O_CLOEXEC)
    let answers = Glibc.open(output, O_RDWR | O_CLOEXEC)
    guard commands >= 0, answers >= 0 else { throw SystemError("open \(input), \(output)") }
    process = try ChildProcess(
      [
        "sh", "-c",
        // Root has no sandbox; the page is this project's own.
        "exec chromium-headless-shell --no-sandbox --disable-gpu --disable-dev-shm-usage "
          + "--no-first-run --disable-background-networking --remote-debugging-pipe "
          + "--user-data-dir='\(directory.path(of: "profile"))' about:blank 3<'\(input)' 4>'\(output)'",
      ], in: namespace, environment: ["HOME": directory.path])
    Thread.detachNewThread { [weak self] in
      Self.read(answers) { text in
        guard let self else { return false }
        self.take(text)
        return true
      }
      close(answers)
    }
    let target = try send("Target.createTarget", ["url": "about:blank"])
    let attached = try send(
      "Target.attachToTarget", ["targetId": target["targetId"]!, "flatten": true])
    session.withLock { $0 = attached["sessionId"] as? String }
    for domain in ["Page", "Runtime", "Log", "Network"] { try send("\(domain).enable") }
    if answer != nil {
      try send("Fetch.enable", ["patterns": [["urlPattern": "\(Self.origin)/*"]]])
    }
    try resize(width: width, height: height)
  }

  static let origin = "http://page.test"

  deinit {
    // It ends where nobody can tell it anything any more, and writes to its directory until then.
    close(commands)
    _ = waitUntil(timeout: .seconds(10)) { !process.isRunning }
  }

  /// Messages end with a zero.
  private static func read(_ descriptor: Int32, _ take: (String) -> Bool) {
    var rest: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let ready = poll(&poller, 1, 200)
      // Nobody closes the pipe's other end, as this process has it open too: whether somebody is still
      // there to take anything is asked from time to time.
      guard ready != 0 else {
        if take("") { continue } else { return }
      }
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      guard count > 0 else { return }
      rest += buffer[0..<count]
      while let end = rest.firstIndex(of: 0) {
        let text = String(decoding: rest[0..<end], as: UTF8.self)
        rest.removeSubrange(0...end)
        guard take(text) else { return }
      }
    }
  }

  private func take(_ text: String) {
    guard !text.isEmpty else { return }
    let message = Message(text: text)
    let object = message.object
    if object["method"] as? String == "Fetch.requestPaused",
      let parameters = object["params"] as? Object
    {
      fulfill(parameters)
      return
    }
    state.withLock { state in
      if let id = object["id"] as? Int {
        state.answers[id] = message
      } else {
        state.events.append(message)
      }
    }
  }

  private func fulfill(_ paused: Object) {
    let url = (paused["request"] as? Object)?["url"] as? String ?? ""
    let answer = answer?(String(url.dropFirst(Self.origin.count)))
    var headers = answer?.headers ?? [:]
    headers["Content-Type"] = answer?.mediaType ?? "text/plain"
    _ = try? write(
      "Fetch.fulfillRequest",
      [
        "requestId": paused["requestId"] ?? "", "responseCode": answer == nil ? 404 : 200,
        "responseHeaders": headers.map { ["name": $0.key, "value": $0.value] },
        "body": Data(answer?.bytes ?? []).base64EncodedString(),
      ])
  }

  /// Writes a command.
  /// - Returns: its number.
  private func write(_ method: String, _ parameters: Object) throws -> Int {
    let id = state.withLock { state in
      state.lastID += 1
      return state.lastID
    }
    var message: Object = ["id": id, "method": method, "params": parameters]
    session.withLock { if let session = $0 { message["sessionId"] = session } }
    let bytes = try [UInt8](JSONSerialization.data(withJSONObject: message)) + [0]
    try writing.withLock { _ in
      var sent = 0
      while sent < bytes.count {
        let count = bytes[sent...].withUnsafeBytes {
          Glibc.write(commands, $0.baseAddress!, $0.count)
        }
        guard count > 0 else { throw SystemError("write to the browser") }
        sent += count
      }
    }
    return id
  }

  /// Sends a command of the DevTools protocol.
  /// - Returns: the members of its result.
  @discardableResult
  func send(_ method: String, _ parameters: Object = [:]) throws -> Object {
    let id = try write(method, parameters)
    var answer: Message?
    guard
      waitUntil({
        answer = state.withLock { $0.answers.removeValue(forKey: id) }
        return answer != nil || !process.isRunning
      }), let object = answer?.object
    else { throw TimedOut("\(method) from the browser, which wrote:\n\(process.transcript)") }
    guard let result = object["result"] as? Object else {
      throw BrowserFailed("\(method): \(object["error"] ?? "no result")")
    }
    return result
  }

  /// Has a script run in each page before its own.
  func prepare(_ script: String) throws {
    try send("Page.addScriptToEvaluateOnNewDocument", ["source": script])
  }

  /// Goes to a page and does not wait for it.
  func open(_ url: String) throws {
    let result = try send("Page.navigate", ["url": url])
    if let error = result["errorText"] { throw BrowserFailed("\(url): \(error)") }
  }

  private func resize(width: Int, height: Int) throws {
    try send(
      "Emulation.setDeviceMetricsOverride",
      ["width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600])
  }

  /// Has the system's theme be dark or light.
  func prefer(dark: Bool) throws {
    let feature = ["name": "prefers-color-scheme", "value": dark ? "dark" : "light"]
    try send("Emulation.setEmulatedMedia", ["features": [feature]])
  }

  /// The value of an expression in the page, awaited where it is a promise.
  @discardableResult
  func evaluate(_ script: String) throws -> Any {
    let result = try send(
      "Runtime.evaluate",
      ["expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true])
    if let exception = result["exceptionDetails"] { throw BrowserFailed("\(script): \(exception)") }
    return (result["result"] as? Object)?["value"] ?? NSNull()
  }

  func text(_ script: String) throws -> String { try evaluate(script) as? String ?? "" }

  /// Waits until an expression is true in the page.
  func wait(for what: String, timeout: Duration = patience, _ condition: String) throws {
    guard
      try waitUntil(timeout: timeout, { try evaluate("Boolean(\(condition))") as? Bool == true })
    else {
      throw TimedOut(
        "\(what); the page says:\n\(try text("document.body.innerText"))\n"
          + complaints.joined(separator: "\n"))
    }
  }

  /// Presses a key for the element that has the focus.
  func press(_ key: String, code: Int) throws {
    for type in ["keyDown", "keyUp"] {
      let text = key == "Enter" ? "\r" : key == " " ? " " : ""
      try send(
        "Input.dispatchKeyEvent",
        [
          "type": type, "key": key, "windowsVirtualKeyCode": code,
          "text": type == "keyDown" ? text : "",
        ])
    }
  }

  /// Writes as a user does, to the element that has the focus.
  func type(_ text: String) throws { try send("Input.insertText", ["text": text]) }

  private func events(_ method: String) -> [Object] {
    state.withLock { $0.events }.map(\.object)
      .filter { $0["method"] as? String == method }.compactMap { $0["params"] as? Object }
  }

  /// Exceptions of scripts, and what the browser has refused. A server that is gone is none.
  var complaints: [String] {
    let exceptions = events("Runtime.exceptionThrown").map { "\($0)" }
    let entries = events("Log.entryAdded").compactMap { $0["entry"] as? Object }
      .filter { $0["level"] as? String == "error" && $0["source"] as? String != "network" }
    return exceptions + entries.map { "\($0)" }
  }

  /// The URLs of all that was asked for.
  var requests: [String] {
    events("Network.requestWillBeSent")
      .compactMap { ($0["request"] as? Object)?["url"] as? String }
  }

  /// Names, roles and values of the page as a screen reader is told them.
  func accessibility() throws -> [(role: String, name: String)] {
    let nodes = try send("Accessibility.getFullAXTree")["nodes"] as? [Object] ?? []
    func value(_ node: Object, _ member: String) -> String {
      (node[member] as? Object)?["value"] as? String ?? ""
    }
    return nodes.filter { $0["ignored"] as? Bool != true }
      .map { (value($0, "role"), value($0, "name")) }
  }
}
