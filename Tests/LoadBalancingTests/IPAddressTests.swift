// Addresses as Python's ipaddress module reads and prints them.

import Testing

@testable import LoadBalancing

@Suite struct IPAddressTests {
  @Test(arguments: [
    ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("10.0.0.4", "10.0.0.4"),
    ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8::A", "2001:db8::a"),
    ("0:0:0:0:0:0:0:0", "::"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
    ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
    ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"), ("::ffff:10.0.0.1", "::ffff:a00:1"),
    ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("::1.2.3.4", "::102:304"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
    ("fe80::1%eth0", "fe80::1"), ("::%1", "::"), ("0001:0:0:0:0:0:0:1", "1::1"),
    ("fe80::1%a b", "fe80::1"),
  ])
  func isReadAndPrintedAsPythonDoes(_ text: String, _ printed: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == printed)
    #expect(address.octets.count == address.family.octetCount)
    #expect(IPAddress(octets: address.octets) == address)
    #expect(IPAddress(printed) == address)
  }

  @Test(arguments: [
    "", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "01.2.3.4", "1.2.3.00",
    "256.1.1.1", "1000.1.1.1", "1.2.3.4 ", "+1.2.3.4", "١.2.3.4", "0x1.2.3.4", "1.2.3.4/8",
    "1.2.3.4%eth0", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "::1::",
    ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::",
    "g::", "::1%", "::1%a%b", "::1%a/b", "::1/64", "[::1]", "1:2:3:4:5:6:7:1.2.3.4",
    "::1.2.3", "::1.2.3.256", "1.2.3.4::", "::1.2.3.4:5", "1:", "::-1", "%eth0",
  ])
  func isRefusedAsPythonRefusesIt(_ text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test func theFamilyIsPartOfAnAddress() throws {
    #expect(IPAddress("1.2.3.4")?.family == .ipv4)
    #expect(IPAddress("::ffff:1.2.3.4")?.family == .ipv6)
    #expect(AddressFamily.ipv4.description == "ipv4")
    #expect(AddressFamily.ipv6.description == "ipv6")
    #expect(IPAddress("1.2.3.4") != IPAddress("::1.2.3.4"))
    #expect(IPAddress("0.0.0.0") != IPAddress("::"))
  }

  @Test func octetsAreInNetworkOrder() throws {
    #expect(IPAddress("1.2.3.4")?.octets == [1, 2, 3, 4])
    #expect(
      IPAddress("102:304:506:708:90a:b0c:d0e:f10")?.octets == Array(1...16))
  }

  @Test func theUnspecifiedAddressIsKnown() throws {
    #expect(IPAddress("0.0.0.0")?.isUnspecified == true)
    #expect(IPAddress("::")?.isUnspecified == true)
    #expect(IPAddress("1::")?.isUnspecified == false)
    #expect(IPAddress("0.0.0.1")?.isUnspecified == false)
    #expect(IPAddress.unspecified(.ipv6).description == "::")
  }

  @Test(arguments: [
    "0.0.0.0", "127.0.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255", "::", "::1",
    "ff02::1", "fe80::1", "febf::1", "::ffff:10.0.0.1",
  ])
  func whoCannotBeAnsweredIsNoUnicastAddress(_ text: String) {
    #expect(IPAddress(text)?.isUnicast == false)
  }

  @Test(arguments: [
    "0.0.0.1", "126.255.255.255", "128.0.0.1", "223.255.255.255", "240.0.0.1",
    "255.255.255.254", "::2", "fec0::1", "fe7f::1", "fd50::2", "::fffe:0:1", "::1:ffff:10.0.0.1",
  ])
  func othersAre(_ text: String) {
    #expect(IPAddress(text)?.isUnicast == true)
  }
}
