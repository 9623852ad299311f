// swift-tools-version: 6.0
import PackageDescription

/// Descriptors and error numbers.
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")

let package = Package(
  name: "ulb",
  products: [
    .executable(name: "ulb", targets: ["ulb"]),
    .executable(name: "ulbctl", targets: ["ulbctl"]),
    .executable(name: "ulb-sync", targets: ["ulb-sync"]),
  ],
  dependencies: [
    .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    // debian/rules has another file in the place of one of it, which the next minor version may change.
    .package(
      url: "https://github.com/apple/swift-argument-parser", .upToNextMinor(from: "1.8.2")),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
  ],
  targets: [
    // The C libraries, and the template's own table layouts, as Swift modules.
    .systemLibrary(
      name: "CBCC", path: "Sources/CBCC", pkgConfig: "libbcc",
      providers: [.apt(["libbpfcc-dev", "libbpf-dev"])]),
    .systemLibrary(
      name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    // Without its pkg-config file, of which SwiftPM refuses a flag with a warning and needs none.
    .systemLibrary(
      name: "CHiredis", path: "Sources/CHiredis", providers: [.apt(["libhiredis-dev"])]),
    .systemLibrary(
      name: "COpenSSL", path: "Sources/COpenSSL", pkgConfig: "openssl",
      providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CLinux", path: "Sources/CLinux"),
    .systemLibrary(name: "CLayout", path: "bpf-templates/layout"),
    // The template's files, embedded in the executable: all that are rendered.
    .target(
      name: "BPFTemplates",
      exclude: [
        "files/compile_flags.txt", "files/editor", "files/layout/former.h",
        "files/layout/module.modulemap",
      ],
      resources: [.embedInCode("files")]),
    // Without Foundation.
    .target(name: "JSONCoding"),
    .target(name: "LoadBalancing", dependencies: ["JSONCoding"]),
    .target(name: "Control", resources: [.embedInCode("openapi.json")]),
    // The page that the web gateway serves, embedded in the executable.
    .target(name: "StatusPage", resources: [.embedInCode("files")]),
    .target(name: "CommandLine", dependencies: ["LoadBalancing", system]),
    .target(name: "AssociationFile", dependencies: ["CZlib", "LoadBalancing", system]),
    .target(name: "BCC", dependencies: ["CBCC", system]),
    .target(
      name: "DataPlane",
      dependencies: [
        "BCC", "BPFTemplates", "CLayout", "CLinux", "LoadBalancing",
        .product(name: "Mustache", package: "swift-mustache"),
        system,
      ]),
    .target(name: "RouteNetlink", dependencies: ["CLinux", "LoadBalancing", system]),
    .target(name: "Systemd", dependencies: [system]),
    .target(
      name: "HTTP",
      dependencies: [
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        system,
      ]),
    // Redis' protocol is hiredis'; the connection, with TLS or without, SwiftNIO's.
    .target(
      name: "Redis",
      dependencies: [
        "CHiredis", "COpenSSL",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOTLS", package: "swift-nio"),
        system,
      ]),
    .target(
      name: "Sync",
      dependencies: [
        "CommandLine", "Control", "HTTP", "JSONCoding", "LoadBalancing", "Redis", "Systemd", system,
      ],
      resources: [.embedInCode("files")]),
    .executableTarget(
      name: "ulb",
      dependencies: [
        "AssociationFile", "CLinux", "CommandLine", "Control", "DataPlane", "HTTP",
        "JSONCoding", "LoadBalancing", "RouteNetlink", "Systemd", system,
      ]),
    .executableTarget(
      name: "ulbctl",
      dependencies: [
        "CommandLine", "Control", "HTTP", "JSONCoding", "LoadBalancing", "StatusPage", "Systemd",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        system,
      ]),
    .executableTarget(
      name: "ulb-sync",
      dependencies: [
        "CommandLine", "Sync", "Systemd",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        system,
      ]),
    // The manual pages and the completions of shells, for who makes a package of ulb.
    .executableTarget(
      name: "documentation",
      dependencies: [
        "CommandLine", "JSONCoding", "LoadBalancing",
        .product(name: "Mustache", package: "swift-mustache"), system,
      ],
      resources: [.embedInCode("completions"), .embedInCode("man")]),

    .target(
      name: "TestSupport", dependencies: ["LoadBalancing"], path: "Tests/TestSupport"),
    .testTarget(name: "LoadBalancingTests", dependencies: ["LoadBalancing", "TestSupport"]),
    .testTarget(
      name: "CommandLineTests",
      dependencies: ["CommandLine", "LoadBalancing", "TestSupport", system],
      resources: [.copy("vectors")]),
    .testTarget(name: "DocumentationTests", dependencies: ["TestSupport", "documentation"]),
    .testTarget(
      name: "AssociationFileTests",
      dependencies: ["AssociationFile", "LoadBalancing", "TestSupport", system]),
    .testTarget(
      name: "WebTests",
      dependencies: ["Control", "HTTP", "JSONCoding", "LoadBalancing", "StatusPage", "TestSupport"]),
    .testTarget(
      name: "ControlTests", dependencies: ["Control", "JSONCoding", "TestSupport"],
      exclude: ["alerts-test.yml"]),
    .testTarget(name: "JSONCodingTests", dependencies: ["JSONCoding"]),
    .testTarget(
      name: "UlbctlTests",
      dependencies: [
        "Control", "HTTP", "JSONCoding", "StatusPage", "TestSupport", "ulbctl", system,
      ]),
    .testTarget(name: "HTTPTests", dependencies: ["HTTP", "TestSupport", system]),
    .testTarget(
      name: "RouteNetlinkTests",
      dependencies: ["LoadBalancing", "RouteNetlink", "TestSupport", system]),
    .testTarget(
      name: "SyncTests",
      dependencies: [
        "CommandLine", "Control", "HTTP", "JSONCoding", "LoadBalancing", "Redis", "Sync",
        "TestSupport", "ulb-sync",
      ]),
    .testTarget(name: "SystemdTests", dependencies: ["Systemd", system]),
    .testTarget(
      name: "DaemonTests",
      dependencies: [
        "AssociationFile", "Control", "DataPlane", "HTTP", "JSONCoding", "LoadBalancing",
        "RouteNetlink", "Systemd", "TestSupport", "ulb", system,
      ]),
    .testTarget(
      name: "DataPlaneTests",
      dependencies: [
        "DataPlane", "BCC", "CLayout", "Control", "JSONCoding", "LoadBalancing", "TestSupport",
        system,
      ]),
    .testTarget(
      name: "PacketTests",
      dependencies: ["DataPlane", "BCC", "LoadBalancing", "TestSupport", system]),
    .testTarget(
      name: "ModelTests", dependencies: ["TestSupport"], exclude: ["associations.pml"]),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "CommandLine", "Control", "HTTP", "JSONCoding", "TestSupport", "LoadBalancing",
      ]),
    .testTarget(
      name: "ContinuityTests",
      dependencies: [
        "AssociationFile", "Control", "HTTP", "JSONCoding", "TestSupport", "LoadBalancing",
      ]),
  ],
  swiftLanguageModes: [.v6]
)
