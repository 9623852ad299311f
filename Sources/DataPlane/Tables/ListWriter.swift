// The lists of clients as packets ask for them: networks in two banks, of which one is in force.
import BCC
import CLayout
import CLinux
import LoadBalancing

/// The tables of the lists of clients, which belong to a program that asks for them.
struct ListTables: Sendable {
  /// Networks and what is said of them, of each family that the program knows.
  let networks: [AddressFamily: Table]
  /// Which bank is in force.
  let bank: Table

  /// Those that a module has just been compiled with.
  init(of module: Module, _ families: [AddressFamily]) throws(BCCError) {
    var networks: [AddressFamily: Table] = [:]
    for family in families { networks[family] = try module.table("networks_v\(family.version)") }
    self.networks = networks
    bank = try module.table("list_bank")
  }
}

/// Writes lists of clients so that no packet sees half of a change.
struct ListWriter: Sendable {
  private let tries: [any NetworkTrie]
  private let bankInForce: MappedTable<UInt64>
  /// What may be in each bank.
  private var written = [ClientLists(), ClientLists()]

  /// Tables that hold nothing.
  init(_ tables: ListTables) throws(BCCError) {
    var tries: [any NetworkTrie] = []
    for (family, table) in tables.networks {
      tries.append(
        family == .ipv4
          ? try Trie<network_v4>(table, family) : try Trie<network_v6>(table, family))
    }
    self.tries = tries
    bankInForce = try MappedTable(tables.bank)
  }

  private var bank: Int { Int(load_64(bankInForce[0])) }

  /// Writes other lists, without a packet's seeing any of it.
  ///
  /// - Throws: then nothing is left of them.
  mutating func prepare(_ lists: ClientLists) throws(BCCError) {
    let next = 1 - bank
    // What could not be removed before would be in force again.
    try clear(next)
    written[next] = lists
    do throws(BCCError) {
      for trie in tries { try trie.insert(lists.decisions(of: trie.family), bank: next) }
    } catch {
      withdraw()
      throw error
    }
  }

  /// Removes what was prepared.
  mutating func withdraw() { try? clear(1 - bank) }

  /// Puts what was prepared in force, which cannot fail, and removes what was in force before.
  mutating func commit() {
    let former = bank
    store_64(bankInForce[0], UInt64(1 - former))
    // Packets under way may ask the former bank still.
    GracePeriod.wait()
    try? clear(former)
  }

  private mutating func clear(_ bank: Int) throws(BCCError) {
    for trie in tries {
      try trie.remove(written[bank].decisions(of: trie.family).keys, bank: bank)
    }
    written[bank] = ClientLists()
  }
}

/// The networks of a family.
private protocol NetworkTrie: Sendable {
  var family: AddressFamily { get }

  /// - Parameter decisions: of each network, whether it is denied.
  func insert(_ decisions: [IPNetwork: Bool], bank: Int) throws(BCCError)
  /// Networks that are not there are no error.
  func remove(_ networks: Dictionary<IPNetwork, Bool>.Keys, bank: Int) throws(BCCError)
}

private struct Trie<Key: NetworkKey & BitwiseCopyable>: NetworkTrie {
  let family: AddressFamily
  private let table: TypedTable<Key, UInt32>

  init(_ table: Table, _ family: AddressFamily) throws(BCCError) {
    self.family = family
    self.table = try TypedTable(table)
  }

  func insert(_ decisions: [IPNetwork: Bool], bank: Int) throws(BCCError) {
    try table.update(
      keys: decisions.keys.map { Key($0, bank: bank) },
      leaves: decisions.values.map { UInt32($0 ? NETWORK_DENIED : NETWORK_ALLOWED) })
  }

  func remove(_ networks: Dictionary<IPNetwork, Bool>.Keys, bank: Int) throws(BCCError) {
    for network in networks { try table.remove(Key(network, bank: bank)) }
  }
}

/// A network as a key of its family's trie.
private protocol NetworkKey {
  init(_ network: IPNetwork, bank: Int)
}

extension network_v4: NetworkKey {
  fileprivate init(_ network: IPNetwork, bank: Int) {
    self.init()
    prefix_length = UInt32(Int(NETWORK_BANK_BITS) + network.prefixLength)
    self.bank = UInt32(bank)
    withUnsafeMutableBytes(of: &address) { network.address.copyOctets(to: $0) }
  }
}

extension network_v6: NetworkKey {
  fileprivate init(_ network: IPNetwork, bank: Int) {
    self.init()
    prefix_length = UInt32(Int(NETWORK_BANK_BITS) + network.prefixLength)
    self.bank = UInt32(bank)
    withUnsafeMutableBytes(of: &address) { network.address.copyOctets(to: $0) }
  }
}
