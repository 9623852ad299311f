// An association table that no program uses, and what tests see and do of it as packets would.
import BCC
import CLayout
import CLinux
import LoadBalancing
import SystemPackage
import TestSupport

@testable import DataPlane

/// The tables of an association table, made without a program.
struct SharedAssociations {
  let table: AssociationTable
  let control: MappedTable<CLayout.control>
  /// Whose the slots are: the command line's, unless a test says otherwise.
  var owners = SlotOwners([UInt8](repeating: 0, count: 65_535))

  private static let fixedSecret: HashSecret = (
    0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1
  )

  /// - Parameter secret: what a test finds once, it finds each time; `nil` for one of the table's own.
  init(
    _ family: AddressFamily, maxAssociations: UInt32, hasClasses: Bool = false,
    secret: HashSecret? = fixedSecret
  ) throws {
    let buckets = AssociationTable.bucketCount(maxAssociations: maxAssociations)
    let associations = try array(of: bucket.self, buckets)
    let control = try array(of: CLayout.control.self, 1)
    try AssociationTable.begin(
      associations: associations, control: control, maxAssociations: maxAssociations,
      hasClasses: hasClasses)
    self.control = try MappedTable(control)
    if let secret { self.control[0].pointee.secret = secret }
    table = try AssociationTable(
      associations: associations,
      clients: family == .ipv6 ? try array(of: bucket_clients_v6.self, buckets) : nil,
      control: control, admissions: try array(of: CLayout.admissions.self, 1))
  }

  /// What insertions of packets do to it.
  func advanceEpoch(by epochs: UInt64 = 1) { table.control.advanceEpoch(by: epochs) }

  /// All associations, bucket by bucket.
  func entries<Key: ClientKey>(_ type: Key.Type) -> [Entry<Key>] {
    var entries: [Entry<Key>] = []
    table.forEach(type, inBuckets: 0..<table.bucketCount, owners: owners) { entries.append($0) }
    return entries
  }

  @discardableResult
  func insert<Key: ClientKey>(_ entries: [Entry<Key>]) -> Int {
    entries.withUnsafeBufferPointer { table.insert($0, owners: owners) }
  }

  /// Does what a packet does: gives a client a place, whatever stands there.
  func put<Key: ClientKey>(_ client: Key, slot: UInt16, in place: AssociationTable.Place) {
    let bucket = table.bucket(place)
    bucket.setWord(place.index, table.hash(client).tag | UInt64(slot))
    if table.isSingleBucket {
      table.putFirst(place)
    } else {
      table.setStamp(place, to: Entry(client: client, slot: slot, rank: table.newest))
    }
    client.note(place: place.index, names: table.names(place))
  }

  /// Does what a packet of a client does: uses its association, or makes one.
  func use<Key: ClientKey>(_ client: Key, slot: UInt16 = 1) {
    let hash = table.hash(client)
    if let place = table.find(hash) {
      table.isSingleBucket
        ? table.putFirst(place)
        : table.refresh(place, as: Entry(client: client, slot: slot, rank: table.newest))
    } else {
      put(client, slot: slot, in: table.findFree(hash) ?? table.findHighest(hash).place)
    }
  }
}

extension AssociationTable {
  /// The rank of a client that has just sent for the first time.
  var newest: UInt8 { ranking.rank(.newcomer, age: 0) }

  // What is of the command line's virtual server, as most of these tests are.

  func hash<Key: ClientKey>(_ client: Key) -> ClientHash { hash(client, of: 0) }
  func find<Key: ClientKey>(_ client: Key) -> Entry<Key>? { find(client, of: 0) }
  func forget<Key: ClientKey>(_ client: Key) { forget(client, of: 0) }
}

extension ClientKey {
  func hash(_ secret: HashSecret) -> ClientHash { hash(secret, virtualServer: 0) }
}

/// An array that bpf(2) has made, which can be mapped; all of it is 0.
func array<Leaf>(of leaf: Leaf.Type, _ count: Int) throws -> Table {
  let map = try BPFMap(
    .array, keySize: 4, leafSize: MemoryLayout<Leaf>.size, capacity: count, flags: Table.mappable)
  return try Table(adopting: FileDescriptor(rawValue: map.duplicate()))
}

extension ClientKey {
  /// Any number's client, whose family is the type's.
  init(_ number: Int) {
    let octets = (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) }
    let isIPv4 = Self.self == IPv4ClientKey.self
    let address = isIPv4 ? octets : [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 2, 0, 0x5e, 0xff] + octets
    self.init(Client(address: IPAddress(octets: address), port: 40_000 + UInt16(number % 7)))
  }
}

extension Entry {
  init(_ number: Int, virtualServer: UInt8 = 0, slot: UInt16 = 1, rank: UInt8 = 0) {
    self.init(client: Key(number), virtualServer: virtualServer, slot: slot, rank: rank)
  }

  /// One of the command line's virtual server.
  init(client: Key, slot: UInt16, rank: UInt8) {
    self.init(client: client, virtualServer: 0, slot: slot, rank: rank)
  }
}
