// Tables that cannot be had: what the error says and what to do.
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Memory of the tables", .serialized)
struct MemoryTests {
  private func refusal(_ configuration: Configuration) throws -> String {
    var message = ""
    try compiling {
      do {
        _ = try DataPlane(configuration)
      } catch {
        message = "\(error)"
      }
    }
    return message
  }

  @Test("more associations than memory", arguments: AddressFamily.allCases)
  func associations(family: AddressFamily) throws {
    let needed = family == .ipv4 ? "64 GiB" : "192 GiB"
    #expect(
      try refusal(.sample(family, maxAssociations: .max))
        == """
        not enough memory for the table associations: 4294967295 associations need about \
        \(needed); free memory, or lower --max_associations (-ma)
        """)
  }

  @Test("what the associations take is said in fitting units")
  func units() {
    for (count, family, text) in [
      (1, AddressFamily.ipv4, "1 MiB"), (1_048_576, .ipv4, "16 MiB"), (1_048_576, .ipv6, "48 MiB"),
      (16_777_216, .ipv4, "256 MiB"), (671_088_640, .ipv4, "10 GiB"),
    ] {
      #expect(TableMemory.associations(UInt32(count), family) == text)
    }
  }
}
