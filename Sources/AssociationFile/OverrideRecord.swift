// What the control socket has set of one real server, in the state file.
import LoadBalancing

/// A record of 16 bytes: the real server's index in the virtual server's list (u32), the virtual
/// server's index in the file (u8), the state that is set (u8: 1 down, 2 draining, 3 up; 0 as
/// configured), the state that was configured then (u8: 1 to 3), a zero byte, the weight that is set
/// (u32: 0 to 256, or 0xffffffff for as configured), the weight that was configured then (u32).
struct OverrideRecord {
  let virtualServer: UInt8
  let realServer: UInt32
  let override: RealServer.Override

  static let size = 16
  private static let noWeight = UInt32.max
  /// What stands for a state is its number here.
  private static let states: [RealServer.State?] = [nil, .down, .draining, .up]

  init(virtualServer: UInt8, realServer: UInt32, override: RealServer.Override) {
    self.virtualServer = virtualServer
    self.realServer = realServer
    self.override = override
  }

  /// - Parameter octets: ``size`` of them.
  init(_ octets: UnsafeRawBufferPointer) throws(Refusal) {
    let (state, configured) = (Int(octets[5]), Int(octets[6]))
    let weight = octets.littleEndian(at: 8, as: UInt32.self)
    guard state < Self.states.count, configured < Self.states.count,
      let configuredState = Self.states[configured], octets[7] == 0,
      weight == Self.noWeight ? state > 0 : weight <= RealServer.mostWeight
    else { throw .header }
    realServer = octets.littleEndian(at: 0, as: UInt32.self)
    virtualServer = octets[4]
    override = RealServer.Override(
      state: Self.states[state], weight: weight == Self.noWeight ? nil : Int(weight),
      configured: RealServer.Setting(
        state: configuredState, weight: Int(octets.littleEndian(at: 12, as: UInt32.self))))
  }

  /// As it stands in the file.
  var bytes: [UInt8] {
    func number(_ state: RealServer.State?) -> UInt8 {
      UInt8(Self.states.firstIndex(of: state) ?? 0)
    }
    var bytes: [UInt8] = []
    bytes.append(littleEndian: realServer)
    bytes += [virtualServer, number(override.state), number(override.configured.state), 0]
    bytes.append(littleEndian: override.weight.map { UInt32($0) } ?? Self.noWeight)
    bytes.append(littleEndian: UInt32(clamping: override.configured.weight))
    return bytes
  }
}
