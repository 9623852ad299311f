// Programs on interfaces: attached, refused, replaced, let go.
import BCC
import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Links", .serialized)
struct LinkTests {
  @Test("attached while the link is held", arguments: [XDPMode.native, .generic])
  func attached(mode: XDPMode) throws {
    let wire = try Wire()
    let program = try passProgram()
    let id = try program.info().id
    try wire.run {
      let index = if_nametoindex("one")
      #expect(try XDPAttachment.current(interfaceIndex: index) == nil)
      do {
        let link = try Link(program: program, interfaceIndex: index, mode: mode)
        let current = try #require(try XDPAttachment.current(interfaceIndex: index))
        #expect(current.programID == id && current.mode == mode)
        #expect(try link.interfaceIndex() == index)
        #expect(try link.programID() == id)
        // A second one is refused, whoever it is.
        #expect(throws: BCCError.system(operation: "attach the XDP program", errno: EBUSY)) {
          try Link(program: program, interfaceIndex: index, mode: mode)
        }
      }
      #expect(try XDPAttachment.current(interfaceIndex: index) == nil)
    }
  }

  @Test("the program is swapped")
  func swapped() throws {
    let wire = try Wire()
    let (first, second) = (try passProgram(), try passProgram())
    try wire.run {
      let index = if_nametoindex("one")
      let link = try Link(program: first, interfaceIndex: index, mode: .native)
      try link.update(to: second)
      let expected = try second.info().id
      #expect(try link.programID() == expected)
      #expect(try XDPAttachment.current(interfaceIndex: index)?.programID == expected)
    }
  }

  @Test("a kept link keeps the program attached")
  func adopted() throws {
    let wire = try Wire()
    let program = try passProgram()
    try wire.run {
      let index = if_nametoindex("one")
      var link: Link? = try Link(program: program, interfaceIndex: index, mode: .native)
      let copy = link!.withDescriptor { dup($0) }
      link = nil
      #expect(try XDPAttachment.current(interfaceIndex: index) != nil)
      var kept: Link? = try Link(adopting: copy)
      #expect(try kept?.interfaceIndex() == index)
      kept = nil
      #expect(try XDPAttachment.current(interfaceIndex: index) == nil)
      #expect(throws: BCCError.self) {
        try Link(adopting: open("/dev/null", O_RDONLY | O_CLOEXEC))
      }
    }
  }

  @Test("an interface that goes away")
  func gone() throws {
    let wire = try Wire()
    let program = try passProgram()
    let link = try wire.run {
      try Link(program: program, interfaceIndex: if_nametoindex("one"), mode: .native)
    }
    try wire.ip(["link", "delete", "dev", "one"])
    #expect(try link.interfaceIndex() == 0)
  }

  @Test("no such interface, and one that knows no native mode")
  func refused() throws {
    let wire = try Wire()
    let program = try passProgram()
    try wire.run {
      #expect(throws: BCCError.system(operation: "attach the XDP program", errno: EINVAL)) {
        try Link(program: program, interfaceIndex: 54321, mode: .native)
      }
      #expect {
        try Attachment(program, to: "three", mode: .auto, replace: false)
      } throws: {
        "\($0)" == "no such network interface: 'three'; see 'ip link' for their names"
      }
      // The loopback interface has no native mode: refused, and generic where the choice is ours.
      #expect {
        try Attachment(program, to: "lo", mode: .native, replace: false)
      } throws: { error in
        guard case DataPlaneError.unsupportedMode("lo", "native", _) = error else { return false }
        return "\(error)".hasSuffix("; use --mode auto")
      }
      for (interface, wanted, actual) in [
        ("lo", AttachMode.auto, XDPMode.generic), ("one", .auto, .native),
        ("one", .generic, .generic), ("one", .native, .native),
      ] {
        let attachment = try Attachment(program, to: interface, mode: wanted, replace: false)
        #expect(attachment.mode == actual)
      }
    }
  }

  @Test("another's program is replaced only if told to", arguments: [true, false])
  func replaced(byLink: Bool) throws {
    let wire = try Wire()
    let (other, program) = (try passProgram(), try passProgram())
    var held: Link?
    if byLink {
      held = try wire.run {
        try Link(program: other, interfaceIndex: if_nametoindex("one"), mode: .native)
      }
    } else {
      try Interface("one", in: wire.namespace).attachPassProgram()
    }
    try wire.run {
      let index = if_nametoindex("one")
      let before = try #require(try XDPAttachment.current(interfaceIndex: index))
      #expect {
        try Attachment(program, to: "one", mode: .auto, replace: false)
      } throws: { error in
        let text = "\(error)"
        return text.hasPrefix("another XDP program is attached to one: '")
          && text.contains("(program id \(before.programID), native mode)")
          && text.hasSuffix("or use --replace to replace it")
      }
      #expect(try XDPAttachment.current(interfaceIndex: index)?.programID == before.programID)
      let own = try program.info().id
      do {
        let attachment = try Attachment(program, to: "one", mode: .auto, replace: true)
        #expect(attachment.replaced?.contains("\(before.programID)") == true)
        #expect(try XDPAttachment.current(interfaceIndex: index)?.programID == own)
      }
      #expect(try XDPAttachment.current(interfaceIndex: index) == nil)
    }
    _ = held
  }
}
