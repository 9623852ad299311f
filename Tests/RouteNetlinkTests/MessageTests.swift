// What is made of octets that a kernel may write, and of those that none does.
import LoadBalancing
import Testing

@testable import RouteNetlink

@Suite struct MessageTests {
  private let address = IPAddress("10.60.0.1")!
  private let hardware: [UInt8] = [2, 0x42, 0x0a, 0x3c, 0, 1]

  /// A message of the kernel's, in octets: RTM_NEWNEIGH 28, RTM_DELNEIGH 29.
  private func neighbour(
    _ address: IPAddress, state: UInt16, hardware: [UInt8]?, type: UInt16 = 28
  ) -> NetlinkMessage {
    func attribute(_ type: UInt16, _ value: [UInt8]) -> [UInt8] {
      let length = UInt16(4 + value.count)
      return octetsOf(length) + octetsOf(type) + value
        + [UInt8](repeating: 0, count: (4 - value.count % 4) % 4)
    }
    let family: UInt8 = address.family == .ipv4 ? 2 : 10
    let header = [family, 0, 0, 0] + octetsOf(Int32(7)) + octetsOf(state) + [0, 1]
    return NetlinkMessage(
      type: type,
      payload: header + attribute(1, address.octets) + (hardware.map { attribute(2, $0) } ?? []))
  }

  @Test(arguments: ["10.60.0.1", "fe80::1"])
  func aNeighbourIsRead(_ text: String) throws {
    let address = try #require(IPAddress(text))
    for (number, state) in [
      (0x01, .incomplete), (0x02, .confirmed), (0x04, .stale), (0x08, .stale), (0x10, .asked),
      (0x20, .failed), (0x40, .notAsked), (0x80, .configured), (0, .absent),
    ] as [(UInt16, Neighbour.State)] {
      let found = try #require(
        Neighbour(neighbour(address, state: number, hardware: hardware)))
      #expect(
        found
          == Neighbour(
            interface: 7, address: address, hardware: MACAddress(octets: hardware), state: state))
      let isValid: Set<UInt16> = [0x02, 0x04, 0x08, 0x10, 0x80]
      #expect(found.isKnown == isValid.contains(number))
    }
    let gone = Neighbour(neighbour(address, state: 2, hardware: hardware, type: 29))
    #expect(gone?.state == .absent)
    let silent = try #require(Neighbour(neighbour(address, state: 2, hardware: nil)))
    #expect(!silent.isKnown)
  }

  @Test(arguments: [
    [UInt8](repeating: 0, count: 6), [0x33, 0x33, 0, 0, 0, 1], [2, 0, 0, 0, 1],
    [UInt8](repeating: 2, count: 20),
  ])
  func whatIsNoMachinesAddressIsNone(_ octets: [UInt8]) throws {
    let found = try #require(Neighbour(neighbour(address, state: 2, hardware: octets)))
    #expect(found.hardware == nil && !found.isKnown)
  }

  @Test func whatIsCutShortIsNotRead() {
    let whole = neighbour(address, state: 2, hardware: hardware).octets
    #expect(NetlinkMessage.all(in: whole + whole).count == 2)
    for count in 0..<whole.count {
      #expect(NetlinkMessage.all(in: whole.prefix(count)).isEmpty)
      #expect(NetlinkMessage.all(in: whole + whole.prefix(count)).count == 1)
    }
    let payload = Array(whole.dropFirst(16))
    for count in 0..<payload.count {
      let message = NetlinkMessage(type: 28, payload: Array(payload.prefix(count)))
      // Attributes that are whole hold.
      #expect((Neighbour(message) != nil) == (count >= 20), "\(count)")
      for type in UInt16(0)..<32 {
        let message = NetlinkMessage(type: type, payload: Array(payload.prefix(count)))
        _ = NextHop(message, interface: 7)
      }
    }
  }

  @Test func lengthsThatLeadNowhereEnd() {
    for length in [UInt32(0), 1, 15, 17, .max] {
      let header = octetsOf(length) + [UInt8](repeating: 0, count: 12)
      #expect(NetlinkMessage.all(in: header).isEmpty)
    }
    for length in [UInt16(0), 3, 9, .max] {
      let attributes = Attributes((octetsOf(length) + octetsOf(UInt16(1)) + [1, 2, 3, 4])[...])
      #expect(attributes[1] == nil)
    }
    #expect(Attributes((octetsOf(UInt16(5)) + octetsOf(UInt16(0x8001)) + [9])[...])[1] == [9])
  }
}
