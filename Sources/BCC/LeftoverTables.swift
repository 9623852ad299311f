// What libbcc forgets to close: the tables that a failed compilation had created before it failed.
import Glibc

/// The BPF maps that the process has open, by number; empty where that cannot be seen.
struct OpenTables {
  private let numbers: Set<Int32>

  init() {
    var numbers: Set<Int32> = []
    if let directory = opendir("/proc/self/fd") {
      defer { closedir(directory) }
      while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) {
          String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard let number = Int32(name), Descriptor.isOpen(number, on: .table) else { continue }
        numbers.insert(number)
      }
    }
    self.numbers = numbers
  }

  /// Closes the maps that are open now and were not then.
  func closeNewer() {
    for number in OpenTables().numbers.subtracting(numbers) { close(number) }
  }
}
