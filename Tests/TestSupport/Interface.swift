// What `ip` says of one interface: addresses of hardware, and the XDP program that it carries.
import Foundation

/// An interface of a namespace, by name.
public struct Interface: Sendable {
  public let name: String
  public let namespace: NetworkNamespace

  public init(_ name: String, in namespace: NetworkNamespace) {
    self.name = name
    self.namespace = namespace
  }

  /// An XDP program as the kernel lists it.
  public struct XDPProgram: Sendable, Equatable {
    public let id: Int
    /// Whether the kernel's generic code runs it, not the driver's.
    public let isGeneric: Bool
  }

  /// The XDP program that is attached, if any.
  public func xdpProgram() throws -> XDPProgram? {
    guard let xdp = try description()["xdp"] as? [String: Any],
      let mode = xdp["mode"] as? Int, let program = xdp["prog"] as? [String: Any],
      let id = program["id"] as? Int
    else { return nil }
    return XDPProgram(id: id, isGeneric: mode == 2)
  }

  /// Six bytes in hexadecimal with colons, in lower case.
  public func hardwareAddress() throws -> String {
    guard let address = try description()["address"] as? String else {
      throw ProgramFailed(description: "ip shows no address of \(name)")
    }
    return address
  }

  private func description() throws -> [String: Any] {
    let output = try runSuccessfully(
      ["ip", "-n", namespace.name, "-json", "-details", "link", "show", "dev", name])
    let links =
      try JSONSerialization.jsonObject(with: Data(output.joined().utf8)) as? [[String: Any]]
    guard let link = links?.first else {
      throw ProgramFailed(description: "ip shows no \(name): \(output)")
    }
    return link
  }

  /// Attaches an XDP program that is not ulb's and passes everything.
  public func attachPassProgram() throws {
    try runSuccessfully([Package.path("scripts/xdp-pass"), name], in: namespace)
  }

  public func detachXDPProgram() throws {
    try runSuccessfully(["ip", "link", "set", "dev", name, "xdp", "off"], in: namespace)
  }

  /// Removes the interface, and the other end of its wire with it.
  public func remove() throws {
    try runSuccessfully(["ip", "link", "delete", "dev", name], in: namespace)
  }
}
