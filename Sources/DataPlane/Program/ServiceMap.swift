// What the packet path is to know of addresses and ports when it is compiled, and what it looks up.
// Knows no kernel.
import CLayout
import LoadBalancing

/// Which virtual server an address and a port are, for one family: as comparisons where there are
/// few, as tables where there are many.
struct ServiceMap {
  /// An address that clients send to, and the row of the packet path that is its.
  struct Row {
    let row: Int
    let address: IPAddress
  }

  /// A port of a row's address, in host order.
  struct Service {
    let row: Int
    let port: UInt16
    /// The virtual server's number.
    let number: Int
  }

  /// A port and the only virtual server that has it, or `SEVERAL_VIRTUAL_SERVERS`.
  struct Port {
    let port: UInt16
    let number: Int
  }

  /// The most addresses, and the most pairs of address and port, that are compared one by one.
  static let mostComparedAddresses = 4
  static let mostComparedPorts = 16
  /// The cells among which the addresses are spread, as a power of two: eight for each at least, so
  /// that a multiplier is soon found that gives each one of its own.
  static let cellBits = 9

  let family: AddressFamily
  /// How many virtual servers of the family have an address.
  let count: Int
  let rows: [Row]
  let services: [Service]
  let ports: [Port]
  /// Whether each virtual server balances each of ``ports``.
  let portsAreAlike: Bool
  let multiplier: UInt64
  /// The first of the rows of this family in the table of ports.
  let firstRow: Int

  var addressesAreHashed: Bool { rows.count > ServiceMap.mostComparedAddresses }
  var portsAreCompared: Bool { services.count <= ServiceMap.mostComparedPorts }
  /// The row of the ports alone in the table of ports. Of a single virtual server it is that of its
  /// address.
  var rowOfPorts: Int { count == 1 ? firstRow : firstRow + rows.count }
  /// How many rows the table of ports has for this family.
  var portRows: Int {
    if portsAreCompared { return 0 }
    return count == 1 ? 1 : rows.count + 1
  }

  /// - Parameters:
  ///   - virtualServers: those that the program knows, of both families.
  ///   - firstRow: how many rows of the table of ports other families have.
  init(_ family: AddressFamily, _ virtualServers: [NumberedVirtualServer], firstRow: Int) {
    let own = virtualServers.filter {
      $0.virtualServer.family == family && !$0.virtualServer.address.isUnspecified
    }
    self.family = family
    self.firstRow = firstRow
    count = own.count
    var rows: [Row] = []
    var rowOfAddress: [IPAddress: Int] = [:]
    for server in own where rowOfAddress[server.virtualServer.address] == nil {
      let row = firstRow + rows.count
      rowOfAddress[server.virtualServer.address] = row
      rows.append(Row(row: row, address: server.virtualServer.address))
    }
    var services: [Service] = []
    var numbers: [UInt16: Set<Int>] = [:]
    for server in own {
      for port in Set(server.virtualServer.ports).sorted() {
        services.append(
          Service(
            row: rowOfAddress[server.virtualServer.address]!, port: port,
            number: Int(server.number)))
        numbers[port, default: []].insert(Int(server.number))
      }
    }
    self.rows = rows
    self.services = services
    ports = numbers.sorted { $0.key < $1.key }.map { port, numbers in
      Port(
        port: port,
        number: numbers.count == 1 ? numbers.first! : Int(SEVERAL_VIRTUAL_SERVERS))
    }
    portsAreAlike = numbers.values.allSatisfy { $0.count == own.count }
    multiplier = ServiceMap.multiplier(for: rows.map(\.address))
  }

  // MARK: Addresses in cells

  /// The cell of an address.
  static func cell(of address: IPAddress, multiplier: UInt64) -> Int {
    address.hash(multiplier: multiplier, bits: cellBits)
  }

  /// One that gives each address a cell of its own. The same for the same addresses.
  private static func multiplier(for addresses: [IPAddress]) -> UInt64 {
    var candidate: UInt64 = 1
    while true {
      // The numbers of a full-period sequence: some tries in the hundred for the most addresses.
      candidate = candidate &* 0x5851_f42d_4c95_7f2d &+ 0x1405_7b7e_f767_814f
      let multiplier = candidate | 1
      if Set(addresses.map { cell(of: $0, multiplier: multiplier) }).count == addresses.count {
        return multiplier
      }
    }
  }

  /// The row of a virtual server's address.
  func row(of address: IPAddress) -> Int? { rows.first { $0.address == address }?.row }

  // MARK: Tables

  /// What the table of cells holds, by the cell.
  var cells: [UInt32: address_row] {
    Dictionary(
      uniqueKeysWithValues: rows.map { row in
        let cell = ServiceMap.cell(of: row.address, multiplier: multiplier)
        return (
          UInt32(cell),
          address_row(address: row.address.words, row: UInt32(row.row), is_used: 1, padding: 0)
        )
      })
  }

  /// What the table of ports holds for this family, by the line.
  var portLines: [UInt32: port_line] {
    var lines: [UInt32: port_line] = [:]
    func put(_ number: Int, row: Int, port: UInt16) {
      let index = UInt32(row) * UInt32(PORT_LINES_OF_ROW) + UInt32(port) / UInt32(PORTS_OF_LINE)
      withUnsafeMutableBytes(of: &lines[index, default: port_line()]) {
        $0[Int(port) % Int(PORTS_OF_LINE)] = UInt8(number + 1)
      }
    }
    guard !portsAreCompared else { return [:] }
    for service in services { put(service.number, row: service.row, port: service.port) }
    if count > 1 { for port in ports { put(port.number, row: rowOfPorts, port: port.port) } }
    return lines
  }
}

extension IPAddress {
  /// ADDRESS_FOLD: what the first half of an IPv6 address is multiplied by. Odd.
  static let fold: UInt64 = 0x9e37_79b9_7f4a_7c15

  /// The template's hash_of_address: a number of some bits.
  func hash(multiplier: UInt64, bits: Int) -> Int {
    let words = words
    let number: UInt64 =
      switch family {
      case .ipv4: UInt64(words.0)
      case .ipv6:
        (UInt64(words.1) << 32 | UInt64(words.0)) &* IPAddress.fold
          &+ (UInt64(words.3) << 32 | UInt64(words.2))
      }
    return Int((number &* multiplier) >> (64 - UInt64(bits)))
  }
}
