// What the packet path is given to find out whose an address and a port are. PacketTests show that it
// finds it.
import CLayout
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Service map")
struct ServiceMapTests {
  private static func map(_ addresses: [IPAddress], ports: [UInt16] = [5683]) -> ServiceMap {
    let servers = addresses.enumerated().map { index, address in
      NumberedVirtualServer(
        UInt8(index),
        VirtualServer(name: "\(index)", address: address, ports: ports, realServers: []))
    }
    return ServiceMap(addresses[0].family, servers, firstRow: 0)
  }

  /// As many as there can be: in sequence, each in a subnet of its own, and at random.
  static let addresses: [[IPAddress]] = {
    var numbers = SeededNumbers(seed: 1)
    let count = UInt8(VirtualServer.most)
    return [
      (0..<count).map { IPAddress(octets: [10, 60, 0, $0]) },
      (0..<count).map { IPAddress(octets: [10, $0, 0, 1]) },
      (0..<count).map { _ in
        IPAddress(octets: (0..<4).map { _ in .random(in: 1...254, using: &numbers) })
      },
      (0..<count).map {
        IPAddress(octets: [0xfd, 0x60] + [UInt8](repeating: 0, count: 13) + [$0])
      },
      (0..<count).map {
        IPAddress(octets: [0xfd, 0x60, 0, $0] + [UInt8](repeating: 0, count: 11) + [1])
      },
      (0..<count).map { _ in
        IPAddress(octets: (0..<16).map { _ in .random(in: 1...254, using: &numbers) })
      },
    ]
  }()

  @Test("each address has a cell of its own", arguments: addresses.indices)
  func cells(set: Int) {
    let addresses = Self.addresses[set]
    let map = Self.map(addresses)
    #expect(map.addressesAreHashed)
    #expect(map.cells.count == addresses.count)
    for (row, address) in addresses.enumerated() {
      let cell = map.cells[UInt32(ServiceMap.cell(of: address, multiplier: map.multiplier))]
      #expect(cell?.row == UInt32(row))
      #expect(cell.map { IPAddress(words: $0.address, family: address.family) } == address)
    }
    // The same for the same addresses: a program is compiled alike each time.
    #expect(Self.map(addresses).multiplier == map.multiplier)
  }

  @Test("few are compared, many are looked up")
  func shapes() {
    let addresses = Self.addresses[0]
    let few = Self.map(Array(addresses.prefix(4)), ports: [1, 2, 3, 4])
    #expect(!few.addressesAreHashed && few.portsAreCompared && few.portRows == 0)
    #expect(few.portLines.isEmpty)
    let more = Self.map(Array(addresses.prefix(5)), ports: [1, 2, 3, 4])
    #expect(more.addressesAreHashed && !more.portsAreCompared)
    // A row for each address, and that of the ports alone.
    #expect(more.portRows == 6 && more.rowOfPorts == 5)
    // A single virtual server's row is that of the ports alone.
    let single = Self.map([addresses[0]], ports: Array(1...17))
    #expect(!single.portsAreCompared && single.portRows == 1 && single.rowOfPorts == 0)
  }

  @Test("the domain counts as far as the layouts have room")
  func limits() {
    #expect(SlotPlan.mostSlots == Int(MOST_SLOTS))
    #expect(Maglev.entries == Int(MAGLEV_ENTRIES))
    #expect(VirtualServerPlan.numbers == Int(VIRTUAL_SERVER_NUMBERS))
    #expect(VirtualServerPlan.numbers <= Int(SEVERAL_VIRTUAL_SERVERS))
    #expect(VirtualServer.longestName == MemoryLayout.size(ofValue: virtual_server_name().octets))
  }
}
