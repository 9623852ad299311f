// That libbcc does not read the kernel's symbols.
import Foundation
import Testing

@testable import BCC

@Suite("Symbols of the kernel")
struct KernelSymbolTests {
  /// As libbcc asks itself with each compilation (bcc_syms.h).
  @Test("libbcc knows none, though there are some")
  func unknown() throws {
    let file = try #require(FileHandle(forReadingAtPath: "/proc/kallsyms"))
    let symbols = String(decoding: file.readDataToEndOfFile(), as: UTF8.self)
    try #require(symbols.contains(" schedule\n"), "there is no such symbol")
    typealias Make = @convention(c) (CInt, UnsafeRawPointer?) -> UnsafeMutableRawPointer?
    typealias Resolve =
      @convention(c) (
        UnsafeMutableRawPointer?, UnsafePointer<CChar>?, UnsafePointer<CChar>?,
        UnsafeMutablePointer<UInt64>?
      ) -> CInt
    typealias Free = @convention(c) (UnsafeMutableRawPointer?, CInt) -> Void
    func function<Function>(_ name: String, _ type: Function.Type) throws -> Function {
      unsafeBitCast(try #require(dlsym(nil, name)), to: type)
    }
    let kernel: CInt = -1
    let cache = try #require(try function("bcc_symcache_new", Make.self)(kernel, nil))
    defer { try? function("bcc_free_symcache", Free.self)(cache, kernel) }
    var address: UInt64 = 0
    let resolve = try function("bcc_symcache_resolve_name", Resolve.self)
    #expect(resolve(cache, nil, "schedule", &address) == -1)
    #expect(address == 0)
  }
}
