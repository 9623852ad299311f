// What a new process gets back from the manager's store.

import Glibc
import SystemPackage
import Testing

@testable import Systemd

@Suite struct DescriptorStoreTests {
  /// `count` descriptors, whether they are open or not.
  private func descriptors(_ count: Int32, from first: Int32) -> [FileDescriptor] {
    (first..<first + count).map { FileDescriptor(rawValue: $0) }
  }

  /// Where this process may open 8 descriptors in a row: at the upper end of what the limit
  /// allows, as other tests get the lowest that are free. `range` keeps those here apart.
  private func room(range: Int32) throws -> Int32 {
    var limit = rlimit()
    try #require(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
    return Int32(min(limit.rlim_cur, 65536)) - 8 * range
  }

  /// Opens `count` files, 8 at most, on consecutive descriptors, which must be free.
  private func open(_ count: Int32, from first: Int32) throws -> [FileIdentity] {
    try descriptors(count, from: first).map { wanted in
      let file = try newFile()
      defer { try? file.close() }
      try #require(fcntl(file.rawValue, F_DUPFD, wanted.rawValue) == wanted.rawValue)
      return try FileIdentity(wanted)
    }
  }

  private func entries(
    first: Int32, count: String?, names: String?, process: String? = String(getpid())
  ) -> [DescriptorStore.Entry] {
    let environment = ["LISTEN_FDS": count, "LISTEN_FDNAMES": names, "LISTEN_PID": process]
    return DescriptorStore.entries(environment: { environment[$0] ?? nil }, first: first)
  }

  @Test func namesBelongToTheirDescriptors() throws {
    let first = try room(range: 1)
    let files = try open(3, from: first)
    defer { closeAll(descriptors(3, from: first)) }
    let found = entries(first: first, count: "3", names: "link:tables:tables")
    #expect(found.map(\.name) == ["link", "tables", "tables"])
    #expect(found.map(\.descriptor) == descriptors(3, from: first))
    #expect(try found.map { try FileIdentity($0.descriptor) } == files)
  }

  @Test func whatIsNotSaidOrNotThereIsMadeGoodFor() throws {
    let first = try room(range: 2)
    _ = try open(2, from: first)
    defer { closeAll(descriptors(2, from: first)) }
    #expect(entries(first: first, count: "2", names: nil).map(\.name) == ["unknown", "unknown"])
    #expect(entries(first: first, count: "2", names: ":b").map(\.name) == ["unknown", "b"])
    #expect(entries(first: first, count: "1", names: "a:b").map(\.name) == ["a"])
    #expect(entries(first: first, count: "9", names: "a:b:c").map(\.name) == ["a", "b"])
    #expect(entries(first: first, count: "2147483647", names: "a").isEmpty)
    for count in [nil, "", "0", "-1", "two", "99999999999"] {
      #expect(entries(first: first, count: count, names: "a").isEmpty)
    }
  }

  @Test func descriptorsForAnotherProcessAreLeftAlone() throws {
    let first = try room(range: 3)
    _ = try open(1, from: first)
    defer { closeAll(descriptors(1, from: first)) }
    for process in [nil, "", "1", "x"] {
      #expect(entries(first: first, count: "1", names: "a", process: process).isEmpty)
    }
  }

  @Test func takingRemovesTheVariablesAndKeepsChildrenOut() throws {
    let first = try room(range: 4)
    let files = try open(1, from: first)
    defer { closeAll(descriptors(1, from: first)) }
    #expect(fcntl(first, F_GETFD) & FD_CLOEXEC == 0)
    setenv("LISTEN_PID", String(getpid()), 1)
    setenv("LISTEN_FDS", "1", 1)
    setenv("LISTEN_FDNAMES", "link", 1)
    let taken = DescriptorStore.take(first: first)
    #expect(taken.map(\.name) == ["link"])
    #expect(try taken.map { try FileIdentity($0.descriptor) } == files)
    #expect(fcntl(first, F_GETFD) & FD_CLOEXEC != 0)
    for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
      #expect(getenv(variable) == nil)
    }
    #expect(DescriptorStore.take().isEmpty)
  }
}
