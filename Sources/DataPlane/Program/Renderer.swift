// Settings + template → the one C text that libbcc compiles. Knows no libbcc and no kernel.
import BPFTemplates
import LoadBalancing
import Mustache

/// Renders the XDP program's source for a configuration.
public enum Renderer {
  /// The complete source, with `#line` directives that name the template's files.
  ///
  /// - Parameters:
  ///   - served: the virtual servers that the program is to know.
  ///   - followed: clients whose packets are reported, whatever the level.
  ///   - cpus: how many CPUs have counters of their own.
  ///   - shared: tables in whose place another's are put before the program is loaded: the smallest
  ///     are made of them.
  static func source(
    for configuration: Configuration, _ served: [NumberedVirtualServer], _ sizes: ProgramSizes,
    following followed: [Client] = [], cpus: Int, sharing shared: Set<TableName> = [],
    traceTag: String = "ulb: "
  ) throws(DataPlaneError) -> String {
    // libbcc's listing of byte code shows the lines of the text that it was given alone.
    let namesFiles = configuration.debug & 2 == 0
    var inlined: Set<String> = []
    let settings = try renderedSettings(
      configuration, served, sizes, followed, cpus: cpus, sharing: shared, traceTag: traceTag)
    return try inline(
      BPFTemplates.main, settings: settings, namesFiles: namesFiles, inlined: &inlined)
  }

  /// What the packet path knows of addresses and ports, of both families.
  static func serviceMaps(_ served: [NumberedVirtualServer]) -> [ServiceMap] {
    var firstRow = 0
    return AddressFamily.allCases.map { family in
      let map = ServiceMap(family, served, firstRow: firstRow)
      firstRow += map.portRows
      return map
    }
  }

  private static func renderedSettings(
    _ configuration: Configuration, _ served: [NumberedVirtualServer], _ sizes: ProgramSizes,
    _ followed: [Client], cpus: Int, sharing shared: Set<TableName>, traceTag: String
  ) throws(DataPlaneError) -> String {
    let maps = serviceMaps(served)
    let values: [String: Any] = [
      "virtual_servers": served.map { numbered in
        let server = numbered.virtualServer
        // A name may be anything but the end of a comment.
        let label = server.label.replacing("*/", with: "* /")
        var row: [String: Any] = ["number": Int(numbered.number), "label": label]
        if server.name != nil { row["name"] = label }
        row["address"] = server.address.description
        return row
      },
      "cell_bits": ServiceMap.cellBits,
      "fold": hexadecimal(IPAddress.fold),
      "families": maps.map { map in
        var row = family(map, sizes)
        row["created_associations"] =
          shared.contains(TableName(.associations, of: map.family))
          ? 1 : configuration.maxAssociations
        row["created_counters"] =
          shared.contains(TableName(.realServerCounters, of: map.family))
          ? 1 : CounterBlocks.count(cpus: cpus) * sizes.counted(map.family)
        row["followed"] = followed.filter { $0.address.family == map.family }.map {
          ["port": $0.port, "words": words($0.address)] as [String: Any]
        }
        return row
      },
      "followed_count": followed.count,
      "told_by_rows": hexadecimal(toldByRows(configuration.logLevel)),
      "max_ports": configuration.maxPorts,
      "most_ports": served.map { Set($0.virtualServer.ports).count }.max() ?? 0,
      "port_rows": maps.map(\.portRows).reduce(0, +),
      "maglev": configuration.hasClasses
        || served.contains { $0.virtualServer.scheduler == .maglev } ? 1 : 0,
      "probation": configuration.hasClasses ? 2 * configuration.probation : 0,
      "lists": configuration.lists.isAny ? 1 : 0,
      "unlisted_are_denied": configuration.lists.deniesUnlisted ? 1 : 0,
      "strict": configuration.lists.isStrict ? 1 : 0,
      "verify_gateway": configuration.verifiesGateway ? 1 : 0,
      "max_realservers": configuration.maxRealServers,
      "max_associations": configuration.maxAssociations,
      "round_lines": sizes.lines,
      "event_pages": eventPages(configuration.logLevel),
      "log_level": configuration.logLevel.rawValue,
      "log_level_name": configuration.logLevel.name,
      "trace_points": configuration.debug > 0 ? 1 : 0,
      "trace_tag": traceTag,
      "counter_blocks": CounterBlocks.count(cpus: cpus),
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

  private static func family(_ map: ServiceMap, _ sizes: ProgramSizes) -> [String: Any] {
    [
      "version": map.family == .ipv4 ? 4 : 6,
      "is_present": sizes.families.contains(map.family) ? 1 : 0,
      "count": map.count,
      "addresses_hashed": map.addressesAreHashed ? 1 : 0,
      "multiplier": hexadecimal(map.multiplier),
      "addresses": (map.addressesAreHashed ? [] : map.rows).map {
        ["row": $0.row, "words": words($0.address)] as [String: Any]
      },
      "ports_compared": map.portsAreCompared ? 1 : 0,
      "ports_alike": map.portsAreAlike ? 1 : 0,
      "row_of_ports": map.rowOfPorts,
      "ports": (map.portsAreCompared ? map.ports : []).map {
        ["port": $0.port, "number": $0.number] as [String: Any]
      },
      "services": (map.portsAreCompared ? map.services : []).map {
        ["row": $0.row, "port": $0.port, "number": $0.number] as [String: Any]
      },
      "slots": sizes.slots[map.family] ?? 1,
      "likely_slot_bits": sizes.likelySlotBits(map.family),
    ]
  }

  /// The codes of events that are reported where they are decided on, of clients that are followed,
  /// too; and 0, which is none.
  private static func toldByRows(_ level: LogLevel) -> UInt64 {
    Event.allCases.filter { $0.level >= level || $0.kind == .translated }
      .reduce(1) { $0 | 1 << UInt64($1.rawValue) }
  }

  /// Levels at which every packet is an event want room for more of them; in pages of 4 KiB.
  private static func eventPages(_ level: LogLevel) -> Int {
    level <= .info ? 1024 : 64
  }

  private static func words(_ address: IPAddress) -> [String] {
    let octets = address.octets
    return stride(from: 0, to: octets.count, by: 4).map { start in
      // The value that the words have as numbers.
      "0x" + octets[start..<start + 4].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
  }

  private static func hexadecimal(_ number: UInt64) -> String {
    "0x" + String(number, radix: 16)
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
