// What is left to see where the compiler ends the process.
import BCC
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

/// LLVM exits where a program wants more of the stack than the kernel gives it.
@Test func theCompilersLastWordsAreTold() async throws {
  let result = await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) {
    let source = """
      int large(struct xdp_md *context)
      {
      \tvolatile char octets[600];

      \tfor (int i = 0; i < 600; i++)
      \t\toctets[i] = i;
      \treturn octets[context->rx_queue_index & 511];
      }
      """
    let headers = try KernelHeaderTree(.own)
    _ = try Module(source: source, compilerFlags: headers.compilerFlags)
  }
  let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
  #expect(text.contains("error: libbcc's compiler ended the process: "))
  #expect(text.contains("BPF stack limit of 512 bytes is exceeded"))
}
