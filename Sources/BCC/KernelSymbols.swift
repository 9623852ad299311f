// What libbcc is told of the kernel's symbols: nothing.
import Glibc

/// Takes the place of libbcc's own function of this name, which calls `callback` for each line of
/// `/proc/kallsyms`.
///
/// With each compilation libbcc asks whether the kernel has `bpf_probe_read_kernel`, which is for
/// programs that trace and no XDP program may call, and for that keeps all symbols there are: some
/// 200,000, which cost 17 MB of memory and a seventh of the time. Where none is told it takes the
/// kernel for one that has no such function. A definition in the executable comes before a shared
/// library's, for the library's own calls as well (System V ABI, chapter 5, "Shared Object
/// Dependencies").
///
/// - Returns: -1, as where `/proc/kallsyms` cannot be read.
@_cdecl("bcc_procutils_each_ksym")
public func tellNoKernelSymbol(
  _ callback: UnsafeRawPointer?, _ payload: UnsafeMutableRawPointer?
) -> CInt {
  -1
}
