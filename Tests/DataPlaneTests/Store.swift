// What a service manager does for a daemon: keeps its descriptors, and hands them to the next one.
import Foundation
import LoadBalancing
import SystemPackage
import TestSupport

@testable import DataPlane

/// A descriptor store in this process.
final class Store: ObjectStore {
  private var entries: [(name: String, descriptor: FileDescriptor)] = []

  /// The names of what is kept, sorted.
  var names: [String] { entries.map(\.name).sorted() }

  func keep(_ object: any KernelObject, as name: String) {
    entries.append((name, object.withDescriptor(Self.duplicate)))
  }

  /// Done whenever something is let go of, which is when another program has taken its place.
  var onForget: (() -> Void)?
  /// How often it was.
  private(set) var forgotten = 0

  func forget(_ name: String) {
    if let onForget {
      forgotten += 1
      onForget()
    }
    for entry in entries where entry.name == name { try? entry.descriptor.close() }
    entries.removeAll { $0.name == name }
  }

  func settle() {}

  private static func duplicate(_ file: FileDescriptor) -> FileDescriptor {
    FileDescriptor(rawValue: fcntl(file.rawValue, F_DUPFD_CLOEXEC, 3))
  }

  /// Which link is kept, by the kernel's number of it.
  var link: UInt32? {
    for entry in entries where entry.name.hasPrefix("link") {
      return BPFObjects.link(of: entry.descriptor.rawValue)
    }
    return nil
  }

  func rename(_ name: String, to other: String) {
    for index in entries.indices where entries[index].name == name { entries[index].name = other }
  }

  deinit { for entry in entries { try? entry.descriptor.close() } }

  /// What the next process gets.
  func kept() -> KeptObjects {
    KeptObjects(entries.map { ($0.name, Self.duplicate($0.descriptor)) })
  }

  /// What the operator is told, and how far the start is.
  private(set) var reports: [String] = []
  var progress: [String] = []

  /// The next process, compiled and filled, before it takes the place of the one before.
  func handover(_ configuration: Configuration) throws -> Handover {
    try compiling {
      try Handover(
        configuration, from: kept(), store: self, report: { [unowned self] in reports.append($0) },
        warn: { [unowned self] in reports.append("WARNING: \($0)") },
        progress: { [unowned self] in progress.append($0) })
    }
  }

  /// Starts a daemon's data plane as the next process does; the one before has ended.
  func start(_ configuration: Configuration) throws -> DataPlane {
    reports = []
    let handover = try handover(configuration)
    try handover.commit()
    return handover.dataPlane
  }
}
