// How libbpf's option structs tell how much of them is meant.

/// The size of an option struct up to and with its last field in use. libbpf refuses a struct whose
/// further bytes are not zero, and Swift leaves the padding at the end of a C struct as it finds it.
func optionsSize<Options, Field>(through last: KeyPath<Options, Field>)
  -> Int
{
  MemoryLayout<Options>.offset(of: last)! + MemoryLayout<Field>.size
}
