// The template's files, embedded in the executable so that one file is all there is to install.

/// A file of the template by the name that `#include` gives it.
public enum BPFTemplates {
  /// The file where the program begins.
  public static let main = "ulb.c"

  /// The file with all placeholders, a Mustache template.
  public static let settings = "settings.h"

  /// The text of a file; `nil` where there is none of that name.
  public static func file(named name: String) -> String? {
    files[name].map { String(decoding: $0, as: UTF8.self) }
  }

  /// The small tree that libbcc compiles against: relative paths and their texts.
  public static var kernelHeaders: [(path: String, bytes: [UInt8])] {
    [
      ("include/linux/kconfig.h", PackageResources.kconfig_h),
      ("include/linux/log2.h", PackageResources.log2_h),
      ("include/asm/page.h", PackageResources.page_h),
      ("include/uapi/linux/bpf.h", PackageResources.bpf_h),
      ("include/uapi/linux/if_packet.h", PackageResources.if_packet_h),
    ]
  }

  private static let files: [String: [UInt8]] = [
    main: PackageResources.ulb_c,
    settings: PackageResources.settings_h_mustache,
    "layout.h": PackageResources.layout_h,
    "tables.h": PackageResources.tables_h,
    "frame.h": PackageResources.frame_h,
    "ethernet.h": PackageResources.ethernet_h,
    "ip.h": PackageResources.ip_h,
    "udp.h": PackageResources.udp_h,
    "virtual_servers.h": PackageResources.virtual_servers_h,
    "real_servers.h": PackageResources.real_servers_h,
    "round.h": PackageResources.round_h,
    "maglev.h": PackageResources.maglev_h,
    "schedulers.h": PackageResources.schedulers_h,
    "unsettled_client.h": PackageResources.unsettled_client_h,
    "client.h": PackageResources.client_h,
    "recency.h": PackageResources.recency_h,
    "lists.h": PackageResources.lists_h,
    "next_hops.h": PackageResources.next_hops_h,
    "places.h": PackageResources.places_h,
    "association.h": PackageResources.association_h,
    "admission.h": PackageResources.admission_h,
    "vouching.h": PackageResources.vouching_h,
    "checksum.h": PackageResources.checksum_h,
    "nat.h": PackageResources.nat_h,
    "events.h": PackageResources.events_h,
    "follow.h": PackageResources.follow_h,
    "counters.h": PackageResources.counters_h,
    "ingress.h": PackageResources.ingress_h,
    "egress.h": PackageResources.egress_h,
  ]
}
