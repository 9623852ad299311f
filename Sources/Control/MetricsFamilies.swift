// Which metrics there are. Knows not how they are written.

extension Metrics {
  static let families: [Family] =
    [
      Family("ulb_up", .gauge, "Whether the daemon answers.") {
        $1.add($0.reading == nil ? 0 : 1, $0.label)
      },
      .answered("ulb_build_info", .information, "The daemon's version.") {
        reading, label, samples in
        samples.add(1, label + Metrics.label(",version", reading.status.version))
      },
      .answered("ulb_start_time_seconds", .gauge, "When the daemon began, in seconds since 1970.") {
        reading, label, samples in
        if let seconds = RFC3339.seconds(reading.status.startedAt) { samples.add(seconds, label) }
      },
    ] + packets + realServers + associations + daemon + sync

  private static let packets: [Family] = [
    .answered("ulb_packets_total", .counter, "Frames that came in, by what was decided.") {
      reading, label, samples in
      for counter in reading.counters.events {
        samples.add(
          counter.packets, label, ["event": counter.event, "verdict": counter.verdict.rawValue])
      }
    },
    .answered("ulb_bytes_total", .counter, "Bytes of these frames, Ethernet header included.") {
      reading, label, samples in
      for counter in reading.counters.events {
        samples.add(
          counter.bytes, label, ["event": counter.event, "verdict": counter.verdict.rawValue])
      }
    },
  ]

  private static let realServers: [Family] = [
    .answered(
      "ulb_virtual_server_real_servers", .gauge,
      "Real servers of the virtual server by their state; one without weight counts as draining."
    ) { reading, label, samples in
      for server in reading.status.virtualServers {
        let label = label + Metrics.label(",virtual_server", server.name)
        samples.add(server.up, label, ["state": RealServerState.up.rawValue])
        samples.add(server.draining, label, ["state": RealServerState.draining.rawValue])
        samples.add(server.down, label, ["state": RealServerState.down.rawValue])
      }
    },
    .ofRealServers(
      "ulb_real_server_packets_total", .counter,
      "Packets from clients to the real server (ingress) and from it to clients (egress)."
    ) { server, label, samples in
      samples.add(server.ingress.packets, label, ["direction": "ingress"])
      samples.add(server.egress.packets, label, ["direction": "egress"])
    },
    .ofRealServers(
      "ulb_real_server_bytes_total", .counter, "Bytes of these, Ethernet header included."
    ) { server, label, samples in
      samples.add(server.ingress.bytes, label, ["direction": "ingress"])
      samples.add(server.egress.bytes, label, ["direction": "egress"])
    },
    .ofRealServers(
      "ulb_real_server_state", .gauge,
      "1 for the state that the real server is in: up, draining (no new client) or down."
    ) { server, label, samples in
      for state in RealServerState.allCases {
        samples.add(server.state == state ? 1 : 0, label, ["state": state.rawValue])
      }
    },
    .ofRealServers(
      "ulb_real_server_weight", .gauge, "Turns of the real server in the round of new clients."
    ) { server, label, samples in samples.add(server.weight, label) },
    .ofRealServers("ulb_real_server_clients", .gauge, "Associations with the real server.") {
      server, label, samples in samples.add(server.clients, label)
    },
  ]

  private static let associations: [Family] = [
    .answered("ulb_associations", .gauge, "Clients in the association table.") {
      reading, label, samples in
      for table in reading.status.associations {
        for kind in AssociationClass.allCases {
          samples.add(
            table.clients[kind], label, ["family": table.family, "class": kind.rawValue])
        }
      }
    },
    .answered("ulb_associations_limit", .gauge, "For how many clients the table has room.") {
      reading, label, samples in
      for table in reading.status.associations {
        samples.add(table.limit, label, ["family": table.family])
      }
    },
    .answered(
      "ulb_associations_created_total", .counter,
      "Associations made as a client wrote first (client), as a real server did (real_server), or as "
        + "a client's real server was no longer in service (takeover)."
    ) { reading, label, samples in
      let created = reading.counters.associations.map(\.created)
      samples.add(created.sum(of: \.byClient), label, ["initiator": "client"])
      samples.add(created.sum(of: \.byRealServer), label, ["initiator": "real_server"])
      samples.add(created.sum(of: \.takenOver), label, ["initiator": "takeover"])
    },
    .answered(
      "ulb_associations_forgotten_total", .counter,
      "Associations that were forgotten because another client needed the place."
    ) { reading, label, samples in
      let forgotten = reading.counters.associations.map(\.forgotten)
      for kind in AssociationClass.allCases {
        samples.add(forgotten.sum(of: \.[kind]), label, ["class": kind.rawValue])
      }
    },
    .answered(
      "ulb_under_pressure", .gauge,
      "Whether new clients push each other out of the association table within two seconds."
    ) { reading, label, samples in
      for table in reading.status.associations {
        samples.add(table.isUnderPressure ? 1 : 0, label, ["family": table.family])
      }
    },
    .answered(
      "ulb_new_clients_without_place_total", .counter,
      "Packets of new clients that were served without a place in the table."
    ) { reading, label, samples in
      samples.add(reading.counters.associations.sum(of: \.withoutPlace), label)
    },
  ]

