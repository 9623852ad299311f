// Events around the instant at which another program takes the place of the one in service.
import BCC
import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Events at a swap", .serialized)
struct SwapTests {
  private func swap(_ director: Director) throws {
    var next = director.dataPlane.configuration
    next.ports = [next.ports[0], next.ports[1] &+ 10]
    try compiling { _ = try director.dataPlane.apply(next) }
  }

  @Test("those of the former program are read, first and until it can tell no more")
  func read() throws {
    let director = try Director(.ipv4, level: .trace)
    let former = director.dataPlane.program
    let id = try former.info().id
    func speak(_ clients: Range<Int>, _ program: Program) throws {
      for client in clients {
        _ = try program.testRun(frame: director.addresses.request(client: client).bytes)
      }
    }
    func sources() -> [IPAddress] { director.events().map(\.source) }
    try speak(0..<10, former)
    try swap(director)
    try speak(20..<25, director.dataPlane.program)
    #expect(sources() == ((0..<10).map { $0 } + Array(20..<25)).map(director.addresses.client))
    // A run of the former program was under way on another CPU.
    try speak(10..<13, former)
    #expect(sources() == (10..<13).map(director.addresses.client))
    // Two swaps at once, and events taken in parts.
    try speak(30..<34, director.dataPlane.program)
    try swap(director)
    try speak(34..<36, director.dataPlane.program)
    try swap(director)
    try speak(36..<39, director.dataPlane.program)
    var taken: [IPAddress] = []
    for count in [4, 4, 1, 0] {
      #expect(director.dataPlane.consumeEvents(limit: 4) { taken.append($0.source) } == count)
    }
    #expect(taken == (30..<39).map(director.addresses.client))
    // None is kept for ever.
    #expect(try former.info().id == id)
    Thread.sleep(forTimeInterval: 1.1)
    #expect(sources() == [])
    try speak(40..<41, former)
    #expect(sources() == [])
  }

  @Test("those that it had no room for are counted")
  func counted() throws {
    let director = try Director(.ipv4, level: .error, virtualServer: .unspecified(.ipv4))
    let frame = director.addresses.request(client: 1).bytes
    var (taken, lost, sent) = (0, 0, 0)
    for _ in 0..<2 {
      for _ in 0..<8000 { _ = try director.run(frame) }
      sent += 8000
      try swap(director)
    }
    lost += Int(director.dataPlane.lostEvents())
    #expect(lost > 0)
    taken += director.events().count
    lost += Int(director.dataPlane.lostEvents())
    #expect(taken + lost == sent)
    Thread.sleep(forTimeInterval: 1.1)
    taken += director.events().count
    #expect(director.dataPlane.lostEvents() == 0 && taken + lost == sent)
  }
}
