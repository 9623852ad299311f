// The protocol of the association table, through all of whose interleavings spin walks. Knows the model beside it, and no code of ulb.
import Foundation
import TestSupport
import Testing

/// A setting of the model: what is defined for it, beside what it takes by itself.
struct Setting: CustomTestStringConvertible {
  let testDescription: String
  let definitions: [String]

  init(_ description: String, _ definitions: String...) {
    testDescription = description
    self.definitions = definitions
  }
}

/// A fault of the model, what pan reports of it, and a setting in which it shows.
struct Fault: CustomTestStringConvertible {
  let name: String
  let breaks: String
  let definitions: [String]

  init(_ name: String, breaks: String, _ definitions: String...) {
    self.name = name
    self.breaks = breaks
    self.definitions = definitions
  }

  var testDescription: String { name }
}

/// Spin or the C compiler did not do its work, or gave up before all was seen.
struct ModelError: Error, CustomStringConvertible {
  let description: String
}

@Suite struct ProtocolTests {
  static let model = Package.path("Tests/ModelTests/associations.pml")

  static let settings = [
    Setting("two CPUs", "CLIENTS=2"),
    Setting("two CPUs, a full table and strangers", "CLIENTS=2", "STRANGERS=1"),
    Setting("three CPUs", "CPUS=3", "CLIENTS=2"),
    Setting(
      "three CPUs, a full table and strangers",
      "CPUS=3", "CLIENTS=2", "STRANGERS=1", "BUCKET_PLACES=1"),
    Setting("a single bucket, an insertion", "BUCKETS=1", "CLIENTS=2", "INSERT=1"),
    Setting("an insertion", "CLIENTS=2", "INSERT=1"),
    Setting("an insertion, three CPUs", "INSERT=1", "CPUS=3", "BUCKET_PLACES=1"),
    Setting(
      "an insertion, a full table and strangers", "INSERT=1", "STRANGERS=1", "BUCKET_PLACES=1"),
    Setting("clients are forgotten", "CLIENTS=2", "FORGET=1"),
    Setting("clients are forgotten, three CPUs", "FORGET=1", "CPUS=3", "BUCKET_PLACES=1"),
    Setting(
      "clients are forgotten, a full table and strangers",
      "FORGET=1", "STRANGERS=1", "BUCKET_PLACES=1"),
    Setting("the list changes", "CHANGE=1"),
    Setting("the list changes, three CPUs", "CHANGE=1", "CPUS=3", "BUCKET_PLACES=1"),
    Setting(
      "the list changes, a full table and strangers",
      "CHANGE=1", "STRANGERS=1", "BUCKET_PLACES=1"),
    Setting(
      "an insertion while clients are forgotten", "INSERT=1", "FORGET=1", "BUCKET_PLACES=1"),
    Setting(
      "an insertion with a server that leaves",
      "INSERT=1", "INSERTED_SLOT=1", "CHANGE=1", "BUCKET_PLACES=1"),
    Setting("the daemon dies while it inserts", "ENDS=1", "INSERT=1", "CLIENTS=2"),
    Setting("the daemon dies while it forgets clients", "ENDS=1", "FORGET=1", "CLIENTS=2"),
    Setting("the daemon dies while the list changes", "ENDS=1", "CHANGE=1"),
  ]

  static let faults = [
    Fault("NO_LOCK", breaks: "client_stands_once"),
    Fault("SENDS_UNPLACED", breaks: "one_server"),
    Fault("WORDS_ALIKE", breaks: "client_stands_once", "INSERT=1"),
    Fault("SWAPPED_UNSEEN", breaks: "association_is_kept", "INSERT=1"),
    Fault("LIST_ASKED_ONCE", breaks: "association_is_kept", "CHANGE=1"),
    Fault("WORD_READ_ONCE", breaks: "address_is_its_own", "CHANGE=1"),
    Fault("WAITS_FOR_DAEMON", breaks: "invalid end state", "INSERT=1", "ENDS=1"),
    Fault("ONE_PHASE", breaks: "client_stands_once", "INSERT=1"),
    Fault("NO_GRACE_PERIOD", breaks: "client_stands_once", "INSERT=1"),
    Fault("NO_SECOND_LOOK", breaks: "client_stands_once", "INSERT=1"),
    Fault(
      "SLOT_CHOSEN_BEFORE", breaks: "address_is_its_own",
      "INSERT=1", "INSERTED_SLOT=1", "CHANGE=1", "BUCKET_PLACES=1"),
    Fault("REUSED_WITHOUT_GRACE", breaks: "address_is_its_own", "CHANGE=1"),
    Fault("REUSED_WITHOUT_SWEEP", breaks: "address_is_its_own", "CHANGE=1"),
    Fault("BANK_WRITTEN_AT_ONCE", breaks: "address_is_its_own", "CHANGE=1"),
    Fault("FORGOTTEN_BY_STORE", breaks: "nothing_is_lost", "FORGET=1"),
  ]

  @Test(arguments: settings) func everythingHolds(in setting: Setting) throws {
    #expect(
      try Self.firstBroken(with: setting.definitions) == nil,
      "with \(setting.definitions.map { "-D" + $0 }.joined(separator: " "))")
  }

  @Test(arguments: faults) func isFound(_ fault: Fault) throws {
    let broken = try Self.firstBroken(with: fault.definitions + ["FAULT=\(fault.name)"])
    #expect(broken?.contains(fault.breaks) == true, "\(broken ?? "nothing breaks")")
  }

  @Test func everyFaultOfTheModelIsTried() throws {
    let source = try String(contentsOfFile: Self.model, encoding: .utf8)
    let defined = source.matches(of: /#define ([A-Z_]+)\s+[0-9]+ \/\*/).map { String($0.output.1) }
    #expect(Set(defined) == Set(Self.faults.map(\.name)))
  }

  /// Walks through all interleavings, up to the first step that breaks a property.
  /// - Returns: what pan, the program that spin makes of the model, says of that; nil where all hold.
  private static func firstBroken(with definitions: [String]) throws -> String? {
    let folder = try TemporaryDirectory()
    try run(["spin", "-a"] + definitions.map { "-D" + $0 } + [model], in: folder)
    // No more memory than 1 GiB. A state has less than 128 octets.
    try run(
      ["cc", "-O1", "-w", "-DSAFETY", "-DNOCLAIM", "-DVECTORSZ=128", "-DMEMLIM=1024"]
        + ["-o", "pan", "pan.c"], in: folder)
    let lines = try run(["./pan", "-m1000000", "-w22"], in: folder)
    if let broken = lines.first(where: { $0.hasPrefix("pan:1: ") }) { return broken }
    let isComplete =
      lines.contains { $0.hasSuffix("errors: 0") }
      && !lines.contains { $0.contains("not completed") || $0.contains("too small") }
    guard isComplete else { throw ModelError(description: lines.joined(separator: "\n")) }
    return nil
  }

  /// Runs a program to its successful end.
  /// - Returns: the lines that it wrote.
  @discardableResult
  private static func run(_ arguments: [String], in folder: TemporaryDirectory) throws -> [String] {
    let child = try ChildProcess(["env", "--chdir=\(folder.path)"] + arguments)
    let status = try child.waitForExit(timeout: patience * 5)
    if status == 127 {
      throw ModelError(description: "\(arguments[0]) is not there: run scripts/setup test")
    }
    guard status == 0 else {
      throw ModelError(
        description: "\(arguments.joined(separator: " ")): status \(status)\n\(child.transcript)")
    }
    return child.lines.map(\.text)
  }
}
