// A piece of what other directors have told: whose client each is here, and with which real server.
import LoadBalancing

/// Takes over one piece, with what is in force meanwhile.
struct PieceTakeOver {
  /// A real server of a virtual server, as others call them.
  private struct Name: Hashable {
    let virtualServer: String
    let realServer: IPAddress
  }

  private struct Target {
    let number: UInt8
    let slot: UInt16
  }

  private let content: ServiceInForce.Content
  private let virtualServers: Set<IPAddress>
  private var numbers: [String: UInt8] = [:]
  private var targets: [Name: Target?] = [:]
  private var ipv4: TableTakeOver<IPv4ClientKey>?
  private var ipv6: TableTakeOver<IPv6ClientKey>?

  init(
    _ content: ServiceInForce.Content, _ state: AssociationChanges.State,
    _ configuration: Configuration, now findings: ChangeFindings
  ) {
    self.content = content
    virtualServers = Set(content.plan.served.map(\.virtualServer.address))
    for numbered in content.plan.served.reversed() {
      numbers[numbered.virtualServer.label] = numbered.number
    }
    ipv4 = state.table(.ipv4, of: IPv4ClientKey.self).map { TableTakeOver($0) }
    ipv6 = state.table(.ipv6, of: IPv6ClientKey.self).map { TableTakeOver($0) }
  }

  /// How many others had to go.
  var forgotten: [AddressFamily: Int] {
    [.ipv4: ipv4?.forgotten ?? 0, .ipv6: ipv6?.forgotten ?? 0]
  }

  mutating func take(
    _ change: AssociationChange, _ findings: inout ChangeFindings, _ counts: inout TakenOver
  ) {
    switch change {
    case .association(let association):
      let family = association.client.address.family
      guard association.client.address.isUnicast, association.client.port > 0,
        association.realServer.family == family,
        !virtualServers.contains(association.client.address),
        let target = target(association, family)
      else {
        counts.refused += 1
        return
      }
      let rank = content.rank(of: association, at: findings)
      switch family {
      case .ipv4:
        ipv4?.take(association, target.number, target.slot, rank, &findings, &counts)
      case .ipv6:
        ipv6?.take(association, target.number, target.slot, rank, &findings, &counts)
      }
    case .gone(let gone):
      guard gone.reason == .forgotten else {
        counts.known += 1
        return
      }
      guard let number = numbers[gone.virtualServer] else {
        counts.refused += 1
        return
      }
      switch gone.client.address.family {
      case .ipv4: ipv4?.forget(gone, number, &findings, &counts)
      case .ipv6: ipv6?.forget(gone, number, &findings, &counts)
      }
    case .override: break
    }
  }

  mutating func settle(_ findings: inout ChangeFindings, _ counts: inout TakenOver) {
    ipv4?.settle(&findings, &counts)
    ipv6?.settle(&findings, &counts)
  }

  private mutating func target(
    _ association: SharedAssociation, _ family: AddressFamily
  ) -> Target? {
    let name = Name(
      virtualServer: association.virtualServer, realServer: association.realServer)
    if let known = targets[name] { return known }
    let target = numbers[name.virtualServer].flatMap { number in
      content.plan.servingSlot(of: name.realServer, number, family).map {
        Target(number: number, slot: $0)
      }
    }
    targets[name] = .some(target)
    return target
  }
}

extension ServiceInForce.Content {
  /// The rank of a client that another director has seen: as old as who was used here then, and not of
  /// the present epoch. Directors without classes have told of none: who is theirs is a resident.
  fileprivate func rank(of association: SharedAssociation, at findings: ChangeFindings) -> UInt8 {
    let family = association.client.address.family
    guard let table = tables[family] else { return 0 }
    let ranking = table.ranking
    let clocks = clocks[family] ?? ServiceInForce.Clocks(ranking)
    let time = Timestamp(milliseconds: association.at)
    guard ranking == .byClass else {
      return clocks.insertions.age(usedAt: time, in: table.control.fullEpoch)
    }
    switch association.clientClass {
    case .answered:
      let now = findings.clock.milliseconds(findings.now)
      let halfSeconds = (now - min(now, association.at)) / 500
      return ranking.rank(
        .answered, age: UInt8(clamping: max(1, min(halfSeconds, UInt64(ranking.oldestAge)))))
    case .newcomer where association.isUnheard:
      return ranking.rank(
        .newcomer, age: clocks.insertions.age(usedAt: time, in: table.control.fullEpoch))
    case .newcomer, .resident:
      return ranking.rank(
        .resident, age: clocks.promotions.age(usedAt: time, in: table.control.promotionEpoch))
    }
  }
}
