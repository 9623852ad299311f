// The association table as it stands in memory, for what no packet can tell. Written from layout.h's
// words and from nothing of ulb's: 64 octets a bucket, seven words, seven stamps and a lock.
import BCC
import Foundation
import LoadBalancing
import TestSupport

@testable import DataPlane

/// The buckets of a director, and the epoch that their stamps count from.
final class Buckets {
  static let places = 7
  /// The slot of a word that is no association yet.
  static let pending: UInt16 = 0xffff

  /// Where a word stands.
  struct Place: Hashable {
    var bucket: Int
    var index: Int
  }

  /// A word that is not free, and what stands beside it.
  struct Entry: Equatable {
    let place: Place
    let word: UInt64
    let stamp: UInt8
    /// Whom it belongs to: by the word itself, or with IPv6 by what is noted beside it.
    let client: Client

    /// What a stamp's upper two bits say, where there are classes.
    enum State: UInt8 {
      case newcomer, unheard, resident, answered
    }

    var state: State { State(rawValue: stamp >> 6)! }
    var tag: UInt64 { word & ~0xffff }
    var slot: UInt16 { UInt16(truncatingIfNeeded: word) }
  }

  let family: AddressFamily
  let count: Int
  private let associations: Memory
  private let clients: Memory?
  private let control: Memory
  private let admissions: Memory

  init(_ tables: Tables, _ family: AddressFamily) throws {
    let tables = tables.associations[family]!
    self.family = family
    associations = try Memory(of: tables[.associations])
    clients = family == .ipv6 ? try Memory(of: tables[.clients]) : nil
    control = try Memory(of: tables[.control])
    admissions = try Memory(of: tables[.admissions])
    count = tables[.associations].capacity
  }

  subscript(place: Place) -> UInt64 {
    get { associations[Self.offset(place), UInt64.self] }
    set { associations[Self.offset(place), UInt64.self] = newValue }
  }

  /// The octet beside a word.
  subscript(stampAt place: Place) -> UInt8 {
    get { associations[Self.stampOffset(place), UInt8.self] }
    set { associations[Self.stampOffset(place), UInt8.self] = newValue }
  }

  /// The octet beside the stamps of a bucket.
  subscript(lockOf bucket: Int) -> UInt8 {
    get { self[stampAt: Place(bucket: bucket, index: Self.places)] }
    set { self[stampAt: Place(bucket: bucket, index: Self.places)] = newValue }
  }

  var epoch: UInt64 { control[16, UInt64.self] }

  /// Whether stamps tell classes.
  var hasClasses: Bool { control[15, UInt8.self] == 0xc0 }

  var promotionEpoch: UInt64 {
    get { control[56, UInt64.self] }
    set {
      control[56, UInt64.self] = newValue
      control[14, UInt8.self] = 0x80 | UInt8(newValue & 63)
    }
  }

  /// How many residents are counted.
  var residents: UInt64 { admissions[16, UInt64.self] }

  /// When there was pressure last, in ns; 0 for never.
  var pressedAt: UInt64 {
    get { admissions[24, UInt64.self] }
    set { admissions[24, UInt64.self] = newValue }
  }

  /// Whoever knows it can tell where clients are. To be set before there are any.
  var secret: [UInt64] {
    get { (0..<4).map { control[24 + 8 * $0, UInt64.self] } }
    set {
      for (index, word) in newValue.enumerated() { control[24 + 8 * index, UInt64.self] = word }
    }
  }

  /// A secret that is the same in each run.
  func setSecret(seed: UInt64) {
    var numbers = SeededNumbers(seed: seed)
    secret = (0..<4).map { _ in numbers.next() | 1 }
  }

  /// All that is not free, in the order of the places.
  var entries: [Entry] {
    (0..<count).flatMap { entries(of: $0) }
  }

  func entries(of bucket: Int) -> [Entry] {
    (0..<Self.places).compactMap { entry(at: Place(bucket: bucket, index: $0)) }
  }

  func entry(at place: Place) -> Entry? {
    let word = self[place]
    guard word != 0 else { return nil }
    return Entry(
      place: place, word: word, stamp: self[stampAt: place], client: client(of: word, at: place))
  }

  func entry(of client: Client) -> Entry? { entries.first { $0.client == client } }

