// What the tables take, in an operator's units.
import LoadBalancing

enum TableMemory {
  /// About what the association table of a family takes: of each four associations a bucket, which is
  /// 64 bytes for IPv4; for IPv6, 128 more for who the clients are.
  static func associations(_ maxAssociations: UInt32, _ family: AddressFamily) -> String {
    let bytes = UInt64(maxAssociations) * (family == .ipv4 ? 16 : 48)
    let mebibytes = max(1, (bytes + 1 << 19) >> 20)
    return mebibytes < 10_240 ? "\(mebibytes) MiB" : "\(mebibytes >> 10) GiB"
  }
}
