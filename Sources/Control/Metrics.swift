// What a monitoring system reads: GET /metrics, written from the same answers that everybody gets.
// Knows neither who asks nor how the answers came here.

/// The metrics of one daemon or several, as Prometheus reads them.
public enum Metrics {
  /// What a daemon has answered.
  public struct Reading: Sendable {
    public var status: Status
    public var virtualServers: [VirtualServerDetail]
    public var counters: Counters

    public init(status: Status, virtualServers: [VirtualServerDetail], counters: Counters) {
      self.status = status
      self.virtualServers = virtualServers
      self.counters = counters
    }
  }

  /// A daemon, called by its interface.
  public struct Daemon: Sendable {
    public var interface: String
    /// Nothing where it does not answer: then all that is told of it is that it is not up.
    public var reading: Reading?

    public init(interface: String, reading: Reading?) {
      self.interface = interface
      self.reading = reading
    }
  }

  /// The metrics' names as they are in the samples, in the order of the text.
  public static var names: [String] { families.map(\.name) }

  /// Writes each metric once, with the samples of all daemons; what has no sample is left out.
  public static func text(of daemons: [Daemon], as format: MetricsFormat = .prometheus) -> [UInt8] {
    let labeled = daemons.map(LabeledDaemon.init)
    var text: [UInt8] = []
    for family in families {
      var samples = Samples(name: Array(family.name.utf8))
      for daemon in labeled { family.write(daemon, &samples) }
      guard !samples.text.isEmpty else { continue }
      text += format.heading(of: family).utf8
      text += samples.text
    }
    if format == .openMetrics { text += "# EOF\n".utf8 }
    return text
  }

  /// A metric with its samples of a daemon.
  struct Family: Sendable {
    enum Kind: Sendable {
      case counter, gauge
      /// A gauge that is 1, for its labels.
      case information
    }

    let name: String
    let kind: Kind
    let help: String
    let write: @Sendable (LabeledDaemon, inout Samples) -> Void

    init(
      _ name: String, _ kind: Kind, _ help: String,
      _ write: @escaping @Sendable (LabeledDaemon, inout Samples) -> Void
    ) {
      self.name = name
      self.kind = kind
      self.help = help
      self.write = write
    }

    /// A metric that is there only where the daemon answers.
    static func answered(
      _ name: String, _ kind: Kind, _ help: String,
      _ write: @escaping @Sendable (Reading, [UInt8], inout Samples) -> Void
    ) -> Family {
      Family(name, kind, help) { daemon, samples in
        if let reading = daemon.reading { write(reading, daemon.label, &samples) }
      }
    }

    /// A metric that is there only where associations are shared with other directors.
    static func shared(
      _ name: String, _ kind: Kind, _ help: String,
      _ write: @escaping @Sendable (SyncStatus, [UInt8], inout Samples) -> Void
    ) -> Family {
      .answered(name, kind, help) { reading, label, samples in
        if let sync = reading.status.sync { write(sync, label, &samples) }
      }
    }

    /// A metric of each real server of each virtual server.
    static func ofRealServers(
      _ name: String, _ kind: Kind, _ help: String,
      _ write: @escaping @Sendable (RealServerDetail, [UInt8], inout Samples) -> Void
    ) -> Family {
      Family(name, kind, help) { daemon, samples in
        for (label, server) in daemon.realServers { write(server, label, &samples) }
      }
    }
  }

  /// A daemon with the labels that its samples begin with, as bytes, as some thousand real servers
  /// have some samples each.
  struct LabeledDaemon {
    let reading: Reading?
    let label: [UInt8]
    let realServers: [(label: [UInt8], server: RealServerDetail)]

    init(_ daemon: Daemon) {
      let label = Metrics.label("interface", daemon.interface)
      self.label = label
      reading = daemon.reading
      realServers = (daemon.reading?.virtualServers ?? []).flatMap { virtualServer in
        let prefix = label + Metrics.label(",virtual_server", virtualServer.name)
        return virtualServer.realServers.map {
          (prefix + Metrics.label(",real_server", $0.address), $0)
        }
      }
    }
  }

  /// The lines of a metric.
  struct Samples {
    let name: [UInt8]
    fileprivate(set) var text: [UInt8] = []

    init(name: [UInt8]) { self.name = name }

    /// Adds a line.
    /// - Parameters:
    ///   - first: labels that are bytes already.
    ///   - more: labels whose values need no escape.
    mutating func add(
      _ value: some Numeric & LosslessStringConvertible, _ first: [UInt8],
      _ more: StaticLabels = [:]
    ) {
      text += name
      text.append(UInt8(ascii: "{"))
      text += first
      for (name, value) in more {
        text += ",".utf8
        text += name.utf8
        text += "=\"".utf8
        text += value.utf8
        text += "\"".utf8
      }
      text += "} ".utf8
      text += value.description.utf8
      text.append(UInt8(ascii: "\n"))
    }
  }

  typealias StaticLabels = KeyValuePairs<String, String>

  /// `name="value"`; a backslash, a quote and a line feed in the value are escaped.
  static func label(_ name: String, _ value: String) -> [UInt8] {
    var text = Array(name.utf8)
    text += "=\"".utf8
    for byte in value.utf8 {
      switch byte {
      case UInt8(ascii: "\\"): text += "\\\\".utf8
      case UInt8(ascii: "\""): text += "\\\"".utf8
      case UInt8(ascii: "\n"): text += "\\n".utf8
      default: text.append(byte)
      }
    }
    text.append(UInt8(ascii: "\""))
    return text
  }
}

/// How metrics are written.
public enum MetricsFormat: Sendable, Equatable {
  /// Prometheus text format 0.0.4.
  case prometheus
  /// OpenMetrics 1.0.
  case openMetrics

  /// For `Content-Type`.
  public var mediaType: String {
    switch self {
    case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
    case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    }
  }

  /// What a request's `Accept` (RFC 9110, section 12.5.1) likes best: OpenMetrics where it is named and
  /// liked no less than plain text.
  public init(accept: String?) {
    var openMetrics = 0.0
    var plain = 0.0
    for range in (accept ?? "").split(separator: ",") {
      let parts = range.lowercased().split(separator: ";").map {
        $0.filter { $0 != " " && $0 != "\t" }
      }
      let parameters = parts.dropFirst()
      let quality =
        parameters.first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
      switch parts.first {
      case "application/openmetrics-text"
      where parameters.allSatisfy { !$0.hasPrefix("version=") || $0 == "version=1.0.0" }:
        openMetrics = max(openMetrics, quality)
      case "text/plain", "text/*": plain = max(plain, quality)
      default: break
      }
    }
    self = openMetrics > 0 && openMetrics >= plain ? .openMetrics : .prometheus
  }

  /// What stands above a metric's samples.
  func heading(of family: Metrics.Family) -> String {
    let name: String
    let type: String
    switch (self, family.kind) {
    case (.prometheus, .counter): (name, type) = (family.name, "counter")
    case (_, .gauge), (.prometheus, .information): (name, type) = (family.name, "gauge")
    // OpenMetrics calls a metric without the suffix that its samples have.
    case (.openMetrics, .counter):
      (name, type) = (String(family.name.dropLast("_total".count)), "counter")
    case (.openMetrics, .information):
      (name, type) = (String(family.name.dropLast("_info".count)), "info")
    }
    return "# HELP \(name) \(family.help)\n# TYPE \(name) \(type)\n"
  }
}
