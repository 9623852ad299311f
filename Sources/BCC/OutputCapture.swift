// libbcc has no error string: it prints to descriptors 1 and 2. This catches what it prints.
import CBCC
import Glibc

/// Runs `body` with standard output and standard error led into memory, and returns what was
/// printed there, in its order.
///
/// The descriptors are the whole process's: no other thread may write to them meanwhile.
func capturingOutput<Result>(_ body: () -> Result) throws(BCCError) -> (
  result: Result, output: String
) {
  let memory = memfd_create("ulb-output", MFD_CLOEXEC)
  guard memory >= 0 else { throw .system(operation: "capture libbcc's output", errno: errno) }
  defer { close(memory) }
  // What waits in stdio's buffers goes where it belongs.
  fflush(nil)
  let saved: [(original: Int32, copy: Int32)] = [1, 2].map {
    ($0, fcntl($0, F_DUPFD_CLOEXEC, 3))
  }
  defer {
    for (original, copy) in saved {
      // A descriptor that was not open is not to be open afterwards.
      if copy >= 0 { dup2(copy, original) } else { close(original) }
      close(copy)
    }
  }
  for (original, copy) in saved {
    guard copy >= 0 || errno == EBADF, dup2(memory, original) == original else {
      throw .system(operation: "capture libbcc's output", errno: errno)
    }
  }
  let result = body()
  fflush(nil)
  return (result, contents(of: memory))
}

private func contents(of descriptor: Int32) -> String {
  var status = stat()
  guard fstat(descriptor, &status) == 0, status.st_size > 0 else { return "" }
  let bytes = [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
    count = max(0, pread(descriptor, buffer.baseAddress, buffer.count, 0))
  }
  return String(decoding: bytes, as: UTF8.self)
}
