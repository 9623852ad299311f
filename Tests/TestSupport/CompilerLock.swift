// libbcc compiles with the whole process's working directory, environment and descriptors 1 and 2 in
// its hands: only one test at a time may let it.
import Foundation

/// Does work that compiles, while no other test of this process does, and while nobody prints
/// through stdio: what is caught is the compiler's own then.
public func compiling<Result>(_ body: () throws -> Result) throws -> Result {
  // A lock between descriptors, not threads: test targets share no variable. The file is this
  // process's own, so that several lanes of tests compile side by side.
  let descriptor = try check(open("/proc/self/comm", O_RDONLY | O_CLOEXEC), "open /proc/self/comm")
  defer { close(descriptor) }
  while flock(descriptor, LOCK_EX) != 0 {
    guard errno == EINTR else { throw SystemError("lock /proc/self/comm") }
  }
  let (output, errors) = (try stream("stdout"), try stream("stderr"))
  flockfile(output)
  flockfile(errors)
  defer {
    funlockfile(errors)
    funlockfile(output)
  }
  return try body()
}

/// C's own variables, which Swift takes for shared mutable state.
private func stream(_ name: String) throws -> UnsafeMutablePointer<FILE> {
  guard let variable = dlsym(nil, name),
    let stream = variable.load(as: UnsafeMutablePointer<FILE>?.self)
  else { throw SystemError("find \(name)", code: ENOENT) }
  return stream
}
