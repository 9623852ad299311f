// Virtual servers and their real servers, all of them. Pure.
import Control

struct ServersScreen: Sendable {
  let virtualServers: [VirtualServerDetail]
  let columns: RealServerColumns
  let settings: ScreenSettings

  func lines() -> [Line] {
    let tables = RealServerTable.tables(of: virtualServers, columns, settings)
    let parts = zip(virtualServers, tables).map { virtualServer, table in
      let servers =
        virtualServer.realServers.isEmpty ? [Line("  no real server", .alarm)] : table.lines()
      return [virtualServer.heading(settings)] + servers
    }
    let legend = RealServerTable.legend(tables)
    return Array(parts.joined(separator: [Line()])) + legend
  }
}
