// How ulb knows the trace lines of its own program among those of others.
import Glibc

/// What each trace line of a program begins with.
public enum TraceTag {
  /// That of programs that this process renders.
  public static var ofThisProcess: String { "ulb[\(getpid())]: " }
}
