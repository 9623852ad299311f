// Settings + template → the one C text that libbcc compiles. Knows no libbcc and no kernel.
import BPFTemplates
import LoadBalancing
import Mustache

/// Renders the XDP program's source for a configuration.
public enum Renderer {
  /// The most ports that are compared one by one; more are looked up in a bitmap.
  static let mostComparedPorts = 16

  /// The complete source, with `#line` directives that name the template's files.
  ///
  /// - Parameter createdAssociations: the size to create the association table with: 1 where
  ///   another table takes its place before the program is loaded.
  public static func source(
    for configuration: Configuration, createdAssociations: UInt32? = nil,
    traceTag: String = "ulb: "
  ) throws(DataPlaneError) -> String {
    // libbcc's listing of byte code shows the lines of the text that it was given alone.
    let namesFiles = configuration.debug & 2 == 0
    var inlined: Set<String> = []
    let settings = try renderedSettings(
      configuration, createdAssociations: createdAssociations ?? configuration.maxAssociations,
      traceTag: traceTag)
    return try inline(
      BPFTemplates.main, settings: settings, namesFiles: namesFiles, inlined: &inlined)
  }

  private static func renderedSettings(
    _ configuration: Configuration, createdAssociations: UInt32, traceTag: String
  ) throws(DataPlaneError) -> String {
    let ports = configuration.distinctPorts
    let values: [String: Any] = [
      "ipv6": configuration.family == .ipv6 ? 1 : 0,
      "virtual_server": configuration.virtualServer.description,
      "virtual_server_configured": configuration.virtualServer.isUnspecified ? 0 : 1,
      "virtual_server_words": words(configuration.virtualServer),
      "max_ports": configuration.maxPorts,
      "port_count": ports.count,
      "ports_in_bitmap": ports.count > mostComparedPorts ? 1 : 0,
      "ports": ports.count > mostComparedPorts ? [] : ports,
      "max_realservers": configuration.maxRealServers,
      "real_server_slots": ServerPlan.capacity(maxRealServers: configuration.maxRealServers),
      "max_associations": configuration.maxAssociations,
      "created_associations": createdAssociations,
      "event_pages": eventPages(configuration.logLevel),
      "log_level": configuration.logLevel.rawValue,
      "log_level_name": configuration.logLevel.name,
      "trace_points": configuration.debug > 0 ? 1 : 0,
      "trace_tag": traceTag,
      "counter_count": Counter.allCases.count,
      "counters": Counter.allCases.map {
        ["name": $0.rawValue, "key": $0.key] as [String: Any]
      },
      "events": Event.allCases.map {
        ["name": $0.name, "code": $0.rawValue, "level": $0.level.rawValue] as [String: Any]
      },
    ]
    do {
      let text = try file(named: BPFTemplates.settings)
      return try MustacheTemplate(string: text).render(values)
    } catch let error as DataPlaneError {
      throw error
    } catch {
      throw .template("\(BPFTemplates.settings): \(error)")
    }
  }

  /// Levels at which every packet is an event want room for more of them; in pages of 4 KiB.
  private static func eventPages(_ level: LogLevel) -> Int {
    level <= .info ? 1024 : 64
  }

  private static func words(_ address: IPAddress) -> [String] {
    let octets = address.octets
    return stride(from: 0, to: octets.count, by: 4).map { start in
      "0x" + octets[start..<start + 4].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
  }

  private static func file(named name: String) throws(DataPlaneError) -> String {
    guard let text = BPFTemplates.file(named: name) else {
      throw .template("no file \(name)")
    }
    return text
  }

  /// The file with each quoted `#include` replaced by that file's text, once: libbcc rewrites map
  /// calls in the main text alone.
  private static func inline(
    _ name: String, settings: String, namesFiles: Bool, inlined: inout Set<String>
  ) throws(DataPlaneError) -> String {
    guard inlined.insert(name).inserted else { return "" }
    let text = name == BPFTemplates.settings ? settings : try file(named: name)
    var lines = namesFiles ? ["#line 1 \"\(name)\""] : []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    {
      if line.hasPrefix("#include \"") {
        let included = line.dropFirst("#include \"".count).prefix { $0 != "\"" }
        lines.append(
          try inline(
            String(included), settings: settings, namesFiles: namesFiles, inlined: &inlined))
        if namesFiles { lines.append("#line \(index + 2) \"\(name)\"") }
      } else {
        lines.append(line == "#pragma once" ? "" : String(line))
      }
    }
    return lines.joined(separator: "\n")
  }
}
