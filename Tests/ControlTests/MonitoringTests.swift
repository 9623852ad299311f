// The alert rules and the dashboard in docs/: they name only metrics that there are.
import Control
import Foundation
import TestSupport
import Testing

@Suite struct MonitoringTests {
  private static func metrics(namedIn text: String) -> Set<String> {
    Set(text.matches(of: /\bulb_[a-z_]+/).map { String($0.output) })
  }

  private static func text(_ path: String) throws -> String {
    try String(contentsOfFile: Package.path(path), encoding: .utf8)
  }

  /// All queries of a dashboard, however deep: of panels, annotations and variables.
  private static func queries(in node: Any) -> [String] {
    switch node {
    case let object as [String: Any]:
      (object["expr"] as? String).map { [$0] } ?? object.values.flatMap(queries)
    case let list as [Any]: list.flatMap(queries)
    default: []
    }
  }

  @Test(arguments: ["docs/alerts.yml", "docs/grafana-dashboard.json"])
  func everyMetricExists(path: String) throws {
    let named = Self.metrics(namedIn: try Self.text(path))
    #expect(named.isSubset(of: Metrics.names), "\(named.subtracting(Metrics.names).sorted())")
    #expect(named.count > 5)
  }

  /// What is told and nobody looks at helps nobody.
  @Test func everyMetricIsOnTheDashboard() throws {
    let shown = Self.metrics(namedIn: try Self.text("docs/grafana-dashboard.json"))
    #expect(Set(Metrics.names).subtracting(shown).isEmpty)
  }

  @Test func everyAlertSaysWhatToDo() throws {
    let rules = try Self.text("docs/alerts.yml")
    let alerts = rules.components(separatedBy: "- alert: ").dropFirst()
    #expect(alerts.count == 14)
    for alert in alerts {
      for field in ["severity:", "summary:", "runbook:"] {
        #expect(alert.contains(field), "\(alert)")
      }
    }
  }

  /// Each alert is raised by what it is for, and none where nothing is wrong.
  @Test func alertsAreRaisedByWhatTheyAreFor() throws {
    for command in [
      ["check", "rules", "docs/alerts.yml"],
      ["test", "rules", "Tests/ControlTests/alerts-test.yml"],
    ] {
      let check = try ChildProcess(
        ["promtool"] + command.dropLast() + [Package.path(command.last!)])
      #expect(try check.waitForExit() == 0, "\(check.transcript)")
    }
  }

  /// Prometheus reads each of the dashboard's queries.
  @Test func theDashboardsQueriesAreWellFormed() throws {
    let dashboard = try JSONSerialization.jsonObject(
      with: Data(contentsOf: URL(fileURLWithPath: Package.path("docs/grafana-dashboard.json"))))
    let queries = Self.queries(in: dashboard)
    #expect(queries.count > 20)
    // As rules, which promtool checks, with Grafana's own words replaced.
    let rules = queries.enumerated().map { number, query in
      let text = query.replacingOccurrences(of: "$__rate_interval", with: "1m")
        .replacingOccurrences(of: "'", with: "''")
      return "  - {record: 'query:\(number)', expr: '\(text)'}\n"
    }
    let directory = try TemporaryDirectory()
    let path = directory.path(of: "rules.yml")
    try ("groups:\n- name: dashboard\n  rules:\n" + rules.joined())
      .write(toFile: path, atomically: true, encoding: .utf8)
    let check = try run("promtool", "check", "rules", path)
    #expect(check.status == 0, "\(check.standardError)")
  }
}
