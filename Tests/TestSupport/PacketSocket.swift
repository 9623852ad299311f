// Frames as somebody on a link writes them, whatever they claim to be.
import Foundation

/// Sends whole frames out of an interface (packet(7)).
public final class PacketSocket: Sendable {
  private let descriptor: Int32

  public init(_ interface: Interface) throws {
    let (family, name) = (Int32(17), interface.name)
    descriptor = try interface.namespace.run {
      let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
      // No protocol: it hears nothing.
      let descriptor = try check(socket(family, type, 0), "packet socket")
      // struct sockaddr_ll, of which only family and interface are asked for.
      var address = [UInt8](repeating: 0, count: 20)
      withUnsafeBytes(of: UInt16(family)) { address.replaceSubrange(0..<2, with: $0) }
      withUnsafeBytes(of: if_nametoindex(name)) { address.replaceSubrange(4..<8, with: $0) }
      try address.withUnsafeBytes { address in
        _ = try check(
          bind(descriptor, address.assumingMemoryBound(to: sockaddr.self).baseAddress!, 20),
          "bind to \(name)")
      }
      return descriptor
    }
  }

  deinit { close(descriptor) }

  public func send(_ frame: [UInt8]) throws {
    try check(Int32(write(descriptor, frame, frame.count)), "send a frame")
  }
}
