// Which libbcc is loaded, and that one that is too old is refused.
import DataPlane
import Foundation
import TestSupport
import Testing

@testable import BCC

@Suite("Version of libbcc", .serialized)
struct LibraryVersionTests {
  @Test("read from the file's name")
  func parsed() {
    #expect(LibraryVersion(fileName: "/usr/lib/libbcc.so.0.26.0") == LibraryVersion(0, 26, 0))
    #expect(LibraryVersion(fileName: "libbcc.so.1.2.34") == LibraryVersion(1, 2, 34))
    for name in [
      "", "/", "/usr/lib/libbcc.so", "/usr/lib/libbcc.so.0", "/usr/lib/libbcc.so.0.26",
      "/usr/lib/libbcc.so.0.26.x", "/usr/lib/libbcc.so.0.26.0.1", "/usr/lib/libbpf.so.1.1.2",
      "/usr/lib/libbcc_bpf.so.0.26.0", "/usr/lib/libbcc.so.0.26.0/other", "libbcc.so.-.1.2",
    ] {
      #expect(LibraryVersion(fileName: name) == nil, "\(name)")
    }
  }

  @Test("compared by number")
  func compared() {
    let sorted = [
      LibraryVersion(0, 9, 0), LibraryVersion(0, 24, 9), LibraryVersion(0, 25, 0),
      LibraryVersion(0, 25, 1), LibraryVersion(0, 100, 0), LibraryVersion(1, 0, 0),
    ]
    #expect(sorted.reversed().sorted() == sorted)
    #expect(sorted.filter { $0 < .oldestSupported } == Array(sorted[..<2]))
    #expect(LibraryVersion(0, 26, 0).description == "0.26.0")
  }

  @Test("the loaded one is new enough")
  func loaded() throws {
    let loaded = try #require(LibraryVersion.loaded)
    #expect(loaded >= .oldestSupported && LibraryVersion.compiled >= .oldestSupported)
  }

  @Test("an older one is refused in one line")
  func refused() throws {
    let linked = try run("ldd", Package.executable).standardOutput
    let library = try #require(
      linked.split(whereSeparator: \.isWhitespace).first { $0.contains("/libbcc.so.") })
    let file = URL(fileURLWithPath: String(library)).resolvingSymlinksInPath().path
    let folder = try TemporaryDirectory()
    try FileManager.default.copyItem(atPath: file, toPath: folder.path(of: "libbcc.so.0.18.0"))
    try FileManager.default.createSymbolicLink(
      atPath: folder.path(of: "libbcc.so.0"), withDestinationPath: "libbcc.so.0.18.0")
    let wire = try Wire()
    let result = try compiling {
      try run(
        Package.executable, "one", "-vs", "10.40.0.1", "-rs", "10.40.0.2", "-p", "5683",
        in: wire.namespace, environment: ["LD_LIBRARY_PATH": folder.path])
    }
    #expect(result.status == 1)
    #expect(
      result.standardError
        == "ulb: error: libbcc 0.18.0 is too old: 0.25.0 or newer is needed; install a newer libbpfcc"
    )
    #expect(try Interface("one", in: wire.namespace).xdpProgram() == nil)
  }
}
