// From which MAC addresses packets of real servers are to come, where packets ask for it.
import BCC
import CLinux
import LoadBalancing

/// Writes the tables of a program that verifies gateways. A store of a slot is one step for packets.
struct NextHopWriter: Sendable {
  private let tables: [AddressFamily: MappedTable<UInt64>]

  /// - Parameter tables: none where gateways are not verified.
  init(_ tables: [AddressFamily: Table]) throws(BCCError) {
    var mapped: [AddressFamily: MappedTable<UInt64>] = [:]
    for (family, table) in tables { mapped[family] = try MappedTable(table) }
    self.tables = mapped
  }

  /// - Parameter plan: tells whose the slots are. Those of real servers without an address are set to
  ///   believe all, as are those that are nobody's.
  func write(_ addresses: [IPAddress: MACAddress], _ plan: ServicePlan) {
    for (family, table) in tables {
      let slots = plan.slots(of: family)
      for index in 0..<table.count {
        let member = index < slots.count ? slots[index]?.member : nil
        let sender = member.flatMap { addresses[$0.address] }.map { $0.sender(of: family) } ?? 0
        if load_64(table[index]) != sender { store_64(table[index], sender) }
      }
    }
  }
}

extension MACAddress {
  /// The octets of a frame from its sender's address on to the end of the Ethernet header, as read from
  /// memory.
  fileprivate func sender(of family: AddressFamily) -> UInt64 {
    let etherType: [UInt8] = family == .ipv4 ? [0x08, 0x00] : [0x86, 0xdd]
    return (octets + etherType).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
  }
}
