// Everything that can befall the config file of a running daemon: the last good list stays.
import Foundation
import TestSupport
import Testing

@Suite struct ConfigFileFaultTests {
  enum Fault: String, CaseIterable {
    case missing, halfALine, growing, unreadable, directory, fifo, danglingLink, loop, hugeNoise
    case device, emptied

    var reason: String {
      switch self {
      case .missing, .danglingLink: "No such file or directory"
      case .halfALine, .growing: "10.70."
      case .unreadable: "Permission denied"
      case .directory: "Is a directory"
      case .fifo, .device: "Not a regular file"
      case .loop: "Too many levels of symbolic links"
      case .hugeNoise: "Larger than 16 MiB"
      case .emptied: "Real Servers"
      }
    }
  }

  private func make(_ fault: Fault, of stage: Stage) throws {
    let file = stage.file
    let list = "[Real Servers]\n10.70.2.2\n10.70.3."
    switch fault {
    case .missing: try need(["rm", file])
    case .halfALine: try stage.replace(list)
    case .growing:
      // Each state of it ends in the middle of an address.
      try stage.replace("[Real Servers]\n10.70.")
      let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
      defer { try? handle.close() }
      try handle.seekToEnd()
      for _ in 0..<100 {
        try handle.write(contentsOf: Data("2.2\n10.70.".utf8))
        usleep(15_000)
      }
    case .unreadable:
      try stage.replace(list + "2")
      try need(["chown", "65534", file])
      try need(["chmod", "600", file])
    case .directory: try need(["sh", "-c", "rm \(file) && mkdir \(file)"])
    case .fifo: try need(["sh", "-c", "rm \(file) && mkfifo \(file)"])
    case .danglingLink: try need(["ln", "-sfT", "/nonexistent/servers", file])
    case .loop: try need(["sh", "-c", "rm \(file) && ln -s \(file) \(file)"])
    case .hugeNoise:
      let new = stage.path("noise")
      try need(["dd", "if=/dev/urandom", "of=\(new)", "bs=1M", "count=100", "status=none"])
      try need(["mv", "-T", new, file])
    case .device: try need(["ln", "-sfT", "/dev/zero", file])
    case .emptied: try need(["truncate", "--size=0", file])
    }
  }

  @Test func theLastGoodListStays() throws {
    let stage = try Stage()
    let network = stage.network
    try stage.list([0, 1])
    // Root that may read only what root may.
    let daemon = try stage.start(
      wrapper: ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"])
    let clients = try network.newClients(4)
    #expect(network.servers(of: clients) == ["srv1", "srv2", "srv1", "srv2"])
    for fault in Fault.allCases {
      let before = daemon.errors.count
      try make(fault, of: stage)
      try daemon.process.waitForLine("an error for \(fault)") { _ in daemon.errors.count > before }
      // It is looked at again each second, and said once.
      Thread.sleep(forTimeInterval: 1.5)
      #expect(network.servers(of: clients) == ["srv1", "srv2", "srv1", "srv2"], "\(fault)")
      #expect(try Set(network.serversOfNewClients(2)) == ["srv1", "srv2"], "\(fault)")
      let said = daemon.errors.dropFirst(before)
      let message = Comment(rawValue: "\(fault): \(said)")
      // A file that grows is wrong in another way each time it seems to be finished.
      #expect(said.count == 1 || fault == .growing, message)
      #expect(said.allSatisfy { $0.contains(stage.file) && $0.contains(fault.reason) }, message)
      #expect(
        said.allSatisfy { $0.contains("the present 2 real server(s) stay in service") }, message)
      try need(["rm", "-rf", stage.file])
      try stage.list([2])
      try network.waitForListing(["srv3"])
      try stage.list([0, 1])
      try network.waitForListing(["srv1", "srv2"])
      // Their servers came back before their slots were needed.
      let known = network.servers(of: clients)
      #expect(known == ["srv1", "srv2", "srv1", "srv2"], "\(fault)")
    }
    #expect(try daemon.stop() == 0)
  }

  /// As after a copy that keeps times, and after the clock was set.
  @Test func sameTimeAndSize() throws {
    let stage = try Stage()
    try stage.list([0])
    try need(["touch", "-d", "2020-01-01T00:00:00Z", stage.file])
    let daemon = try stage.start()
    try stage.network.waitForListing(["srv1"])
    for number in [1, 2, 0] {
      // Written in place and replaced, with the time and the size that it had.
      if number == 2 {
        try "[Real Servers]\n10.70.3.2".write(
          toFile: stage.file, atomically: false, encoding: .utf8)
      } else {
        try stage.list([number])
      }
      try need(["touch", "-d", "2020-01-01T00:00:00Z", stage.file])
      try stage.network.waitForListing(["srv\(number + 1)"])
    }
    // Older than what was there, and from the future.
    for (number, time) in [(1, "2001-01-01"), (2, "2090-01-01"), (0, "2002-01-01")] {
      try stage.list([number])
      try need(["touch", "-d", time, stage.file])
      try stage.network.waitForListing(["srv\(number + 1)"])
    }
    #expect(daemon.errors == [])
    #expect(try daemon.stop() == 0)
  }

  @Test func tenThousandChangesInARow() throws {
    let stage = try Stage()
    let network = stage.network
    try stage.list([0, 1])
    let daemon = try stage.start()
    let client = try network.newClients(1)
    #expect(network.servers(of: client) == ["srv1"])
    let texts = [[0, 1], [0, 2], [1, 0], [2, 1, 0]].map {
      "[Real Servers]\n" + network.addresses($0).joined(separator: "\n") + "\n"
    }
    let new = stage.path("new")
    for number in 0..<10_000 {
      try texts[number % 4].write(toFile: new, atomically: false, encoding: .utf8)
      guard rename(new, stage.file) == 0 else { throw SystemError("rename") }
      // The first server is always listed.
      if number % 1_000 == 0 { #expect(network.servers(of: client) == ["srv1"]) }
    }
    try stage.list([2])
    try network.waitForListing(["srv3"])
    #expect(daemon.errors == [], "\(daemon.process.transcript)")
    #expect(try daemon.stop() == 0)
  }
}
