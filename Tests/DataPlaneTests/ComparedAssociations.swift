// Association tables that are compared, at times that a test says, and what packets do to them.
import LoadBalancing
import Synchronization

@testable import DataPlane

/// Tables of both families without a program, and the changes that are found in them.
final class ComparedAssociations {
  /// Labels of the virtual servers.
  static let (coap, six) = ("coap", "six")
  static let servers: [AddressFamily: [IPAddress]] = [
    .ipv4: ["10.41.0.1", "10.41.0.2", "10.41.0.3"].map { IPAddress($0)! },
    .ipv6: ["fd70::1", "fd70::2", "fd70::3"].map { IPAddress($0)! },
  ]

  let service = ServiceInForce()
  var tables: [AddressFamily: SharedAssociations] = [:]
  private(set) var plan = ServicePlan()
  var configuration: Configuration
  let changes: AssociationChanges
  private let time = Time()
  private var cursor = ChangeCursor(generation: 0, sequence: 0)

  private final class Time: Sendable {
    let now = Mutex<UInt64>(1_764_428_400_000)
  }

  /// - Parameter capacity: of the log.
  init(maxAssociations: UInt32 = 1_000, hasClasses: Bool = true, capacity: Int = 1 << 12) throws {
    func server(_ name: String, _ address: String, _ family: AddressFamily) -> VirtualServer {
      VirtualServer(
        name: name, address: IPAddress(address)!, ports: [5684],
        realServers: Self.servers[family]!.map { RealServer($0) })
    }
    configuration = Configuration(
      interface: "eth0", virtualServer: IPAddress("10.40.0.1")!,
      realServers: [IPAddress("10.42.0.1")!], ports: [5683])
    configuration.virtualServers += [
      server(Self.coap, "10.40.0.2", .ipv4), server(Self.six, "fd60::1", .ipv6),
    ]
    for family in AddressFamily.allCases {
      tables[family] = try SharedAssociations(
        family, maxAssociations: maxAssociations, hasClasses: hasClasses)
    }
    changes = AssociationChanges(service, log: ChangeLog(capacity: capacity)) { [time] in
      Timestamp(milliseconds: time.now.withLock { $0 })
    }
    changes.comparesByItself.store(false, ordering: .relaxed)
    try put(configuration)
  }

  /// Puts another configuration in force.
  func put(_ configuration: Configuration) throws {
    self.configuration = configuration
    _ = try plan.apply(configuration, mayGrow: true)
    publish()
  }

  func publish() { service.publish(plan, tables.mapValues(\.table)) }

  var now: UInt64 {
    get { time.now.withLock { $0 } }
    set { time.now.withLock { $0 = newValue } }
  }

  func label(_ family: AddressFamily) -> String { family == .ipv4 ? Self.coap : Self.six }

  func number(_ family: AddressFamily) -> UInt8 {
    plan.served.first { $0.virtualServer.label == label(family) }!.number
  }

  func slot(_ server: Int, _ family: AddressFamily) -> UInt16 {
    plan.slot(of: Self.servers[family]![server], number(family), family)!
  }

  // MARK: What is told

  func begin() {
    changes.begin()
    cursor = changes.log.end
  }

  /// What has been found since the last call, all buckets having been looked at.
  func found() -> [AssociationChange] {
    // Who has gone is told at the end of a pass that has begun since.
    var passes = 0
    while passes < 2 { if changes.look() == .pass { passes += 1 } }
    guard let (found, next) = changes.log.read(from: cursor, limit: 1 << 16) else { return [] }
    cursor = next
    return found
  }

  func association(
    _ client: Client, _ server: Int, _ clientClass: ClientClass, isUnheard: Bool = false,
    at: UInt64? = nil
  ) -> AssociationChange {
    let family = client.address.family
    return .association(
      SharedAssociation(
        at: at ?? now, clientClass: clientClass, isUnheard: isUnheard, client: client,
        realServer: Self.servers[family]![server], virtualServer: label(family)))
  }

  func gone(_ client: Client, _ reason: GoneAssociation.Reason) -> AssociationChange {
    .gone(
      GoneAssociation(
        at: now, client: client, reason: reason, virtualServer: label(client.address.family)))
  }

  /// The texts of a reading, until there is nothing new; and whether it can go on.
  static func lines(_ reading: inout ChangeReading) -> (lines: [String], goesOn: Bool) {
    var text: [UInt8] = []
    while let piece = reading.next() {
      guard !piece.isEmpty else { return (Self.lines(text), true) }
      text += piece
    }
    return (Self.lines(text), false)
  }

  private static func lines(_ text: [UInt8]) -> [String] {
    String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  // MARK: What packets do

  /// Any number's client.
  func client(_ number: Int, _ family: AddressFamily) -> Client {
    family == .ipv4 ? IPv4ClientKey(number).client : IPv6ClientKey(number).client
  }

  func place(_ client: Client) -> AssociationTable.Place? {
    let table = tables[client.address.family]!.table
    return table.find(hash(client))
  }

  func hash(_ client: Client) -> ClientHash {
    let family = client.address.family
    let table = tables[family]!.table
    return switch family {
    case .ipv4: table.hash(IPv4ClientKey(client), of: number(family))
    case .ipv6: table.hash(IPv6ClientKey(client), of: number(family))
    }
  }

  /// A packet of a client makes what it has one of that class, used just now.
  func use(
    _ client: Client, _ server: Int = 0, as clientClass: ClientClass = .newcomer,
    isUnheard: Bool = false, in place: AssociationTable.Place? = nil
  ) {
    let family = client.address.family
    let table = tables[family]!.table
    let place = place ?? self.place(client) ?? table.findFree(hash(client))!
    let bucket = table.bucket(place)
    bucket.setWord(place.index, hash(client).tag | UInt64(slot(server, family)))
    if family == .ipv6 {
      IPv6ClientKey(client).note(place: place.index, names: table.names(place))
    }
    switch table.ranking {
    case _ where table.isSingleBucket: table.putFirst(place)
    case .byAge: bucket.setStamp(place.index, table.control.epoch)
    case .byClass:
      let epoch =
        switch clientClass {
        case .newcomer: table.control.fullEpoch
        case .answered: Admissions.halfSeconds
        case .resident: table.control.promotionEpoch
        }
      bucket.setStamp(
        place.index, Stamp(clientClass, isUnheard: isUnheard, epoch: epoch).octet)
    }
  }

  /// Another client needs the place.
  func evict(_ client: Client) {
    let place = place(client)!
    tables[client.address.family]!.table.bucket(place).setWord(place.index, 0)
  }

  /// Packets of others bring so many epochs of promotions, or of insertions without classes.
  func advance(_ family: AddressFamily, by epochs: UInt64 = 1) {
    let tables = tables[family]!
    if tables.table.ranking == .byClass {
      tables.control[0].pointee.promotion_epoch += epochs
    } else {
      tables.advanceEpoch(by: epochs)
    }
  }
}
