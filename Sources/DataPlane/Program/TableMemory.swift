// What the tables take, in an operator's units.
import LoadBalancing

enum TableMemory {
  /// About what the association table takes: 80 bytes an entry for IPv4, 104 for IPv6.
  static func associations(_ configuration: Configuration) -> String {
    let bytes = UInt64(configuration.maxAssociations) * (configuration.family == .ipv4 ? 80 : 104)
    let mebibytes = max(1, (bytes + 1 << 19) >> 20)
    return mebibytes < 10_240 ? "\(mebibytes) MiB" : "\(mebibytes >> 10) GiB"
  }
}
