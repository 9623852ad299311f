// The IPv4 header's checksum: three summands, so that a carry can carry once more.
import LoadBalancing
import Testing

@Suite("IPv4 header checksum", .serialized)
struct ChecksumTests {
  /// Identifications at which it comes to the rarest of carries are few: all are tried.
  @Test("right for every identification")
  func everyIdentification() throws {
    let director = try Director(.ipv4)
    let addresses = director.addresses
    let before = addresses.request(client: 0)
    let after = before.sent(to: addresses.server(1))
    func frame(_ datagram: Datagram) -> (_ identification: UInt16) -> [UInt8] {
      var bytes = Case.changed(datagram) { $0.identification = 0 }.bytes
      let start = Datagram.ethernetSize
      let header = Array(bytes[start..<start + 20])
      let sum = UInt32(internetSum(Array(header[0..<10]) + Array(header[12...])))
      return { identification in
        var sum = sum + UInt32(identification)
        if sum > 0xffff { sum -= 0xffff }
        bytes.replaceSubrange(start + 4..<start + 6, with: identification.octets)
        bytes.replaceSubrange(start + 10..<start + 12, with: (~UInt16(sum)).octets)
        return bytes
      }
    }
    let (incoming, outgoing) = (frame(before), frame(after))
    #expect(incoming(0x1234) == before.bytes && outgoing(0x1234) == after.bytes)
    var wrong: [UInt16] = []
    for identification in UInt16.min...UInt16.max {
      let outcome = try director.run(incoming(identification))
      if outcome != .init(.send, outgoing(identification)) { wrong.append(identification) }
    }
    #expect(wrong.isEmpty)
  }
}
