// What most tests here start from: a network, real servers that say who they are, and ulb in front.
import Foundation
import LoadBalancing
import TestSupport
import Testing

/// Real servers behind a running ulb. They are called srv1, srv2 and so on.
final class BalancedService {
  static let port = Network.port

  let network: Network
  let configFile: ConfigFile?
  let daemon: Daemon

  var family: AddressFamily { network.family }
  var topology: Topology { network.topology }
  var servers: [UDPEchoServer] { network.servers }

  /// - Parameters:
  ///   - servers: how many real servers there are.
  ///   - listed: those that ulb is told of, by number from 0; all if nil.
  ///   - usingFile: whether ulb is told in a config file, else on its command line.
  ///   - options: ulb's further options.
  init(
    _ family: AddressFamily = .ipv4, servers count: Int = 3, listed: [Int]? = nil,
    usingFile: Bool = false, options: [String] = [], checksum: Bool = true
  ) throws {
    network = try Network(Topology(realServers: count), family, checksum: checksum)
    let addresses = network.addresses(listed ?? Array(0..<count))
    configFile = usingFile ? try ConfigFile(addresses) : nil
    daemon = try Daemon.start(
      Self.arguments(family, servers: addresses, file: configFile) + options,
      in: network.topology.director)
  }

  /// ulb's command line for the network's director.
  static func arguments(
    _ family: AddressFamily, servers: [String], file: ConfigFile? = nil,
    ports: [UInt16] = [BalancedService.port]
  ) -> [String] {
    let real = file.map { ["-cfg", $0.path] } ?? ["-rs"] + servers
    return ["lb0", "-vs", Topology.virtualServer(family)] + real + ["-p"] + ports.map(String.init)
  }

  var virtualServer: Endpoint { network.virtualServer }

  func address(ofServer number: Int) -> String { Topology.realServer(number, family) }

  func newClient(checksum: Bool = true) throws -> UDPSocket {
    try network.newClient(checksum: checksum)
  }

  /// Sends a datagram to the virtual server and says who answered.
  /// - Returns: the real server's name; nil if there was no answer or not the virtual server's.
  func server(
    answering client: UDPSocket, to payload: String = UUID().uuidString,
    timeout: Duration = .seconds(10)
  ) throws -> String? {
    let answer = try client.exchange(payload, with: virtualServer, timeout: timeout)
    guard let answer, answer.source == virtualServer, answer.payload.hasSuffix(":" + payload) else {
      return nil
    }
    return String(answer.payload.dropLast(payload.utf8.count + 1))
  }

  /// Where this many new clients are sent, in their order.
  func serversOfNewClients(_ count: Int) throws -> [String?] {
    try (0..<count).map { _ in try server(answering: newClient()) }
  }
}

/// A config file of real servers.
final class ConfigFile {
  private let directory: TemporaryDirectory
  let path: String

  init(_ addresses: [String]) throws {
    directory = try TemporaryDirectory()
    path = directory.path(of: "servers.cfg")
    try replace(with: addresses)
  }

  static func text(_ addresses: [String]) -> String {
    (["[Real Servers]"] + addresses).joined(separator: "\n") + "\n"
  }

  /// Puts a whole new file in the place of whatever is there.
  func replace(with addresses: [String]) throws {
    try replace(withText: Self.text(addresses))
  }

  func replace(withText text: String) throws {
    try replace(withBytes: Data(text.utf8))
  }

  func replace(withBytes bytes: Data) throws {
    let new = directory.path(of: "new")
    try bytes.write(to: URL(fileURLWithPath: new))
    try replace(withItemAt: new)
  }

  /// Puts a file, directory, link or FIFO in the file's place.
  func replace(withItemAt new: String) throws {
    // rename(2) puts a file over a file at once, but neither over a directory nor a directory over it.
    if isDirectory(path) || isDirectory(new) { try? remove() }
    guard rename(new, path) == 0 else { throw SystemError("rename to \(path)") }
  }

  private func isDirectory(_ path: String) -> Bool {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    return attributes?[.type] as? FileAttributeType == .typeDirectory
  }

  /// Another name in the same directory.
  func sibling(_ name: String) -> String { directory.path(of: name) }

  func remove() throws { try FileManager.default.removeItem(atPath: path) }
}
