// What libbcc forgets to close: the tables that a failed compilation had created before it failed.
import Glibc
import SystemPackage

/// The BPF maps that the process has open, by number; empty where that cannot be seen.
struct OpenTables {
  private let numbers: Set<Int32>

  init() {
    var numbers: Set<Int32> = []
    if let directory = opendir("/proc/self/fd") {
      defer { closedir(directory) }
      while let entry = readdir(directory) {
        let name = String(nameOf: entry)
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
