// The table that tells packets what is in force. It is mapped into memory: one store switches.
import BCC
import CLayout
import CLinux
import LoadBalancing

/// What stamps that are made now hold, by class.
typealias PresentStamps = (UInt8, UInt8, UInt8, UInt8)

/// The one entry of the table `control` (`struct control`).
struct Control: Sendable {
  private let table: MappedTable<control>

  init(_ table: Table) throws(BCCError) {
    self.table = try MappedTable(table)
  }

  /// Makes the table that of an association table for so many: with a secret of the kernel's random
  /// source (getrandom(2)), and no real server in force. It is in nobody's service yet.
  static func begin(_ table: Table, maxAssociations: UInt32, hasClasses: Bool) throws(BCCError) {
    func random() -> UInt64 { .random(in: .min ... .max) }
    var content = control()
    content.layout_version = Tables.layoutVersion
    content.max_associations = maxAssociations
    if hasClasses { content.present_stamp = firstStamps }
    content.secret = (random() | odd.0, random() | odd.1, random() | odd.2, random() | odd.3)
    try TypedTable<UInt32, control>(table).update(0, content)
  }

  /// The present stamps of a table with classes in which nothing has happened.
  private static let firstStamps: PresentStamps = (
    UInt8(CLASS_NEWCOMER) << UInt8(CLASS_EPOCH_BITS),
    UInt8(CLASS_UNHEARD) << UInt8(CLASS_EPOCH_BITS),
    UInt8(CLASS_RESIDENT) << UInt8(CLASS_EPOCH_BITS),
    UInt8(CLASS_ANSWERED) << UInt8(CLASS_EPOCH_BITS)
  )

  /// Whether the present stamps of a table say that it has classes; `nil` where they say neither that
  /// nor that it has none. Former versions of the layouts have 0 there.
  static func hasClasses(_ stamps: PresentStamps) -> Bool? {
    if stamps == (0, 0, 0, 0) { return false }
    let mask = UInt8(CLASS_EPOCHS - 1)
    let classes = (stamps.0 & ~mask, stamps.1 & ~mask, stamps.2 & ~mask, stamps.3)
    return classes == firstStamps ? true : nil
  }

  /// Whether a secret can be one that was made for a table.
  static func isSecret(_ secret: HashSecret) -> Bool {
    secret.1 & odd.1 == odd.1 && secret.2 & odd.2 == odd.2 && secret.3 & odd.3 == odd.3
  }

  /// Which words of a secret are odd: those that multiply, so that nothing of what is multiplied is
  /// lost.
  private static let odd: HashSecret = (0, 1, 1, 1)

  var layoutVersion: UInt32 { table[0].pointee.layout_version }
  var maxAssociations: UInt32 { table[0].pointee.max_associations }
  /// Whether its stamps tell the class.
  var hasClasses: Bool { Control.hasClasses(table[0].pointee.present_stamp) == true }
  var secret: HashSecret { table[0].pointee.secret }

  /// The bank in force: 0 or 1.
  var bank: UInt32 { load_32(table[0].pointer(to: \.bank)!) }

  /// Puts a bank in force. The rest of the entry is left alone: packets count there.
  func putInForce(bank: UInt32) { store_32(table[0].pointer(to: \.bank)!, bank) }

  /// How many epochs of insertions there were.
  var fullEpoch: UInt64 { load_64(table[0].pointer(to: \.epoch)!) }

  /// Has all associations count as used so many epochs longer ago, but for those of a single bucket,
  /// of residents and of who was answered.
  func advanceEpoch(by epochs: UInt64) {
    while true {
      let seen = fullEpoch
      if swap_64(table[0].pointer(to: \.epoch)!, seen, seen &+ epochs) { break }
    }
    if hasClasses { showEpoch() }
  }

  /// Has newcomers that are used from now on be stamped with the epoch, as packets do when they begin
  /// one.
  private func showEpoch() {
    let stamps = table[0].pointer(to: \.present_stamp)!
    stamps.withMemoryRebound(to: UInt8.self, capacity: 4) { stamps in
      for isUnheard in [false, true] {
        let stamp = Stamp(.newcomer, isUnheard: isUnheard, epoch: fullEpoch)
        store_8(stamps + Int(isUnheard ? CLASS_UNHEARD : CLASS_NEWCOMER), stamp.octet)
      }
    }
  }

  /// How many epochs of promotions there were.
  var promotionEpoch: UInt64 { load_64(table[0].pointer(to: \.promotion_epoch)!) }

  /// What a stamp that is made now holds.
  var epoch: UInt8 { UInt8(truncatingIfNeeded: fullEpoch) }
}
