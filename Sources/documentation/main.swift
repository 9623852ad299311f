// Writes the manual pages and the completions of shells of ulb, ulbctl and ulb-sync:
// documentation DIRECTORY [EXECUTABLES]
//
// EXECUTABLES is the folder of ulbctl and ulb-sync, which are asked for theirs: by default this program's.
// In DIRECTORY, which is made:
//   man/    ulb.8 ulbctl.8 ulb-sync.8 ulb.conf.5 ulb-sync.conf.5 ulb@.service.8
//   bash/   ulb ulbctl ulb-sync       for /usr/share/bash-completion/completions
//   zsh/    _ulb _ulbctl _ulb-sync    for /usr/share/zsh/vendor-completions
//   fish/   ulb.fish ulbctl.fish ulb-sync.fish    for /usr/share/fish/vendor_completions.d
// The pages bear the date of SOURCE_DATE_EPOCH, else today's.
import Glibc
import SystemPackage

func main() -> Int32 {
  let arguments = Swift.CommandLine.arguments
  guard (2...3).contains(arguments.count), !arguments[1].hasPrefix("-") else {
    report("usage: documentation DIRECTORY [EXECUTABLES]")
    return 2
  }
  do {
    let folder =
      arguments.count > 2 ? FilePath(arguments[2]) : FilePath(ownPath()).removingLastComponent()
    let documentation = try Documentation(
      ulbctl: Executable(path: folder.appending("ulbctl").string),
      ulbSync: Executable(path: folder.appending("ulb-sync").string))
    for (path, text) in try documentation.files() {
      try write(text, to: FilePath(arguments[1]).appending(path))
    }
    return 0
  } catch {
    report("documentation: error: \(error)")
    return 1
  }
}

func report(_ line: String) {
  _ = try? FileDescriptor.standardError.writeAll("\(line)\n".utf8)
}

/// Where this program is, whatever it was called by.
func ownPath() -> String {
  guard let path = realpath("/proc/self/exe", nil) else { return Swift.CommandLine.arguments[0] }
  defer { free(path) }
  return String(cString: path)
}

/// Makes the folders above a file that are missing, too.
func write(_ text: String, to file: FilePath) throws(Failure) {
  var folder = FilePath(root: file.root)
  for component in file.removingLastComponent().components {
    folder.append(component)
    if mkdir(folder.string, 0o755) != 0, errno != EEXIST {
      throw Failure("\(folder) cannot be made: \(Errno(rawValue: errno)); name another directory")
    }
  }
  do {
    let descriptor = try FileDescriptor.open(
      file, .writeOnly, options: [.create, .truncate],
      permissions: [.ownerReadWrite, .groupRead, .otherRead])
    try descriptor.closeAfter { _ = try descriptor.writeAll(text.utf8) }
  } catch {
    throw Failure("\(file) cannot be written: \(error); name another directory")
  }
}

exit(main())
