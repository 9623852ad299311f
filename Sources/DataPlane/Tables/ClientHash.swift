// Which buckets of the association table a client may be in. The same as client.h of the template
// says of each packet: where the two differ, no association is found.
import CLayout
import LoadBalancing

/// What keys the hash: that of `struct control`, made once for each table.
typealias HashSecret = (UInt64, UInt64, UInt64, UInt64)

/// A client as the association table knows it.
struct ClientHash: Equatable {
  /// As in a word of the client's; the lower 16 bits are 0.
  let tag: UInt64
  /// Its two halves are spread over the buckets, one for each that the client may be in.
  let hash: UInt64

  /// The buckets that the client may be in; two different ones, where there are as many.
  @inline(__always)
  func buckets(of count: Int) -> (first: Int, second: Int) {
    let first = Int(ClientHash.spread(hash >> 32, over: count))
    let second = first + 1 + Int(ClientHash.spread(hash & 0xffff_ffff, over: count - 1))
    return (first, second < count ? second : second - count)
  }

  /// The place of either bucket that packets look at first. Not told of a table of a single bucket.
  @inline(__always)
  var usualPlace: Int { Int(((hash & 0xffff) &* UInt64(SharedBucket.places)) >> 16) }

  /// - Parameter number: of 32 bits.
  @inline(__always)
  private static func spread(_ number: UInt64, over count: Int) -> UInt64 {
    (number &* UInt64(truncatingIfNeeded: count)) >> 32
  }
}

/// A client of one family as a packet tells it: in network byte order. Many are dealt with at once,
/// so that its functions are asked for where the type is known.
protocol ClientKey: BitwiseCopyable, Equatable, Sendable {
  /// - Parameter client: of this family.
  init(_ client: Client)
  var client: Client { get }

  /// A client of several virtual servers has a tag with each.
  ///
  /// - Parameter number: the virtual server's.
  func hash(_ secret: HashSecret, virtualServer number: UInt8) -> ClientHash

  /// Whose a word is; `nil` where that is not told, as it is being written.
  ///
  /// - Parameters:
  ///   - names: those of the word's bucket, a `struct bucket_clients_v6`; `nil` where the table has
  ///     none.
  ///   - number: that of the virtual server which the word's slot is behind.
  init?(
    word: UInt64, place: Int, names: UnsafeMutablePointer<bucket_clients_v6>?, secret: HashSecret,
    virtualServer number: UInt8)

  /// Says whose the word is.
  func note(place: Int, names: UnsafeMutablePointer<bucket_clients_v6>?)
}

struct IPv4ClientKey: ClientKey {
  private let address: UInt32
  private let port: UInt16

  init(_ client: Client) {
    (address, port) = (client.address.words.0, client.port.bigEndian)
  }

  var client: Client {
    Client(
      address: IPAddress(words: (address, 0, 0, 0), family: .ipv4), port: UInt16(bigEndian: port))
  }

  /// The tag is the client itself, and over it the virtual server's mask. Multiplications by secret
  /// odd numbers mix it.
  @inline(__always)
  func hash(_ secret: HashSecret, virtualServer number: UInt8) -> ClientHash {
    let client = UInt64(address) << 32 | UInt64(port) << 16
    let tag = client ^ IPv4ClientKey.mask(number, secret)
    var hash = (tag ^ secret.0) &* secret.1
    hash = (hash ^ hash >> 28) &* secret.2
    hash = (hash ^ hash >> 32) &* secret.3
    return ClientHash(tag: tag, hash: hash ^ hash >> 29)
  }

  /// What tells the tags of a client with several virtual servers apart; nothing for number 0.
  @inline(__always)
  private static func mask(_ number: UInt8, _ secret: HashSecret) -> UInt64 {
    UInt64(number) &* secret.1 & ~0xffff
  }

  @inline(__always)
  init?(
    word: UInt64, place: Int, names: UnsafeMutablePointer<bucket_clients_v6>?, secret: HashSecret,
    virtualServer number: UInt8
  ) {
    let client = word ^ IPv4ClientKey.mask(number, secret)
    address = UInt32(truncatingIfNeeded: client >> 32)
    port = UInt16(truncatingIfNeeded: client >> 16)
  }

  @inline(__always)
  func note(place: Int, names: UnsafeMutablePointer<bucket_clients_v6>?) {}
}

struct IPv6ClientKey: ClientKey {
  /// The halves of the address as they are in memory.
  private let upper, lower: UInt64
  private let port: UInt16

  init(_ client: Client) {
    let words = client.address.words
    (upper, lower) = unsafeBitCast(words, to: (UInt64, UInt64).self)
    port = client.port.bigEndian
  }

  var client: Client {
    let words = unsafeBitCast((upper, lower), to: AddressWords.self)
    return Client(address: IPAddress(words: words, family: .ipv6), port: UInt16(bigEndian: port))
  }

  /// SipHash-1-3 of the address's 16 octets, the port's 2 and the virtual server's number.
  @inline(__always)
  func hash(_ secret: HashSecret, virtualServer number: UInt8) -> ClientHash {
    var state = SipHash(key: (secret.0, secret.1))
    state.add(upper)
    state.add(lower)
    state.add(UInt64(port) | UInt64(number) << 16 | 18 << 56)
    state.finish()
    let tag = state.value & ~0xffff
    return ClientHash(tag: tag == 0 ? 1 << 16 : tag, hash: state.furtherValue)
  }

  /// A name is written after its word, in pieces: it is one only where the word is of its hash.
  @inline(__always)
  init?(
    word: UInt64, place: Int, names: UnsafeMutablePointer<bucket_clients_v6>?, secret: HashSecret,
    virtualServer number: UInt8
  ) {
    guard let names else { return nil }
    (upper, lower) = IPv6ClientKey.addresses(names)[place]
    port = IPv6ClientKey.ports(names)[place]
    guard hash(secret, virtualServer: number).tag == word & ~0xffff else { return nil }
  }

  @inline(__always)
  func note(place: Int, names: UnsafeMutablePointer<bucket_clients_v6>?) {
    guard let names else { return }
    IPv6ClientKey.addresses(names)[place] = (upper, lower)
    IPv6ClientKey.ports(names)[place] = port
  }

  @inline(__always)
  private static func addresses(
    _ names: UnsafeMutablePointer<bucket_clients_v6>
  ) -> UnsafeMutablePointer<(UInt64, UInt64)> {
    UnsafeMutableRawPointer(names).assumingMemoryBound(to: (UInt64, UInt64).self)
  }

  @inline(__always)
  private static func ports(
    _ names: UnsafeMutablePointer<bucket_clients_v6>
  ) -> UnsafeMutablePointer<UInt16> {
    (UnsafeMutableRawPointer(names) + MemoryLayout<bucket_clients_v6>.offset(of: \.port)!)
      .assumingMemoryBound(to: UInt16.self)
  }
}
