// What connections of the control socket may know of the daemon, for threads that are not its loop.
import Control
import DataPlane
import LoadBalancing
import Synchronization

/// The daemon as it was when the loop last changed anything. What is counted is read from the tables.
struct DaemonSnapshot: Sendable {
  var version: String
  var pid: Int32
  /// When the process began.
  var startedAt: Timestamp
  var dataPlane: DataPlaneSnapshot
  var associations: AssociationBrowser
  /// What other directors are told.
  var changes: AssociationChanges
  /// How the program is attached; `nil` where it is not.
  var mode: String?
  /// What is wrong with the interface, in words, and since when.
  var fault: (text: String, since: Timestamp)?
  /// The last reading of the config file, or of a list of clients, after the start.
  var reload: Reload?
  /// Why such files are refused, a sentence each.
  var refusals: [String]
  /// When a configuration was last read and good.
  var lastGoodReloadAt: Timestamp
  /// `nil` where the associations are saved nowhere.
  var state: StateKeeper.Report?
  /// All but the events lost and the saves.
  var counters: DaemonCounters
  /// Of each family, what the control socket has asked for since the process began.
  var requested: [AddressFamily: RequestedChanges]
  var followed: [Client]
  /// `nil` where gateways are not verified.
  var gateways: GatewayVerification?

  /// What is in force, what the control socket has set among it.
  var configuration: Configuration { dataPlane.configuration.effective }
}

/// How many associations were changed by the operator's wish.
struct RequestedChanges: Sendable {
  var forgotten: UInt64 = 0
  var moved: UInt64 = 0
}

/// A value that one thread renews and all may read.
final class Published<Value: Sendable>: Sendable {
  private let state = Mutex<Value?>(nil)

  /// `nil` before the first.
  var value: Value? {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
}
