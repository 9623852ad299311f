// Who has which number, which slots and which turns: what the service tables are to hold. A plan
// only: writes no table.
import LoadBalancing

/// The virtual servers of a program, the slots of their real servers, and the turns of these.
struct ServicePlan: Sendable {
  /// Numbers of all virtual servers that are configured.
  private(set) var numbers: VirtualServerPlan
  /// The virtual servers that the program knows.
  private(set) var served: [NumberedVirtualServer] = []
  /// Of each family that one of them is of.
  private var slotPlans: [AddressFamily: SlotPlan]
  private var rounds: [UInt8: Round] = [:]
  /// What the control socket has set of real servers. It is in the virtual servers already; the tables
  /// hold it for the next process.
  private var overrides = Overrides()

  /// Whether each virtual server has Maglev entries, whatever its scheduler: with classes.
  private var hashesAll = false

  /// The turns or Maglev entries of one virtual server, and of what they were made.
  private struct Round {
    let realServers: [RealServer]
    let scheduler: Scheduler
    let slots: [UInt16]
    /// Maglev entries besides turns; else empty.
    let hashed: [UInt16]
  }

  /// What a change means for the tables.
  struct Change: Sendable {
    /// Slots of each family that are given to other members than before.
    var reused: [AddressFamily: [UInt16]] = [:]
  }

  /// - Parameter slots: of another process, that have kept their meaning.
  init(numbers: VirtualServerPlan = VirtualServerPlan(), slots: [AddressFamily: SlotPlan] = [:]) {
    (self.numbers, slotPlans) = (numbers, slots)
  }

  // MARK: Changes

  /// Makes a configuration's virtual servers those of the plan.
  ///
  /// - Parameters:
  ///   - configuration: with its live settings put in.
  ///   - mayGrow: whether the tables are made anew, and so may have more slots than before.
  mutating func apply(_ configuration: Configuration, mayGrow: Bool) throws(DataPlaneError)
    -> Change
  {
    var next = self
    var change = Change()
    do {
      let numbers = try next.numbers.apply(configuration.virtualServers).numbers
      next.served = configuration.served(numbers)
    } catch {
      throw .tooManyVirtualServers(error)
    }
    for family in AddressFamily.allCases {
      let own = next.served.filter { $0.virtualServer.family == family }
      guard !own.isEmpty else {
        next.slotPlans[family] = nil
        continue
      }
      var slots = next.slotPlans[family] ?? SlotPlan(capacity: 0)
      if mayGrow {
        slots.grow(
          to: SlotPlan.capacity(
            maxRealServers: configuration.maxRealServers, virtualServers: own.count))
      }
      do {
        let reused = try slots.apply(
          own.flatMap { numbered in
            numbered.virtualServer.realServers.map { server in
              (
                SlotPlan.Member(virtualServer: numbered.number, address: server.address),
                server.service
              )
            }
          }
        ).reused
        if !reused.isEmpty { change.reused[family] = reused.map { UInt16($0) } }
      } catch {
        throw .tooManyAddresses(error)
      }
      next.slotPlans[family] = slots
    }
    next.hashesAll = configuration.hasClasses
    next.rounds = next.newRounds()
    next.overrides = configuration.overrides
    self = next
    return change
  }

  /// The rounds of those that have changed are made anew: one of Maglev takes its time.
  private func newRounds() -> [UInt8: Round] {
    var rounds: [UInt8: Round] = [:]
    for numbered in served {
      let (number, server) = (numbered.number, numbered.virtualServer)
      // Who stays listed keeps the slot.
      if let round = self.rounds[number], round.realServers == server.realServers,
        round.scheduler == server.scheduler,
        server.scheduler == .maglev || round.hashed.isEmpty != hashesAll
          || round.slots.isEmpty
      {
        rounds[number] = round
        continue
      }
      let slots = server.realServers.map { realServer in
        slot(of: realServer.address, number, server.family) ?? 0
      }
      rounds[number] = Round(
        realServers: server.realServers, scheduler: server.scheduler,
        slots: server.round.map { slots[$0] },
        hashed: hashesAll && server.scheduler == .roundRobin
          ? Maglev.table(of: server.realServers).map { slots[$0] } : [])
    }
    return rounds
  }

