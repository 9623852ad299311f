// Whether the journal reads a descriptor, and what its lines begin with.

import SystemPackage
import Testing

@testable import Systemd

@Suite struct JournalTests {
  private func reads(_ descriptor: FileDescriptor, _ stream: String?) -> Bool {
    Journal.reads(descriptor) { $0 == "JOURNAL_STREAM" ? stream : nil }
  }

  @Test func theJournalReadsWhatTheVariableNames() throws {
    let file = try newFile()
    let other = try newFile()
    defer { closeAll([file, other]) }
    let identity = try FileIdentity(file)
    let stream = "\(identity.device):\(identity.inode)"
    #expect(reads(file, stream))
    #expect(!reads(other, stream))
    #expect(!reads(FileDescriptor(rawValue: -1), stream))
    for wrong in [
      nil, "", ":", "\(identity.device)", "\(identity.device):", ":\(identity.inode)",
      "\(stream):1", " \(stream)", "\(identity.device):-1",
      "\(identity.device + 1):\(identity.inode)",
    ] {
      #expect(!reads(file, wrong), "\(wrong ?? "unset")")
    }
  }

  @Test func eachLineBeginsWithItsPriority() {
    #expect(Journal.marked("one", .error) == "<3>one")
    #expect(Journal.marked("one\n two\n", .debug) == "<7>one\n<7> two\n<7>")
    #expect(Journal.Priority.allCases.map(\.prefix) == ["<2>", "<3>", "<4>", "<5>", "<6>", "<7>"])
  }
}
