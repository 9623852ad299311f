// Which ports are balanced: compared one by one where they are few, in a bitmap where they are many.
import LoadBalancing
import Testing

@Suite("Balanced ports", .serialized)
struct PortTests {
  /// Few and many, with the lowest and the highest, and neighbours across the bitmap's words.
  static let few: [UInt16] = [1, 65535, 5683, 0x3316, 255, 256]
  static let sixteen: [UInt16] = (0..<16).map { 4000 + 64 * $0 }
  static let seventeen = sixteen + [65535]
  static let many: [UInt16] =
    [1, 65535, 63, 64, 65, 127, 32767, 32768] + (0..<56).map { 9000 + $0 }
  static let lists = [few, sixteen, seventeen, many, [1], [65535], [80, 80, 80]]

  @Test("exactly those of the list", arguments: AddressFamily.allCases, lists)
  func balanced(family: AddressFamily, ports: [UInt16]) throws {
    let director = try Director(family, ports: ports)
    let addresses = director.addresses
    let balanced = Set(ports)
    var tried = balanced
    for port in ports {
      tried.formUnion([port &- 1, port &+ 1, port.byteSwapped, port ^ 0x8000, port &+ 64])
    }
    tried.formUnion([0, 1, 2, 53, 65534, 65535])
    for port in tried {
      let request = addresses.request(client: 1, port: port)
      let sent = request.sent(to: addresses.server(1))
      #expect(
        try director.run(request) == (balanced.contains(port) ? .send(sent) : .pass(request)),
        "to port \(port)")
      let reply = addresses.reply(server: 1, client: 1, port: port)
      let back = reply.sent(from: addresses.virtualServer)
      #expect(
        try director.run(reply) == (balanced.contains(port) ? .send(back) : .pass(reply)),
        "from port \(port)")
    }
  }

  @Test("each of 65,535 ports", arguments: AddressFamily.allCases)
  func all(family: AddressFamily) throws {
    let director = try Director(family, ports: Array(1...65535))
    let request = director.addresses.request(client: 1, port: 0)
    #expect(try director.run(request) == .pass(request))
    for port in stride(from: 1, through: 65535, by: 97) {
      let request = director.addresses.request(client: 1, port: UInt16(port))
      #expect(try director.run(request).verdict == .send, "port \(port)")
    }
  }
}
