// Reads the vectors: what ulb.py was seen to make of command lines and config files.

import Foundation
import Testing

enum Vectors {
  /// Reads the vectors' keys (`max_ports`) as Swift's (`maxPorts`).
  static func decode<Value: Decodable>(_ type: Value.Type, _ data: Data) throws -> Value {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(type, from: data)
  }

  static func data(_ name: String) throws -> Data {
    let url = try #require(Bundle.module.url(forResource: "vectors/\(name)", withExtension: nil))
    return try Data(contentsOf: url)
  }

  static func bytes(_ name: String) throws -> [UInt8] { [UInt8](try data(name)) }
}

struct CommandLineVector: Decodable, Sendable, CustomTestStringConvertible {
  struct Configuration: Decodable, Equatable, Sendable {
    let ifnet: String
    let virtualServer: String
    let realServers: [String]
    let configFile: String?
    let ports: [Int]
    let debug: Int
    let loglevel: String
    let maxPorts: UInt32
    let maxRealservers: UInt32
    let maxAssociations: UInt32
  }

  let argv: [String]
  let exit: Int32
  let configuration: Configuration?
  let error: String?
  let help: Bool?

  var testDescription: String { argv.joined(separator: " ") }

  static let all: [CommandLineVector] = try! Vectors.decode(
    [CommandLineVector].self, Vectors.data("command-line.json"))
}

struct ConfigFileVector: Decodable, Sendable, CustomTestStringConvertible {
  let name: String
  let text: String
  let realServers: [String]?
  let refused: String?

  var testDescription: String { name }

  static let all: [ConfigFileVector] = try! Vectors.decode(
    [ConfigFileVector].self, Vectors.data("config-file.json"))
}

/// A config file with virtual servers, behind `-vs 10.60.0.10 -p 5683`: what --check prints of it
/// beyond ulb.py's keys and what is warned of, or why it is refused.
struct VirtualServerVector: Decodable, Sendable, CustomTestStringConvertible {
  struct RealServer: Decodable, Equatable, Sendable {
    let address: String
    let weight: Int
    let state: String
  }

  struct VirtualServer: Decodable, Equatable, Sendable {
    let name: String
    let address: String
    let ports: [Int]
    let scheduler: String
    let realServers: [RealServer]
  }

  struct Check: Decodable, Equatable, Sendable {
    let scheduler: String?
    let realServerSettings: [RealServer]?
    let virtualServers: [VirtualServer]?
  }

  let name: String
  let text: String
  let check: Check?
  let warnings: [String]?
  /// Where the fault is; `nil` where it has no place.
  let line: Int?
  let refused: String?

  var testDescription: String { name }

  static let all: [VirtualServerVector] = try! Vectors.decode(
    [VirtualServerVector].self, Vectors.data("virtual-servers.json"))
}
