// What libbcc compiles against: by default a small tree of our own, written to a private folder.
import BCC
import BPFTemplates
import Glibc
import LoadBalancing
import SystemPackage

/// The kernel headers for one compilation. A private tree is removed when this is gone.
final class KernelHeaderTree {
  /// Arguments for clang that belong to the tree.
  let compilerFlags: [String]
  private let privateTree: String?
  /// The administrator's variable, to be put back.
  private let administrators: String?

  /// Makes the tree that was asked for ready, and points libbcc to it.
  ///
  /// `BCC_KERNEL_SOURCE` of the administrator's environment goes before our own tree.
  init(_ choice: KernelHeaders) throws(DataPlaneError) {
    administrators = getenv(KernelHeaderTree.variable).map { String(cString: $0) }
    switch choice {
    case .own:
      if let administrators {
        privateTree = nil
        compilerFlags = try KernelHeaderTree.use(directory: administrators)
        return
      }
      let tree = try KernelHeaderTree.write()
      setenv(KernelHeaderTree.variable, tree, 1)
      privateTree = tree
      compilerFlags = KernelHeaderTree.systemInclude
    case .system:
      let release = Platform.kernelRelease
      let directory = "/lib/modules/\(release)/build"
      guard KernelHeaderTree.isDirectory(directory) else {
        throw .kernelHeaders(
          """
          no kernel headers at \(directory): install linux-headers-\(release), or leave out \
          --kernel_headers
          """)
      }
      privateTree = nil
      compilerFlags = try KernelHeaderTree.use(directory: directory)
    case .directory(let directory):
      privateTree = nil
      compilerFlags = try KernelHeaderTree.use(directory: directory)
    }
  }

  deinit {
    if let administrators {
      setenv(KernelHeaderTree.variable, administrators, 1)
    } else {
      unsetenv(KernelHeaderTree.variable)
    }
    if let privateTree { KernelHeaderTree.remove(privateTree) }
  }

  /// Where libbcc looks for kernel headers first.
  private static let variable = "BCC_KERNEL_SOURCE"

  private static var systemInclude: [String] {
    #if arch(x86_64)
      let triplet = "x86_64-linux-gnu"
    #elseif arch(arm64)
      let triplet = "aarch64-linux-gnu"
    #else
      #error("name the multiarch folder of this architecture's UAPI headers")
    #endif
    return ["-isystem", "/usr/include", "-isystem", "/usr/include/\(triplet)"]
  }

  // MARK: A tree of the distribution's

  /// Points libbcc to a tree. Debian splits its headers: the generated ones are in a tree of their
  /// own, whose Makefile includes that of the common one.
  private static func use(directory: String) throws(DataPlaneError) -> [String] {
    guard isDirectory(directory) else {
      throw .kernelHeaders("no kernel headers at \(directory): there is no such directory")
    }
    if isFile(directory + "/include/linux/kconfig.h") {
      setenv(variable, directory, 1)
      return []
    }
    guard let common = commonTree(of: directory) else {
      throw .kernelHeaders(
        "no kernel headers at \(directory): it has no include/linux/kconfig.h")
    }
    setenv(variable, common, 1)
    #if arch(x86_64)
      let architecture = "x86"
    #else
      let architecture = "arm64"
    #endif
    return [
      "arch/\(architecture)/include/generated", "include",
      "arch/\(architecture)/include/generated/uapi", "include/generated/uapi",
    ].flatMap { ["-I", "\(directory)/\($0)"] }
  }

  private static func commonTree(of directory: String) -> String? {
    guard let makefile = fopen(directory + "/Makefile", "re") else { return nil }
    defer { fclose(makefile) }
    var line: UnsafeMutablePointer<CChar>?
    var room = 0
    defer { free(line) }
    while getline(&line, &room, makefile) > 0, let line {
      let words = String(cString: line).split(whereSeparator: \.isWhitespace)
      guard words.count == 2, words[0] == "include", words[1].hasSuffix("/Makefile") else {
        continue
      }
      let tree = String(words[1].dropLast("/Makefile".count))
      return isFile(tree + "/include/linux/kconfig.h") ? tree : nil
    }
    return nil
  }

  private static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  private static func isFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  // MARK: Our own tree

  /// Where private folders go: systemd's folder for the service, else /run, else /tmp.
  private static var runtimeDirectory: String {
    if let directory = getenv("RUNTIME_DIRECTORY") {
      return String(String(cString: directory).prefix { $0 != ":" })
    }
    return access("/run", W_OK) == 0 ? "/run" : "/tmp"
  }

  private static let prefix = "ulb-headers-"

  private static func write() throws(DataPlaneError) -> String {
    guard isFile("/usr/include/linux/bpf.h") else {
      throw .kernelHeaders("no /usr/include/linux/bpf.h: install the package linux-libc-dev")
    }
    let parent = runtimeDirectory
    removeLeftovers(in: parent)
    var template = Array("\(parent)/\(prefix)\(getpid())-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw .kernelHeaders("cannot make a folder in \(parent): \(Errno(rawValue: errno))")
    }
    let tree = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    for (path, bytes) in BPFTemplates.kernelHeaders {
      guard write(bytes, to: "\(tree)/\(path)", below: tree) else {
        let reason = Errno(rawValue: errno).description
        remove(tree)
        throw .kernelHeaders("cannot write \(tree)/\(path): \(reason)")
      }
    }
    return tree
  }

  private static func write(_ bytes: [UInt8], to path: String, below tree: String) -> Bool {
    var folder = tree
    for component in path.dropFirst(tree.count + 1).split(separator: "/").dropLast() {
      folder += "/" + component
      guard mkdir(folder, 0o700) == 0 || Errno(rawValue: errno) == .fileExists else { return false }
    }
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return Glibc.write(descriptor, bytes, bytes.count) == bytes.count
  }

  /// A process that was killed while it compiled could not tidy up after itself.
  private static func removeLeftovers(in parent: String) {
    guard let directory = opendir(parent) else { return }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = String(nameOf: entry)
      guard name.hasPrefix(prefix),
        let process = name.dropFirst(prefix.count).split(separator: "-").first.flatMap({
          pid_t($0)
        }),
        kill(process, 0) != 0, Errno(rawValue: errno) == .noSuchProcess
      else { continue }
      var status = stat()
      let path = parent + "/" + name
      guard lstat(path, &status) == 0, status.st_uid == geteuid() else { continue }
      remove(path)
    }
  }

  private static func remove(_ tree: String) {
    for (path, _) in BPFTemplates.kernelHeaders {
      unlink("\(tree)/\(path)")
      var folder = path[...]
      while let slash = folder.lastIndex(of: "/") {
        folder = folder[..<slash]
        rmdir("\(tree)/\(folder)")
      }
    }
    rmdir(tree)
  }
}
