// libbcc has no error string: it prints to descriptors 1 and 2. This catches what it prints.
import CBCC
import Glibc
import SystemPackage

/// Runs `body` with standard output and standard error led into memory, and returns what was
/// printed there, in its order.
///
/// The descriptors are the whole process's: no other thread may write to them meanwhile.
func capturingOutput<Result>(_ body: () -> Result) throws(BCCError) -> (
  result: Result, output: String
) {
  let memory = memfd_create("ulb-output", MFD_CLOEXEC)
  guard memory >= 0 else { throw .system(operation: "capture libbcc's output", errno: .last) }
  defer { close(memory) }
  // What waits in stdio's buffers goes where it belongs.
  fflush(nil)
  let saved = try savedOutputs()
  defer {
    for (original, copy) in saved {
      // A descriptor that was not open is not to be open afterwards.
      if copy >= 0 { dup2(copy, original) } else { close(original) }
      close(copy)
    }
  }
  for (original, _) in saved where dup2(memory, original) != original {
    throw .system(operation: "capture libbcc's output", errno: .last)
  }
  _ = tellingAtExit
  captured = (memory, saved[1].copy)
  defer { captured = nil }
  let result = body()
  fflush(nil)
  return (result, contents(of: memory))
}

/// What output is captured in, and where standard error was before, while it is.
private nonisolated(unsafe) var captured: (memory: Int32, standardError: Int32)?

/// LLVM ends the process, with status 1, where it can make no program of a source that clang has taken:
/// where that wants more of the stack than there is, for one. Then what it has said is told where standard
/// error was.
private let tellingAtExit: Void = {
  atexit {
    guard let (memory, standardError) = captured else { return }
    fflush(nil)
    let lines = contents(of: memory).split(separator: "\n")
    let text = "error: libbcc's compiler ended the process: \(lines.joined(separator: "; "))\n"
    _ = text.withCString { write(standardError, $0, strlen($0)) }
  }
}()

/// Copies of standard output and standard error; -1 for one that is not open.
private func savedOutputs() throws(BCCError) -> [(original: Int32, copy: Int32)] {
  var saved: [(original: Int32, copy: Int32)] = []
  for original: Int32 in [1, 2] {
    let copy = fcntl(original, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 || Errno.last == .badFileDescriptor else {
      let error = Errno.last
      for (_, copy) in saved where copy >= 0 { close(copy) }
      throw .system(operation: "capture libbcc's output", errno: error)
    }
    saved.append((original, copy))
  }
  return saved
}

private func contents(of descriptor: Int32) -> String {
  var status = stat()
  guard fstat(descriptor, &status) == 0, status.st_size > 0 else { return "" }
  let bytes = [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
    count = max(0, pread(descriptor, buffer.baseAddress, buffer.count, 0))
  }
  return String(decoding: bytes, as: UTF8.self)
}
