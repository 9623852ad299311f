// Clients and networks as an operator writes them.

import Testing

@testable import LoadBalancing

@Suite struct ClientTests {
  @Test(arguments: [
    ("10.50.0.2:5683", "10.50.0.2:5683"), ("0.0.0.0:1", "0.0.0.0:1"),
    ("255.255.255.255:65535", "255.255.255.255:65535"), ("[fd50::2]:5683", "[fd50::2]:5683"),
    ("[::]:9", "[::]:9"), ("[FD50:0:0:0:0:0:0:2]:40000", "[fd50::2]:40000"),
    ("[::ffff:10.0.0.1]:5683", "[::ffff:a00:1]:5683"),
  ])
  func isReadAndPrinted(_ text: String, _ printed: String) throws {
    let client = try #require(Client(text))
    #expect(client.description == printed)
    #expect(Client(printed) == client)
  }

  @Test(arguments: [
    "", ":", "5683", "10.50.0.2", "10.50.0.2:", "10.50.0.2:0", "10.50.0.2:65536",
    "10.50.0.2:05683", "10.50.0.2:+1", "10.50.0.2:-1", "10.50.0.2:1 ", " 10.50.0.2:1",
    "10.50.0.2 :1", "10.50.0.2:1:1", "10.50.0.2:٣", "10.50.0.2:999999999999999999999",
    "[10.50.0.2]:5683", "fd50::2:5683", "fd50::2", "[fd50::2]", "[fd50::2]5683", "[fd50::2]:",
    "[fd50::2]:0", "[fd50::2:5683", "fd50::2]:5683", "[[fd50::2]]:5683", "[fe80::1%eth0]:5683",
    "[]:1", "[:1", "]:1", "[fd50::2]:5683/64", "10.50.0:5683", "host:5683", "\u{0}:1",
  ])
  func isRefused(_ text: String) {
    #expect(Client(text) == nil)
  }

  @Test func portAndFamilyArePartOfAClient() throws {
    let client = try #require(Client("10.50.0.2:5683"))
    #expect(client == Client(address: IPAddress("10.50.0.2")!, port: 5683))
    #expect(client != Client("10.50.0.2:5684"))
    #expect(Client("[::1.2.3.4]:1") != Client("1.2.3.4:1"))
  }
}

@Suite struct IPNetworkTests {
  @Test(arguments: [
    ("10.0.0.1", 8, "10.0.0.0/8"), ("10.255.255.255", 31, "10.255.255.254/31"),
    ("10.0.0.1", 32, "10.0.0.1/32"), ("255.0.0.1", 0, "0.0.0.0/0"),
    ("fd50::1:2:3:4", 64, "fd50::/64"), ("fd50::1:2:3:4", 65, "fd50::/65"),
    ("fd50::8001:2:3:4", 65, "fd50::8000:0:0:0/65"), ("fd50::1", 128, "fd50::1/128"),
    ("fd50::1", 7, "fc00::/7"), ("fd50::1", 0, "::/0"),
  ])
  func isFoundOfAnyAddressInIt(_ address: String, _ length: Int, _ text: String) throws {
    let address = try #require(IPAddress(address))
    let network = try #require(IPNetwork(of: address, prefixLength: length))
    #expect(network == IPNetwork(text))
    #expect(network.contains(address))
    #expect(IPNetwork(of: address, prefixLength: -1) == nil)
    #expect(IPNetwork(of: address, prefixLength: address.family.octetCount * 8 + 1) == nil)
  }

  @Test(arguments: [
    ("10.50.0.0/16", "10.50.0.0/16"), ("0.0.0.0/0", "0.0.0.0/0"), ("10.0.0.1/32", "10.0.0.1/32"),
    ("10.0.0.1", "10.0.0.1/32"), ("128.0.0.0/1", "128.0.0.0/1"), ("::/0", "::/0"),
    ("FD50::/64", "fd50::/64"), ("fd50::8000:0:0:0/65", "fd50::8000:0:0:0/65"),
    ("fd50::1", "fd50::1/128"), ("8000::/1", "8000::/1"),
  ])
  func isReadAndPrinted(_ text: String, _ printed: String) throws {
    let network = try #require(IPNetwork(text))
    #expect(network.description == printed)
    #expect(IPNetwork(printed) == network)
  }

  @Test(arguments: [
    "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/-1",
    "10.0.0.0/8/8", "10.0.0.0/8 ", "10.0.0.0/255.0.0.0", "10/8", "10.0.0.1/31", "10.0.0.1/0",
    "fd50::/129", "fd50::1/127", "fd50::1:0:0:0/64", "fe80::%eth0/64", "[fd50::]/64",
    "10.0.0.0/99999999999999999999",
  ])
  func isRefused(_ text: String) {
    #expect(IPNetwork(text) == nil)
  }

  @Test(arguments: [
    ("10.50.0.0/16", "10.50.0.0", "10.49.255.255"), ("10.50.0.0/16", "10.50.255.255", "10.51.0.0"),
    ("10.0.0.1/32", "10.0.0.1", "10.0.0.0"), ("0.0.0.0/0", "255.255.255.255", "::"),
    ("::/0", "ffff::1", "10.0.0.1"), ("fd50::/64", "fd50::ffff:0:0:1", "fd50:0:0:1::"),
    ("fd50::/63", "fd50:0:0:1::1", "fd50:0:0:2::"),
    ("fd50::8000:0:0:0/65", "fd50::8000:0:0:1", "fd50::7fff:0:0:1"),
    ("fd50::1/128", "fd50::1", "fd50::2"), ("::/1", "7fff::1", "8000::"),
  ])
  func containsAddressesWithItsPrefix(_ text: String, _ inside: String, _ outside: String) throws {
    let network = try #require(IPNetwork(text))
    #expect(network.contains(IPAddress(inside)!))
    #expect(!network.contains(IPAddress(outside)!))
  }
}