  private static let daemon: [Family] = [
    .answered(
      "ulb_events_lost_total", .counter, "Events of packets that nobody could read in time."
    ) { reading, label, samples in samples.add(reading.counters.daemon.eventsLost, label) },
    .answered(
      "ulb_config_last_reload_successful", .gauge,
      "Whether the config file was good when it was last read."
    ) { reading, label, samples in
      samples.add(reading.status.reload?.result == .refused ? 0 : 1, label)
    },
    .answered(
      "ulb_config_last_reload_success_timestamp_seconds", .gauge,
      "When a configuration was last read and good, in seconds since 1970."
    ) { reading, label, samples in
      if let seconds = RFC3339.seconds(reading.status.lastGoodReloadAt) {
        samples.add(seconds, label)
      }
    },
    .answered(
      "ulb_config_reloads_total", .counter, "Readings of the config file, by what became of them."
    ) { reading, label, samples in
      let counts = reading.counters.daemon
      samples.add(counts.reloadsApplied, label, ["result": Reload.Result.applied.rawValue])
      samples.add(counts.reloadsUnchanged, label, ["result": Reload.Result.unchanged.rawValue])
      samples.add(counts.reloadsRefused, label, ["result": Reload.Result.refused.rawValue])
    },
  ]
}

extension Metrics {
  /// What ulb-sync tells of the sharing of associations: nothing where it has never done so.
  fileprivate static let sync: [Family] = [
    .shared("ulb_sync_up", .gauge, "Whether ulb-sync tells how it does.") {
      sync, label, samples in samples.add(sync.isStale ? 0 : 1, label)
    },
    .shared(
      "ulb_sync_redis_connected", .gauge, "Whether ulb-sync is connected with Redis."
    ) { sync, label, samples in
      samples.add(!sync.isStale && sync.report.redis.state == .connected ? 1 : 0, label)
    },
    .shared(
      "ulb_sync_lag_seconds", .gauge,
      "From when the last change that went out was found in the table to when Redis had it."
    ) { sync, label, samples in
      if let lag = sync.report.lagMilliseconds { samples.add(lag / 1000, label) }
    },
    .shared(
      "ulb_sync_peers", .gauge, "Other directors that were in touch with Redis in the last minute."
    ) { sync, label, samples in samples.add(sync.report.peers.count, label) },
    .shared(
      "ulb_sync_peer_lag_seconds", .gauge,
      "From when a change was found at another director to when this daemon had it."
    ) { sync, label, samples in
      for peer in sync.report.peers {
        guard let lag = peer.lagMilliseconds else { continue }
        samples.add(lag / 1000, label + Metrics.label(",director", peer.director))
      }
    },
    .shared("ulb_sync_sent_total", .counter, "Changes that Redis has taken from ulb-sync.") {
      sync, label, samples in samples.add(sync.report.sent, label)
    },
    .shared(
      "ulb_sync_received_total", .counter,
      "Changes of other directors that ulb-sync has handed to the daemon."
    ) { sync, label, samples in samples.add(sync.report.received, label) },
    .shared(
      "ulb_sync_resyncs_total", .counter,
      "How often ulb-sync had to read everything: from the daemon, or from Redis."
    ) { sync, label, samples in samples.add(sync.report.resyncs, label) },
  ]
}

extension ClassCounts {
  fileprivate subscript(kind: AssociationClass) -> UInt64 {
    switch kind {
    case .newcomer: newcomer
    case .answered: answered
    case .resident: resident
    }
  }
}

extension Array {
  fileprivate func sum(of count: (Element) -> UInt64) -> UInt64 {
    reduce(0) { $0 &+ count($1) }
  }
}
