// What an octet of a bucket tells of a client in a table with classes. Knows no table.
import CLayout
import LoadBalancing

/// A stamp: the class in its upper two bits, the low bits of an epoch in the other six.
struct Stamp: Sendable, Hashable {
  let octet: UInt8

  @inline(__always)
  init(_ octet: UInt8) { self.octet = octet }

  /// - Parameters:
  ///   - isUnheard: of a newcomer, that it has not sent yet.
  ///   - epoch: of which the low bits are told.
  @inline(__always)
  init(_ clientClass: ClientClass, isUnheard: Bool, epoch: UInt64) {
    let code =
      switch clientClass {
      case .newcomer: isUnheard ? CLASS_UNHEARD : CLASS_NEWCOMER
      case .answered: CLASS_ANSWERED
      case .resident: CLASS_RESIDENT
      }
    octet =
      UInt8(code) << UInt8(CLASS_EPOCH_BITS) | UInt8(truncatingIfNeeded: epoch) & Stamp.epochMask
  }

  private static let epochMask = UInt8(CLASS_EPOCHS - 1)

  @inline(__always)
  private var code: Int32 { Int32(octet >> UInt8(CLASS_EPOCH_BITS)) }

  @inline(__always)
  var clientClass: ClientClass {
    switch code {
    case CLASS_RESIDENT: .resident
    case CLASS_ANSWERED: .answered
    default: .newcomer
    }
  }

  /// Whether it is a newcomer's that has not sent yet.
  @inline(__always)
  var isUnheard: Bool { code == CLASS_UNHEARD }

  /// Whether it is a newcomer's that has sent.
  @inline(__always)
  var isHeardNewcomer: Bool { code == CLASS_NEWCOMER }

  /// How many epochs lie between, 0…63.
  @inline(__always)
  func age(in epoch: UInt64) -> UInt8 {
    (UInt8(truncatingIfNeeded: epoch) &- octet) & Stamp.epochMask
  }
}
