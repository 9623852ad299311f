// What the packet path is compiled by and runs in, for who reports a fault.
import BCC
import Glibc

public enum Platform {
  /// The release of the running kernel, as uname(2) has it.
  public static var kernelRelease: String {
    var names = utsname()
    uname(&names)
    return String(cArray: names.release)
  }

  /// `libbcc 0.26.0, Linux 6.1.0-18-amd64`. Where the loaded libbcc does not tell its version, that which
  /// ulb was compiled against.
  public static var description: String {
    "libbcc \(LibraryVersion.loaded ?? .compiled), Linux \(kernelRelease)"
  }
}
