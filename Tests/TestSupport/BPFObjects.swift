// The kernel's programs, maps and links, by id, and who holds them: to find what a daemon leaves behind.
import Foundation

/// Kernel objects of bpf(2) by their ids, which the kernel does not soon use again.
public struct BPFObjects: Sendable, Equatable, CustomStringConvertible {
  public var programs: Set<UInt32> = []
  public var maps: Set<UInt32> = []
  public var links: Set<UInt32> = []

  public init() {}

  public var isEmpty: Bool { programs.isEmpty && maps.isEmpty && links.isEmpty }
  public var count: Int { programs.count + maps.count + links.count }

  public var description: String {
    "programs \(programs.sorted()), maps \(maps.sorted()), links \(links.sorted())"
  }

  public func union(_ other: BPFObjects) -> BPFObjects {
    var result = self
    result.programs.formUnion(other.programs)
    result.maps.formUnion(other.maps)
    result.links.formUnion(other.links)
    return result
  }

  public func subtracting(_ other: BPFObjects) -> BPFObjects {
    var result = self
    result.programs.subtract(other.programs)
    result.maps.subtract(other.maps)
    result.links.subtract(other.links)
    return result
  }

  public func intersection(_ other: BPFObjects) -> BPFObjects {
    subtracting(subtracting(other))
  }

  // Commands of bpf(2).
  private static let programNextID = 11
  private static let mapNextID = 12
  private static let programByID = 13
  private static let linkByID = 30
  private static let linkNextID = 31
  private static let informationByDescriptor = 15

  /// All that the kernel has.
  public static func all() throws -> BPFObjects {
    var objects = BPFObjects()
    objects.programs = try ids(programNextID)
    objects.maps = try ids(mapNextID)
    objects.links = try ids(linkNextID)
    return objects
  }

  private static func ids(_ command: Int) throws -> Set<UInt32> {
    var found: Set<UInt32> = []
    // { start_id, next_id, open_flags }
    var attribute = [UInt8](repeating: 0, count: 12)
    while LinuxCalls.bpf(command, &attribute) == 0 {
      let next = attribute.word(at: 4)
      found.insert(next)
      attribute.setWord(next, at: 0)
    }
    let code = errno
    guard code == ENOENT else { throw SystemError("list BPF objects", code: code) }
    return found
  }

  /// What a process holds by its descriptors, and what hangs on that.
  public static func held(by pid: pid_t) -> BPFObjects {
    var objects = BPFObjects()
    let directory = "/proc/\(pid)/fdinfo"
    for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] {
      guard let text = try? String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8) else {
        continue
      }
      for line in text.split(separator: "\n") {
        let field = line.split(separator: ":", maxSplits: 1)
        guard field.count == 2,
          let id = UInt32(field[1].trimmingCharacters(in: .whitespaces))
        else { continue }
        switch field[0] {
        case "prog_id": objects.programs.insert(id)
        case "map_id": objects.maps.insert(id)
        case "link_id": objects.links.insert(id)
        default: break
        }
      }
    }
    for link in objects.links {
      if let program = program(ofLink: link) { objects.programs.insert(program) }
    }
    for program in objects.programs { objects.maps.formUnion(maps(ofProgram: program)) }
    return objects
  }

  /// The id of the link behind a descriptor of this process.
  public static func link(of descriptor: Int32) -> UInt32? {
    let text = try? String(contentsOfFile: "/proc/self/fdinfo/\(descriptor)", encoding: .utf8)
    return text?.firstMatch(of: /link_id:\s*([0-9]+)/).flatMap { UInt32($0.1) }
  }

  /// What no process holds: pinned, or attached without a link. Test networks' own pass programs do
  /// not count.
  public static func orphans() throws -> BPFObjects {
    var objects = try all()
    for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
      if let pid = pid_t(name) { objects = objects.subtracting(held(by: pid)) }
    }
    objects.programs = objects.programs.filter { name(ofProgram: $0) != "xdp_pass" }
    return objects
  }

  private static func program(ofLink id: UInt32) -> UInt32? {
    // struct bpf_link_info { type, id, prog_id, … }
    information(linkByID, id)?.word(at: 8)
  }

  private static func name(ofProgram id: UInt32) -> String? {
    guard let bytes = information(programByID, id) else { return nil }
    return String(decoding: bytes[64..<80].prefix { $0 != 0 }, as: UTF8.self)
  }

  private static func maps(ofProgram id: UInt32) -> Set<UInt32> {
    var ids = [UInt8](repeating: 0, count: 4 * 64)
    return ids.withUnsafeMutableBytes { buffer in
      let room = (address: UInt64(UInt(bitPattern: buffer.baseAddress!)), count: UInt32(64))
      guard let bytes = information(programByID, id, mapIDs: room) else { return [] }
      let count = min(Int(bytes.word(at: 52)), 64)
      return Set((0..<count).map { buffer.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self) })
    }
  }

  /// The first 80 bytes of what the kernel says of an object, or nil if it is gone.
  ///
  /// A `struct bpf_prog_info` has its `nr_map_ids` at byte 52, `map_ids` at 56, `name` at 64.
  private static func information(
    _ command: Int, _ id: UInt32, mapIDs: (address: UInt64, count: UInt32)? = nil
  ) -> [UInt8]? {
    var attribute = [UInt8](repeating: 0, count: 12)
    attribute.setWord(id, at: 0)
    let descriptor = LinuxCalls.bpf(command, &attribute)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 80)
    if let mapIDs {
      bytes.setWord(mapIDs.count, at: 52)
      bytes.setDoubleWord(mapIDs.address, at: 56)
    }
    let size = bytes.count
    let status = bytes.withUnsafeMutableBytes { buffer -> Int32 in
      // { bpf_fd, info_len, info }
      var attribute = [UInt8](repeating: 0, count: 16)
      attribute.setWord(UInt32(descriptor), at: 0)
      attribute.setWord(UInt32(size), at: 4)
      attribute.setDoubleWord(UInt64(UInt(bitPattern: buffer.baseAddress!)), at: 8)
      return LinuxCalls.bpf(informationByDescriptor, &attribute)
    }
    return status == 0 ? bytes : nil
  }
}

extension [UInt8] {
  /// Four bytes in the machine's own order.
  fileprivate func word(at offset: Int) -> UInt32 {
    withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
  }

  fileprivate mutating func setWord(_ value: UInt32, at offset: Int) {
    withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: UInt32.self) }
  }

  fileprivate mutating func setDoubleWord(_ value: UInt64, at offset: Int) {
    withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: UInt64.self) }
  }
}
