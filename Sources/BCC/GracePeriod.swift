// How user space waits until every packet under way is through.
import CBCC
import Glibc
import SystemPackage

/// The time until all programs have returned that were running when it began: whatever was to be
/// seen in a table before, all that run after it see.
public enum GracePeriod {
  /// Waits for one to pass; some ten milliseconds.
  ///
  /// The kernel has no call for this purpose, but one that does it: membarrier(2) with
  /// MEMBARRIER_CMD_GLOBAL waits for a grace period of RCU, as whose readers programs run. With a
  /// single CPU it returns at once, and no program is under way then: it would have that CPU. The
  /// kernel refuses it where some CPUs have no tick (nohz_full): it cannot promise a barrier there.
  /// A program takes microseconds, and its CPU may be taken away by a hypervisor for some
  /// milliseconds, so that a tenth of a second is long enough instead.
  public static func wait() {
    guard wait_for_readers() != 0 else { return }
    var time = timespec(tv_sec: 0, tv_nsec: 100_000_000)
    var rest = timespec()
    while nanosleep(&time, &rest) != 0 && Errno.last == .interrupted { time = rest }
  }
}
