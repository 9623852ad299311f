// What a service manager does for a daemon: keeps its descriptors, and hands them to the next one.
import Foundation
import LoadBalancing
import TestSupport

@testable import DataPlane

/// A descriptor store in this process.
final class Store: ObjectStore {
  private var entries: [(name: String, descriptor: Int32)] = []

  /// The names of what is kept, sorted.
  var names: [String] { entries.map(\.name).sorted() }

  func keep(_ object: any KernelObject, as name: String) {
    entries.append((name, object.withDescriptor { fcntl($0, F_DUPFD_CLOEXEC, 3) }))
  }

  func forget(_ name: String) {
    for entry in entries where entry.name == name { close(entry.descriptor) }
    entries.removeAll { $0.name == name }
  }

  func settle() {}

  /// Which link is kept, by the kernel's number of it.
  var link: UInt32? {
    for entry in entries where entry.name.hasPrefix("link") {
      return BPFObjects.link(of: entry.descriptor)
    }
    return nil
  }

  func rename(_ name: String, to other: String) {
    for index in entries.indices where entries[index].name == name { entries[index].name = other }
  }

  deinit { for entry in entries { close(entry.descriptor) } }

  /// What the next process gets.
  func kept() -> KeptObjects {
    KeptObjects(entries.map { ($0.name, fcntl($0.descriptor, F_DUPFD_CLOEXEC, 3)) })
  }

  /// Starts a daemon's data plane as the next process does; the one before has ended.
  ///
  /// - Parameter reports: what the operator is told.
  func start(_ configuration: Configuration, reports: inout [String]) throws -> DataPlane {
    var lines: [String] = []
    defer { reports += lines }
    let handover = try compiling {
      try Handover(
        configuration, from: kept(), store: self, report: { lines.append($0) },
        warn: { lines.append("WARNING: \($0)") }, progress: { _ in })
    }
    try handover.commit()
    return handover.dataPlane
  }

  func start(_ configuration: Configuration) throws -> DataPlane {
    var reports: [String] = []
    return try start(configuration, reports: &reports)
  }
}
