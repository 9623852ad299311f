// A number of places, and who has one.
import Synchronization

/// Places that are taken and given back.
final class Places: Sendable {
  private let free: Mutex<Int>

  init(_ count: Int) { free = Mutex(count) }

  /// A place; given back with its last owner.
  final class Place: Sendable {
    private let places: Places

    fileprivate init(_ places: Places) { self.places = places }

    deinit { places.free.withLock { $0 += 1 } }
  }

  /// - Returns: `nil` where none is free.
  func take() -> Place? {
    let isTaken = free.withLock { free in
      guard free > 0 else { return false }
      free -= 1
      return true
    }
    return isTaken ? Place(self) : nil
  }
}