  /// Virtual servers that have left, by the family whose slots they have still.
  var left: [AddressFamily: [UInt8]] {
    var left: [AddressFamily: [UInt8]] = [:]
    for (family, plan) in slotPlans {
      let own = Set(served.filter { $0.virtualServer.family == family }.map(\.number))
      let all = Set(plan.slots.compactMap { $0?.member.virtualServer })
      let gone = all.subtracting(own)
      if !gone.isEmpty { left[family] = gone.sorted() }
    }
    return left
  }

  /// Slots of a virtual server that has left.
  func slots(of virtualServer: UInt8, _ family: AddressFamily) -> [UInt16] {
    slots(of: family).enumerated().compactMap { index, slot in
      slot?.member.virtualServer == virtualServer ? UInt16(index) : nil
    }
  }

  /// Frees the slots and numbers of those that have left. No association may lead to them any more.
  mutating func forgetLeft() {
    for (family, numbers) in left {
      for number in numbers { _ = slotPlans[family]?.forget(virtualServer: number) }
    }
    for number in numbers.unswept { numbers.markSwept(number) }
  }

  // MARK: What is in the plan

  /// The number of a virtual server that is served; `nil` where it is not.
  func number(of virtualServer: VirtualServer) -> UInt8? {
    served.first {
      $0.virtualServer.name == virtualServer.name
        && $0.virtualServer.family == virtualServer.family
    }?.number
  }

  /// The families that one of the virtual servers is of.
  var families: [AddressFamily] { AddressFamily.allCases.filter { slotPlans[$0] != nil } }

  /// By number; none of a family without a virtual server.
  func slots(of family: AddressFamily) -> [SlotPlan.Slot?] { slotPlans[family]?.slots ?? [] }

  /// The slots of turns or Maglev entries, in their order.
  func round(of virtualServer: UInt8) -> [UInt16] { rounds[virtualServer]?.slots ?? [] }

  /// The slots of the Maglev entries of a virtual server that schedules by turns; none where there are no
  /// classes.
  func hashed(of virtualServer: UInt8) -> [UInt16] { rounds[virtualServer]?.hashed ?? [] }

  /// How large the tables of a program for this plan are.
  func sizes(maxRealServers: UInt32) -> ProgramSizes {
    ProgramSizes(
      served, lengths: rounds.mapValues(\.slots.count), slots: slotPlans.mapValues(\.slots.count),
      maxRealServers: maxRealServers, hashesAll: hashesAll)
  }

  /// Whether tables of these sizes have room for all of it.
  func fits(_ sizes: ProgramSizes) -> Bool {
    rounds.allSatisfy { number, round in
      sizes.rounds[number].map {
        round.slots.count <= $0.room && (round.hashed.isEmpty || $0.hashed > 0)
      } ?? false
    } && slotPlans.allSatisfy { family, plan in plan.slots.count == sizes.slots[family] }
  }

  /// The slot of a real server, be it in service or not.
  func slot(of address: IPAddress, _ virtualServer: UInt8, _ family: AddressFamily) -> UInt16? {
    slotPlans[family]?.slot(of: SlotPlan.Member(virtualServer: virtualServer, address: address))
      .map { UInt16($0) }
  }

  /// The slot of a real server that keeps its clients; `nil` where it does not.
  func servingSlot(of address: IPAddress, _ virtualServer: UInt8, _ family: AddressFamily)
    -> UInt16?
  {
    guard let slot = slot(of: address, virtualServer, family),
      let state = slots(of: family)[Int(slot)]?.state, state != .down
    else { return nil }
    return slot
  }

  /// What is set of a real server of a virtual server that is served.
  func override(of realServer: IPAddress, behind virtualServer: VirtualServer)
    -> RealServer.Override?
  {
    overrides.isEmpty ? nil : overrides[realServer, behind: virtualServer]
  }

  /// Whose clients the words of a family's association table are of.
  func owners(of family: AddressFamily) -> SlotOwners {
    SlotOwners(slots(of: family).map { $0?.member.virtualServer })
  }
}