  /// How many epochs ago, or of a single bucket how many others ago, a place was used, as far as
  /// an octet tells.
  func age(_ entry: Entry) -> UInt8 {
    if count == 1 { return entry.stamp }
    guard hasClasses else { return UInt8(truncatingIfNeeded: epoch) &- entry.stamp }
    let epochs =
      switch entry.state {
      case .newcomer, .unheard: epoch
      case .resident: promotionEpoch
      case .answered: Self.halfSeconds
      }
    return (UInt8(truncatingIfNeeded: epochs) &- entry.stamp) & 63
  }

  /// The kernel's monotonic clock, as of its last tick.
  static var nanoseconds: UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }

  /// Half seconds of it.
  static var halfSeconds: UInt64 { nanoseconds / 500_000_000 }

  /// The oldest age that is told apart, and how many an octet tells.
  var heldAge: UInt8 { hasClasses ? 32 : 128 }
  var toldAges: Int { hasClasses ? 64 : 256 }

  /// The most that an age of a newcomer can be: that to which a bucket's are held, and the epochs until
  /// its turn comes again.
  ///
  /// - Parameter misses: how many turns in a row may come to nothing, as another CPU writes a stamp of
  ///   the bucket in that moment; as far as such ages are told from fresh ones.
  func oldestAge(misses: Int = 0) -> UInt8 {
    let turns = (toldAges - 1 - Int(heldAge)) / epochsOfTurn
    return heldAge + UInt8(epochsOfTurn * max(1, min(misses + 1, turns)))
  }

  /// How many epochs pass until all buckets have had their turn. With each batch of insertions a quarter
  /// of as many buckets have theirs.
  private var epochsOfTurn: Int {
    let maxAssociations = Int(control[8, UInt32.self])
    let epoch = max(1, maxAssociations / (hasClasses ? 16 : 64))
    let batch = min(32, epoch)
    let bucketsOfBatch = (batch + 3) / 4
    let batchesOfEpoch = (epoch + batch / 2) / batch
    let batches = (count + bucketsOfBatch - 1) / bucketsOfBatch
    return (batches + batchesOfEpoch - 1) / batchesOfEpoch
  }

  /// Forgets all, and whose it was.
  func clear() {
    for bucket in 0..<count {
      for index in 0..<Self.places { self[Place(bucket: bucket, index: index)] = 0 }
    }
    clients?.clear()
  }

  /// Each octet of the table.
  var octets: [UInt8] { associations.octets + (clients?.octets ?? []) + control.octets }

  private static func offset(_ place: Place) -> Int { 64 * place.bucket + 8 * place.index }
  private static func stampOffset(_ place: Place) -> Int { 64 * place.bucket + 56 + place.index }

  private func client(of word: UInt64, at place: Place) -> Client {
    guard let clients else {
      let address = withUnsafeBytes(of: UInt32(word >> 32)) { IPAddress(octets: Array($0)) }
      return Client(address: address, port: UInt16(truncatingIfNeeded: word >> 16).byteSwapped)
    }
    let start = 128 * place.bucket
    let port = clients[start + 7 * 16 + 2 * place.index, UInt16.self]
    return Client(
      address: IPAddress(octets: clients.octets(start + 16 * place.index, count: 16)),
      port: port.byteSwapped)
  }
}

/// A table's entries as the kernel maps them.
private final class Memory {
  private let base: UnsafeMutableRawPointer
  private let size: Int

  init(of table: Table) throws {
    let size = table.capacity * ((table.leafSize + 7) / 8 * 8)
    let address = table.withDescriptor {
      mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, $0.rawValue, 0)
    }
    guard let address, address != MAP_FAILED else { throw SystemError("map \(table.name)") }
    (base, self.size) = (address, size)
  }

  deinit { munmap(base, size) }

  subscript<Value: BitwiseCopyable>(offset: Int, type: Value.Type) -> Value {
    get { base.load(fromByteOffset: offset, as: type) }
    set { base.storeBytes(of: newValue, toByteOffset: offset, as: type) }
  }

  var octets: [UInt8] { octets(0, count: size) }

  func clear() { memset(base, 0, size) }

  func octets(_ offset: Int, count: Int) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: base + offset, count: count))
  }
}
