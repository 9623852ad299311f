// What a manager's dealing with a descriptor says of its store.

import Glibc
import SystemPackage
import Testing

@testable import Systemd

@Suite struct StoreProbeTests {
  /// A probe, and what the manager has got of it: the offer and the barrier.
  private func ask() throws -> (
    StoreProbe, offer: FileDescriptor, barrier: FileDescriptor, Receiver
  ) {
    let receiver = try Receiver(Receiver.newAddress(abstract: true))
    let notifier = try #require(try Notifier(environment: receiver.environment()))
    let probe = try StoreProbe(notifier)
    let offer = try #require(try receiver.receive())
    #expect(offer.text == "FDSTORE=1\nFDNAME=probe")
    let barrier = try #require(try receiver.receive())
    #expect(barrier.text == "BARRIER=1")
    #expect(try receiver.receive() == nil)
    return (
      probe, try #require(offer.descriptors.first), try #require(barrier.descriptors.first),
      receiver
    )
  }

  @Test func whoKeepsTheOfferHasAStore() throws {
    let (probe, offer, barrier, _) = try ask()
    #expect(probe.isOpen(within: .zero) == nil)
    try barrier.close()
    #expect(probe.isOpen(within: .seconds(10)) == true)
    try offer.close()
  }

  @Test func whoClosesTheOfferHasNone() throws {
    let (probe, offer, barrier, _) = try ask()
    try offer.close()
    #expect(probe.isOpen(within: .zero) == nil)
    try barrier.close()
    #expect(probe.isOpen(within: .seconds(10)) == false)
  }

  @Test func whatWasTakenCanBeToldToBeOfNoUse() throws {
    var (probe, offer, barrier, _): (StoreProbe?, FileDescriptor, FileDescriptor, Receiver) =
      try ask()
    try barrier.close()
    #expect(probe?.isOpen(within: .seconds(10)) == true)
    probe = nil
    var request = pollfd(fd: offer.rawValue, events: 0, revents: 0)
    #expect(poll(&request, 1, 10_000) == 1)
    #expect(request.revents & Int16(POLLERR) != 0)
    try offer.close()
  }
}
