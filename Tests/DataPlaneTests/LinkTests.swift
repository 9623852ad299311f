// Programs on interfaces: attached, refused, replaced, let go.
import BCC
import Foundation
import LoadBalancing
import SystemPackage
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
        #expect(throws: BCCError.system(operation: "attach the XDP program", errno: .resourceBusy))
        {
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
      let copy = try link!.withDescriptor { try $0.duplicate() }
      link = nil
      #expect(try XDPAttachment.current(interfaceIndex: index) != nil)
      var kept: Link? = try Link(adopting: copy)
      #expect(try kept?.interfaceIndex() == index)
      kept = nil
      #expect(try XDPAttachment.current(interfaceIndex: index) == nil)
      #expect(throws: BCCError.self) {
        try Link(adopting: FileDescriptor.open("/dev/null", .readOnly))
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
      #expect(throws: BCCError.system(operation: "attach the XDP program", errno: .invalidArgument))
      {
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

  @Test("an interface by each of its names")
  func names() throws {
    let wire = try Wire()
    let long = String(repeating: "uplink-of-the-director-", count: 5) + "to-wan"
    try wire.ip(["link", "property", "add", "dev", "one", "altname", "wan"])
    try wire.ip(["link", "property", "add", "dev", "one", "altname", long])
    try wire.run {
      let index = if_nametoindex("one")
      for name in ["one", "wan", long] {
        #expect(try Attachment.index(of: name) == index)
      }
      #expect(try Attachment.index(of: "lo") == 1)
      let absent = [
        "", "two2", "eth0.100", long + "x", String(repeating: "n", count: 15),
        String(repeating: "n", count: 200), String(repeating: "n", count: 200_000),
      ]
      for name in absent {
        #expect {
          try Attachment.index(of: name)
        } throws: { error in
          guard case DataPlaneError.noSuchInterface = error else { return false }
          return true
        }
      }
      let program = try passProgram()
      let attachment = try Attachment(program, to: long, mode: .auto, replace: false)
      #expect(attachment.interfaceIndex == index)
    }
  }

  @Test("an interface without Ethernet frames is refused before anything is compiled")
  func noEthernet() throws {
    let wire = try Wire()
    try wire.ip(["tuntap", "add", "dev", "tunnel", "mode", "tun"])
    try wire.ip(["tuntap", "add", "dev", "tap", "mode", "tap"])
    try wire.run {
      #expect(try Attachment.index(of: "tap") > 0)
      var configuration = Configuration.sample()
      configuration.interface = "tunnel"
      #expect {
        try Store().start(configuration)
      } throws: {
        "\($0)"
          == "tunnel carries no Ethernet frames (link type 65534), as a tunnel or a modem does "
          + "not; name the Ethernet interface that clients' packets come in on"
      }
      let program = try passProgram()
      #expect(throws: DataPlaneError.self) {
        try Attachment(program, to: "tunnel", mode: .auto, replace: true)
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
