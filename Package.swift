// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "ulb",
  products: [.executable(name: "ulb", targets: ["ulb"])],
  dependencies: [
    .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1")
  ],
  targets: [
    // The C libraries, and the template's own table layouts, as Swift modules.
    .systemLibrary(
      name: "CBCC", path: "Sources/CBCC", pkgConfig: "libbcc",
      providers: [.apt(["libbpfcc-dev", "libbpf-dev"])]),
    .systemLibrary(name: "CLayout", path: "bpf-templates/layout"),
    // The template's files, embedded in the executable.
    .target(
      name: "BPFTemplates", path: "bpf-templates",
      exclude: ["compile_flags.txt", "editor", "layout/module.modulemap"],
      sources: ["BPFTemplates.swift"],
      resources: [
        .embedInCode("ulb.c"),
        .embedInCode("settings.h.mustache"),
        .embedInCode("layout/layout.h"),
        .embedInCode("tables.h"),
        .embedInCode("parse.h"),
        .embedInCode("address.h"),
        .embedInCode("ports.h"),
        .embedInCode("round.h"),
        .embedInCode("association.h"),
        .embedInCode("admission.h"),
        .embedInCode("nat.h"),
        .embedInCode("events.h"),
        .embedInCode("kernel-headers/include/linux/kconfig.h"),
        .embedInCode("kernel-headers/include/linux/log2.h"),
        .embedInCode("kernel-headers/include/asm/page.h"),
        .embedInCode("kernel-headers/include/uapi/linux/bpf.h"),
        .embedInCode("kernel-headers/include/uapi/linux/if_packet.h"),
      ]),
    .target(name: "LoadBalancing"),
    .target(name: "AssociationFile", dependencies: ["LoadBalancing"]),
    .target(name: "BCC", dependencies: ["CBCC"]),
    .target(
      name: "DataPlane",
      dependencies: [
        "BCC", "BPFTemplates", "CLayout", "LoadBalancing",
        .product(name: "Mustache", package: "swift-mustache"),
      ]),
    .target(name: "Systemd"),
    .executableTarget(
      name: "ulb", dependencies: ["AssociationFile", "DataPlane", "LoadBalancing", "Systemd"]),

    .target(name: "TestSupport", path: "Tests/TestSupport"),
    .testTarget(
      name: "LoadBalancingTests", dependencies: ["LoadBalancing"], resources: [.copy("vectors")]),
    .testTarget(
      name: "AssociationFileTests", dependencies: ["AssociationFile", "LoadBalancing"]),
    .testTarget(name: "SystemdTests", dependencies: ["Systemd"]),
    .testTarget(name: "DaemonTests", dependencies: ["ulb"]),
    .testTarget(
      name: "DataPlaneTests",
      dependencies: ["DataPlane", "BCC", "CLayout", "LoadBalancing", "TestSupport"]),
    .testTarget(
      name: "PacketTests", dependencies: ["DataPlane", "BCC", "LoadBalancing", "TestSupport"]),
    .testTarget(name: "EndToEndTests", dependencies: ["TestSupport", "LoadBalancing"]),
    .testTarget(
      name: "ContinuityTests", dependencies: ["AssociationFile", "TestSupport", "LoadBalancing"]),
  ],
  swiftLanguageModes: [.v6]
)
