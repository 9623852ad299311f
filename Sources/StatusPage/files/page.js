// The status page: what the gateway tells each second, as text and charts. Rates are made here, of
// what was counted from one second to the next. Nothing here changes anything at a daemon.

const CHART_SECONDS = 120;
/// Without news for this long the gateway counts as gone: it tells something each second.
const SILENCE_MS = 5000;
const RETRY_MS = 1000;
/// With more real servers than this, virtual servers are folded at first, and those that are unfolded are
/// kept up to date only while they are in sight.
const FEW_SERVERS = 100;

/// What the log calls them.
const EVENTS = {
  INVALID_ETH_SIZE: "Invalid size for ethernet packet",
  NOT_IP_V4: "Not IPv4 packet",
  NOT_IP_V6: "Not IPv6 packet",
  INVALID_IP_SIZE: "Invalid size for IP packet",
  TOO_SMALL_IP_HEADER: "Too small IP header",
  NOT_UDP: "Not UDP packet",
  TOO_BIG_IP_HEADER: "Too big IP header",
  FRAGMENTED_IP_PACKET: "Fragmented IP packet",
  LIFETIME_EXPIRED: "TTL or hoplimit expired",
  INVALID_UDP_SIZE: "Invalid size for UDP packet",
  NO_VIRTUAL_SERVER: "No virtual server configured",
  INGRESS_NOT_HANDLED_PORT: "Unhandled port",
  INVALID_CLIENT: "Invalid client",
  INGRESS_CANNOT_CREATE_ASSO: "Unable to create association",
  INGRESS_NEW_NAT: "Destination NAT (NEW ASSOCIATION)",
  INGRESS_REUSED_NAT: "Destination NAT (REUSED ASSOCIATION)",
  EGRESS_NOT_HANDLED_PORT: "Unhandled port",
  EGRESS_CANNOT_CREATE_ASSO: "Unable to create association",
  EGRESS_NEW_NAT: "Source NAT (NEW ASSOCIATION)",
  EGRESS_REUSED_NAT: "Source NAT (REUSED ASSOCIATION)",
  EGRESS_NOT_AUTHORIZED: "Not associated real server",
  UNHANDLED_TRAFFIC: "Unhandled traffic",
  INGRESS_DENIED: "Denied client",
  EGRESS_DENIED: "Denied client",
  EGRESS_UNVERIFIED: "Not from the next hop of the real server",
};

// -- Numbers and times as text ------------------------------------------------------------------

const exact = new Intl.NumberFormat("en");

/// Three digits and a unit, as ulbctl writes it: 1234567 is "1.23M". What is not nothing is not shown as
/// nothing.
function short(number) {
  if (!Number.isFinite(number)) return "–";
  if (number < 9.95 && !Number.isInteger(number)) return Math.max(number, 0.1).toFixed(1);
  const units = ["", "K", "M", "G", "T", "P", "E"];
  let unit = 0;
  while (number >= 999.5 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return number.toFixed(unit === 0 || number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2) + units[unit];
}

/// Bits a second: "9.60 Mbit/s".
const bandwidth = (bytes) => short(8 * bytes).replace("K", "k").replace(/([kA-Z]?)$/, " $1bit/s");

function percent(part, whole) {
  if (!(whole > 0)) return "–";
  // Rounded down: what is not quite full is not called full.
  const share = Math.floor((1000 * part) / whole) / 10;
  return `${share > 0 && share < 10 ? share.toFixed(1) : Math.floor(share)}%`;
}

function duration(seconds) {
  if (seconds < 120) return `${Math.max(0, Math.floor(seconds))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/// The time of day; with the date where that is not today's.
function clock(date) {
  const time = date.toLocaleTimeString("en-GB");
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
}

const plural = (count, one, many = one + "s") => `${exact.format(count)} ${count === 1 ? one : many}`;

// -- The document -------------------------------------------------------------------------------

/// The elements of a piece of the document that have a name (data-f).
function named(root) {
  const fields = {};
  for (const element of root.querySelectorAll("[data-f]")) fields[element.dataset.f] = element;
  return fields;
}

/// A copy of a template: its element and its named elements.
function copy(id) {
  const root = document.getElementById(id).content.firstElementChild.cloneNode(true);
  return { root, fields: named(root) };
}

/// Most numbers are what they were a second ago: only what has changed is touched.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

function classed(element, name, on) {
  if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
}

function width(element, part) {
  const text = `${(100 * Math.min(1, Math.max(0, part || 0))).toFixed(1)}%`;
  if (element.style.width !== text) element.style.width = text;
}

/// Keeps one object for each item: makes those that came, removes those that went, keeps the order.
class Keyed {
  #objects = new Map();

  constructor(parent, make) {
    this.parent = parent;
    this.make = make;
  }

  update(items, key, update) {
    const before = this.#objects;
    this.#objects = new Map();
    let next = this.parent?.firstElementChild;
    for (const item of items) {
      const name = key(item);
      const object = before.get(name) ?? this.make(name);
      before.delete(name);
      this.#objects.set(name, object);
      update(object, item);
      if (!this.parent) continue;
      if (object.root === next) next = next.nextElementSibling;
      else this.parent.insertBefore(object.root, next ?? null);
    }
    // Without a place in the document there is nothing to take away, and nothing to make for it.
    if (this.parent) for (const object of before.values()) object.root.remove();
  }

  get all() {
    return [...this.#objects.values()];
  }
}

/// Tells elements whether they are in sight, or nearly.
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) target.onSight(isIntersecting);
}, { rootMargin: "200px" });

// -- Rates and their charts ---------------------------------------------------------------------

/// What a count went up by each second, now and in the last two minutes.
class Rate {
  #last;
  #values = new Float32Array(CHART_SECONDS).fill(NaN);
  #end = 0;
  now = NaN;

  /// A second has gone by, and more where some were missed. A count that went down began anew.
  count(count, seconds, missed) {
    const went = count - this.#last;
    this.push(seconds > 0 && went >= 0 ? went / seconds : NaN, missed);
    this.#last = count;
  }

  push(value, missed = 0) {
    for (let gap = Math.min(missed, CHART_SECONDS); gap > 0; gap -= 1) this.#put(NaN);
    this.#put(value);
    this.now = value;
  }

  #put(value) {
    this.#values[this.#end] = value;
    this.#end = (this.#end + 1) % CHART_SECONDS;
  }

  /// The value of a second, from the oldest.
  at(index) {
    return this.#values[(this.#end + index) % CHART_SECONDS];
  }

  get peak() {
    let peak = 0;
    for (const value of this.#values) if (value > peak) peak = value;
    return peak;
  }
}

const SVG = "http://www.w3.org/2000/svg";

/// Rates over two minutes: the first as an area, the second as a line. The numbers beside it say the
/// same, so that it is nothing for a screen reader.
class Chart {
  constructor(parent, { labels = false, height = 26 } = {}) {
    this.height = height;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${CHART_SECONDS - 1} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    [this.area, this.first, this.second] = ["area", "in-line", "out-line"].map((name) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", name);
      svg.append(path);
      return path;
    });
    parent.append(svg);
    if (labels) {
      const label = (name, text) => {
        const element = document.createElement("span");
        element.className = name;
        element.ariaHidden = "true";
        element.textContent = text;
        parent.append(element);
        return element;
      };
      this.top = label("top-label", "");
      label("left-label", "2 minutes ago");
      label("right-label", "now");
    }
    parent.onSight = (isInSight) => {
      this.isInSight = isInSight;
      if (isInSight) this.#redraw?.();
    };
    sight.observe(parent);
  }

  /// Draws what was drawn last: nothing is while it is out of sight.
  #redraw;

  /// - Parameter peak: what the top stands for.
  draw(first, second, peak) {
    if (this.top) say(this.top, peak > 0 ? `${short(peak)} packets/s` : "");
    this.#redraw = () => this.#draw(first, second, peak);
    if (this.isInSight) this.#redraw();
  }

  #draw(first, second, peak) {
    const lines = this.#lines(first, peak);
    this.first.setAttribute("d", lines.map((line) => `M${line.join("L")}`).join(""));
    this.area.setAttribute("d", lines.map((line) => this.#closed(line)).join(""));
    if (second) {
      this.second.setAttribute("d", this.#lines(second, peak).map((line) => `M${line.join("L")}`).join(""));
    }
  }

  /// Points, in pieces between which nothing is known.
  #lines(rate, peak) {
    const lines = [];
    let line;
    for (let second = 0; second < CHART_SECONDS; second += 1) {
      const value = rate.at(second);
      if (Number.isNaN(value)) {
        line = undefined;
        continue;
      }
      if (!line) lines.push((line = []));
      line.push(`${second} ${(this.height - (peak > 0 ? value / peak : 0) * (this.height - 1)).toFixed(1)}`);
    }
    return lines;
  }

  #closed(line) {
    const at = (point) => point.slice(0, point.indexOf(" "));
    return `M${at(line[0])} ${this.height}L${line.join("L")}L${at(line.at(-1))} ${this.height}Z`;
  }
}

// -- A real server ------------------------------------------------------------------------------

class RealServer {
  inPackets = new Rate();
  outPackets = new Rate();
  bytes = new Rate();

  take(data, seconds, missed) {
    this.data = data;
    this.inPackets.count(data.ingress.packets, seconds, missed);
    this.outPackets.count(data.egress.packets, seconds, missed);
    this.bytes.count(data.ingress.bytes + data.egress.bytes, seconds, missed);
  }

  /// Turns that it has in the round of new clients.
  get turns() {
    return this.data.state === "up" ? this.data.weight : 0;
  }

  /// Its row, made when it is first looked at.
  get root() {
    if (!this.row) {
      this.row = copy("server");
      this.chart = new Chart(this.row.fields.chart);
    }
    return this.row.root;
  }

  /// - Parameter service: of the virtual server: all clients, those of servers that take new ones, all
  ///   turns, and the charts' common top.
  paint({ clients, sharedClients, turns, peak }) {
    const { root, row: { fields }, data } = this;
    say(fields.address, data.address);
    paintState(fields.state, data.state);
    say(fields.note, data.overridden ? "by hand" : "");
    const title = data.overridden ? `configured ${data.configured.state}, weight ${data.configured.weight}` : "";
    if (fields.note.title !== title) fields.note.title = title;
    say(fields.weight, String(data.weight));
    say(fields.clients, exact.format(data.clients));
    say(fields.share, percent(data.clients, clients));
    width(fields.bar, data.clients / clients);
    const fair = turns > 0 ? this.turns / turns : 0;
    show(fields.tick, this.turns > 0);
    const left = `${(100 * fair).toFixed(1)}%`;
    if (fields.tick.style.left !== left) fields.tick.style.left = left;
    // As ulbctl tells it: a tenth more than its weight gives it, and more than chance explains (three
    // standard deviations).
    const expected = sharedClients * fair;
    const excess = data.clients - expected;
    const isMuch = excess > 0.1 * expected && excess ** 2 > 9 * expected * (1 - fair) && this.turns > 0;
    say(fields.much, isMuch ? "▲ too many" : "");
    say(fields.inPackets, short(this.inPackets.now));
    say(fields.outPackets, short(this.outPackets.now));
    say(fields.bits, short(8 * this.bytes.now));
    this.chart.draw(this.inPackets, this.outPackets, peak);
    return root;
  }
}

function paintState(element, state, text = state) {
  const name = `is-${state}`;
  if (element.className !== name) element.className = name;
  say(element, text);
}

// -- A virtual server ---------------------------------------------------------------------------

class VirtualServer {
  inPackets = new Rate();
  outPackets = new Rate();
  servers = new Keyed(null, () => new RealServer());

  constructor(isOpen) {
    const { root, fields } = copy("service");
    this.root = root;
    this.fields = fields;
    this.chart = new Chart(fields.chart);
    root.open = isOpen;
    root.addEventListener("toggle", () => this.paint(true));
    root.onSight = (isInSight) => (this.isInSight = isInSight);
    sight.observe(root);
  }

  take(data, seconds, missed) {
    this.data = data;
    let [inNow, outNow] = [0, 0];
    this.servers.update(data.real_servers, (server) => server.address, (server, item) => {
      server.take(item, seconds, missed);
      // One that has just come has no rate yet.
      inNow += server.inPackets.now || 0;
      outNow += server.outPackets.now || 0;
    });
    this.inPackets.push(seconds > 0 ? inNow : NaN, missed);
    this.outPackets.push(seconds > 0 ? outNow : NaN, missed);
  }

  paint(always) {
    const { fields, data } = this;
    if (!always && !this.isInSight && this.states) return;
    const servers = this.servers.all;
    const count = (state) => data.real_servers.filter((server) => server.state === state).length;
    const clients = data.real_servers.reduce((sum, server) => sum + server.clients, 0);
    const address = data.address.includes(":") ? `[${data.address}]` : data.address;
    const ports = `${data.ports.slice(0, 4).join(" ")}${data.ports.length > 4 ? ` … (${data.ports.length} ports)` : ""}`;
    say(fields.name, data.name);
    say(fields.address, `${data.name === data.address ? "port" : `${address} port`} ${ports}, ${data.scheduler}`);
    this.states ??= new Keyed(fields.states, () => ({ root: document.createElement("span") }));
    this.states.update(["up", "draining", "down"].filter((state) => count(state) > 0), (state) => state, (object, state) =>
      paintState(object.root, state, `${count(state)} ${state}`));
    say(fields.clients, exact.format(clients));
    say(fields.inPackets, short(this.inPackets.now));
    say(fields.outPackets, short(this.outPackets.now));
    if (!this.root.open) {
      this.chart.draw(this.inPackets, this.outPackets, Math.max(this.inPackets.peak, this.outPackets.peak));
      return;
    }
    say(fields.caption, `Real servers of ${data.name}`);
    const peak = servers.reduce((top, server) => Math.max(top, server.inPackets.peak, server.outPackets.peak), 0);
    const sharedClients = servers.reduce((sum, server) => sum + (server.turns > 0 ? server.data.clients : 0), 0);
    const turns = servers.reduce((sum, server) => sum + server.turns, 0);
    say(fields.scale, peak > 0 ? `to ${short(peak)}` : "");
    // By itself, not by its address: one that has left and come back is another, with a row of its own.
    this.rows ??= new Keyed(fields.rows, (server) => server);
    this.rows.update(servers, (server) => server, (server) => server.paint({ clients, sharedClients, turns, peak }));
  }
}

// -- A daemon -----------------------------------------------------------------------------------

class Daemon {
  isUp = false;
  inPackets = new Rate();
  outPackets = new Rate();
  inBytes = new Rate();
  outBytes = new Rate();
  dropped = new Rate();
  newClients = new Rate();
  forgotten = new Rate();
  events = new Map();

  constructor(name) {
    this.name = name;
    const { root, fields } = copy("daemon");
    this.root = root;
    this.fields = fields;
    fields.name.id = `daemon-${name}`;
    root.setAttribute("aria-labelledby", fields.name.id);
    say(fields.name, name);
    this.chart = new Chart(fields.chart, { labels: true, height: 100 });
    this.dropChart = new Chart(fields.dropChart);
    this.services = new Keyed(fields.services, () => new VirtualServer(this.hasFewServers));
    this.tables = new Keyed(fields.tables, () => copy("table"));
    this.drops = new Keyed(fields.drops, () => copy("decision"));
    this.decisions = new Keyed(fields.decisions, () => copy("decision"));
  }

  /// What the gateway told of it; nothing where it told nothing.
  take(data, missed) {
    const wasUp = this.isUp;
    this.isUp = data?.up === true && data.status != null;
    if (!this.isUp) {
      if (wasUp || !this.goneSince) this.goneSince = this.lastSeen ?? new Date();
      this.error = !data ? "its socket is gone" : (data.error ?? "no answer");
      for (const rate of [this.inPackets, this.outPackets, this.dropped]) rate.push(NaN, missed);
      return;
    }
    this.goneSince = undefined;
    this.lastSeen = new Date();
    const { status, counters } = data;
    // By the daemon's own clock, which knows no delay on the way here; not over a restart.
    const before = this.status;
    const isSame = before?.started_at === status.started_at && before.pid === status.pid;
    const seconds = isSame && wasUp ? status.uptime_seconds - before.uptime_seconds : NaN;
    this.status = status;
    this.counters = counters;
    // Told twice is not two seconds.
    if (isSame && seconds <= 0) return;

    const sums = { in: [0, 0], out: [0, 0], dropped: [0, 0] };
    for (const { event, verdict, packets, bytes } of counters.events) {
      const way = verdict === "drop" ? "dropped" : verdict === "send" ? (event.startsWith("EGRESS") ? "out" : "in") : null;
      if (way) {
        sums[way][0] += packets;
        sums[way][1] += bytes;
      }
      const key = `${event} ${verdict}`;
      if (!this.events.has(key)) this.events.set(key, new Rate());
      this.events.get(key).count(packets, seconds, missed);
    }
    this.inPackets.count(sums.in[0], seconds, missed);
    this.inBytes.count(sums.in[1], seconds, missed);
    this.outPackets.count(sums.out[0], seconds, missed);
    this.outBytes.count(sums.out[1], seconds, missed);
    this.dropped.count(sums.dropped[0], seconds, missed);
    const total = (count) => counters.associations.reduce((sum, family) => sum + count(family), 0);
    this.newClients.count(total(({ created }) => created.by_client + created.by_real_server), seconds, missed);
    this.forgotten.count(total(({ forgotten }) => allClasses(forgotten)), seconds, missed);
    this.takenOver = total(({ created }) => created.taken_over);
    this.byHand = [total((family) => family.moved_by_request), total((family) => family.forgotten_by_request)];
    this.withoutPlace = total((family) => family.without_place);
    this.forgottenInAll = total(({ forgotten }) => allClasses(forgotten));

    this.hasFewServers = data.virtual_servers.reduce((sum, service) => sum + service.real_servers.length, 0) <= FEW_SERVERS;
    this.services.update(data.virtual_servers, (service) => service.name, (service, item) => service.take(item, seconds, missed));
  }

  /// What is wrong, the gravest first.
  get problems() {
    if (!this.isUp) return [`does not answer since ${clock(this.goneSince)}: ${this.error}`];
    return this.status.health.problems;
  }

  paint() {
    const { fields, status, counters } = this;
    classed(this.root, "stale", !this.isUp);
    show(fields.gone, !this.isUp);
    show(fields.dismiss, !this.isUp);
    if (!this.isUp) say(fields.gone, `does not answer since ${clock(this.goneSince)}${status ? "; these are its last numbers" : ""}`);
    show(this.root.querySelector(".tiles"), status != null);
    if (!status) return;

    const now = this.#now;
    say(fields.facts, [
      status.mode ? `${status.mode} mode` : "not attached", `ulb ${status.version}`,
      this.isUp ? `up ${duration(status.uptime_seconds)}` : "", `pid ${status.pid}`,
      `log level ${status.configuration.loglevel}`, status.configuration.config_file ?? "no config file",
    ].filter(Boolean).join(" · "));
    say(fields.inPackets, short(this.inPackets.now));
    say(fields.inBits, bandwidth(this.inBytes.now));
    say(fields.outPackets, short(this.outPackets.now));
    say(fields.outBits, bandwidth(this.outBytes.now));
    this.chart.draw(this.inPackets, this.outPackets, Math.max(this.inPackets.peak, this.outPackets.peak));

    this.tables.update(status.associations, (table) => table.family, paintTable);
    say(fields.newClients, `${short(this.newClients.now)} /s`);
    say(fields.forgotten, `${short(this.forgottenInAll)}${this.forgotten.now > 0 ? `, ${short(this.forgotten.now)} /s` : ""}`);
    classed(fields.forgottenRow, "alarm", this.forgotten.now > 0);
    show(fields.withoutPlaceRow, this.withoutPlace > 0);
    say(fields.withoutPlace, short(this.withoutPlace));
    show(fields.takenOverRow, this.takenOver > 0);
    say(fields.takenOver, short(this.takenOver));
    const [moved, forgotten] = this.byHand;
    show(fields.byHandRow, moved + forgotten > 0);
    say(fields.byHand, `${short(moved)} moved, ${short(forgotten)} forgotten`);

    say(fields.dropRate, short(this.dropped.now));
    this.dropChart.draw(this.dropped, null, this.dropped.peak);
    const drops = counters.events.filter((counter) => counter.verdict === "drop" && counter.packets > 0);
    this.drops.update(drops, eventKey, (row, counter) => this.#paintDecision(row, counter));
    show(fields.noDrops, drops.length === 0);
    const decisions = counters.events.filter((counter) => counter.packets > 0);
    this.decisions.update(decisions, eventKey, (row, counter) => this.#paintDecision(row, counter, true));

    say(fields.inForce, this.#moment(status.last_good_reload_at, now));
    show(fields.reloadRow, status.reload != null);
    show(fields.reloadText, status.reload != null);
    if (status.reload) {
      const { result, at, changes, reason } = status.reload;
      say(fields.reload, `${result} ${this.#moment(at, now)}`);
      const most = 3;
      const left = changes.length > most ? `, and ${changes.length - most} more` : "";
      say(fields.reloadText, reason ?? changes.slice(0, most).join("; ") + left);
      classed(fields.reloadRow, "alarm", result === "refused");
    }
    const file = status.state_file;
    say(fields.save, !file ? "no state file" : file.failure ? `failed: ${file.failure}`
      : file.saved_at ? `${duration(file.age_seconds)} ago` : "none yet");
    classed(fields.saveRow, "alarm", file?.failure != null);
    say(fields.lost, exact.format(counters.daemon.events_lost));
    classed(fields.lostRow, "caution", counters.daemon.events_lost > 0);
    show(fields.followedRow, status.followed_clients.length > 0);
    say(fields.followed, status.followed_clients.join(" "));
    this.#paintSharing(status.sync, now);
    for (const service of this.services.all) service.paint(this.hasFewServers);
  }

  /// With which directors it shares its clients, and how far behind these are.
  #paintSharing(sync, now) {
    const { fields } = this;
    show(fields.sharingRow, sync != null);
    if (!sync) return;
    const isConnected = !sync.stale && sync.redis.state === "connected";
    const most = 4;
    const names = sync.peers.map((peer) => peer.director);
    const left = names.length > most ? ` and ${names.length - most} more` : "";
    say(fields.sharing, sync.stale ? "ulb-sync tells nothing any more"
      : !isConnected ? `Redis ${sync.redis.state}`
        : names.length > 0 ? `with ${names.slice(0, most).join(", ")}${left}` : "with no other director");
    const peers = sync.peers.slice(0, most).map(({ director, lag_ms: lag, seen }) =>
      `${director}: ${lag == null ? "" : `${Math.round(lag)} ms behind, `}seen ${duration((now - new Date(seen)) / 1000)} ago`);
    say(fields.sharingText, isConnected ? peers.join("; ") : (sync.redis.error ?? `by ${sync.redis.server}`));
    classed(fields.sharingRow, "alarm", !isConnected);
    classed(fields.sharingRow, "caution", isConnected && names.length === 0);
  }

  #paintDecision({ fields }, counter, withVerdict = false) {
    const text = EVENTS[counter.event] ?? counter.event;
    say(fields.text, withVerdict ? `${counter.verdict}: ${text}` : text);
    fields.text.title = counter.event;
    say(fields.rate, `${short(this.events.get(eventKey(counter))?.now)} /s`);
    say(fields.packets, short(counter.packets));
  }

  /// The daemon's own clock, which its times are told by.
  get #now() {
    return new Date(Date.parse(this.status.started_at) + 1000 * this.status.uptime_seconds);
  }

  #moment(text, now) {
    const date = new Date(text);
    return `${duration((now - date) / 1000)} ago (${clock(date)})`;
  }
}

const eventKey = ({ event, verdict }) => `${event} ${verdict}`;
const allClasses = ({ newcomer, answered, resident }) => newcomer + answered + resident;

function paintTable({ root, fields }, table) {
  const clients = allClasses(table.clients);
  say(fields.family, table.family === "ipv4" ? "IPv4" : "IPv6");
  say(fields.clients, exact.format(clients));
  say(fields.limit, `of ${exact.format(table.limit)}`);
  say(fields.percent, `${percent(clients, table.limit)} full`);
  width(fields.bar, clients / table.limit);
  classed(root, "alarm", clients >= 0.9 * table.limit);
  const { resident, answered, newcomer } = table.clients;
  const isOneClass = resident + answered === 0;
  show(fields.classes, !isOneClass);
  if (!isOneClass) say(fields.classes, `${short(resident)} resident, ${short(answered)} answered, ${plural(newcomer, "newcomer")}`);
}

// -- The page as a whole ------------------------------------------------------------------------

const page = named(document);
const main = document.getElementById("main");
const daemons = new Map();
let live = false;
let goneSince;
let lastMessage;

function takeMessage({ daemons: told }) {
  const now = performance.now();
  const missed = lastMessage === undefined ? 0 : Math.max(0, Math.round((now - lastMessage) / 1000) - 1);
  lastMessage = now;
  live = true;
  goneSince = undefined;
  for (const { interface: name } of told) {
    if (daemons.has(name)) continue;
    const daemon = new Daemon(name);
    daemon.fields.dismiss.addEventListener("click", () => {
      dismiss(daemon);
      paint();
    });
    daemons.set(name, daemon);
    main.append(daemon.root);
  }
  for (const daemon of daemons.values()) {
    const data = told.find((data) => data.interface === daemon.name);
    // A daemon that was up and is not told of any more is not forgotten: that is news. One that never
    // answered has another name now, that of its interface.
    if (!data && !daemon.status) dismiss(daemon);
    else daemon.take(data, missed);
  }
  paint();
}

function dismiss(daemon) {
  daemons.delete(daemon.name);
  daemon.root.remove();
}

function paint() {
  for (const daemon of daemons.values()) daemon.paint();
  paintVerdict();
}

/// What is wrong. It is read out by screen readers, so that it is touched only where it changes.
function paintVerdict() {
  const problems = [];
  for (const daemon of daemons.values()) {
    for (const problem of daemon.problems) problems.push(`${daemon.name}: ${problem}`);
  }
  let state = "good";
  let headline = "Nothing is wrong";
  if (goneSince) {
    state = "bad";
    headline = `The gateway has told nothing since ${clock(goneSince)}: is ulb-web.service running? Trying again each second.`;
  } else if (!live) {
    state = "unknown";
    headline = "Connecting to the gateway…";
  } else if (daemons.size === 0) {
    state = "bad";
    headline = "No daemon answers on this machine: is ulb@INTERFACE.service running, and is the gateway in the group ulb?";
  } else if (problems.length > 0) {
    state = "bad";
    headline = plural(problems.length, "problem");
  }
  if (goneSince) problems.length = 0;
  page.verdict.dataset.state = state;
  say(page.headline, headline);
  const before = [...page.problems.children].map((item) => item.textContent);
  if (before.join("\n") !== problems.join("\n")) {
    page.problems.replaceChildren(...problems.map((problem) => {
      const item = document.createElement("li");
      item.textContent = problem;
      return item;
    }));
  }
  page.link.dataset.state = goneSince ? "gone" : live ? "live" : "unknown";
  say(page.linkText, goneSince ? `no news since ${clock(goneSince)}` : live ? `live on ${location.host}` : "connecting");
  classed(main, "stale", goneSince !== undefined);
  document.title = state === "good" ? "✓ ulb" : state === "bad" ? `▲ ${goneSince ? "gateway gone" : headline.split(":")[0]} · ulb` : "ulb";
}

// -- The stream ---------------------------------------------------------------------------------

let source;
let silence;

/// An EventSource gives up for good where the gateway answers with an error, and notices late that a
/// machine is gone: so its end is watched for here, and a new one made.
function connect() {
  source?.close();
  source = new EventSource("/api/stream");
  source.onmessage = (message) => {
    listen();
    takeMessage(JSON.parse(message.data));
  };
  source.onerror = lose;
  listen();
}

function listen() {
  clearTimeout(silence);
  silence = setTimeout(lose, SILENCE_MS);
}

function lose() {
  source.close();
  clearTimeout(silence);
  silence = setTimeout(connect, RETRY_MS);
  goneSince ??= new Date();
  live = false;
  paintVerdict();
}

// -- The search for a client --------------------------------------------------------------------

/// The query for what somebody typed: an address with its port, an address, or a network.
function clientQuery(text) {
  if (text.includes("/")) return { network: text };
  if (/^\[.*\]:\d+$/.test(text) || /^[\d.]+:\d+$/.test(text)) return { client: text };
  const address = text.replace(/^\[|\]$/g, "");
  return { network: `${address}/${address.includes(":") ? 128 : 32}` };
}

/// Searches so far: only the last one's answer is wanted.
let searches = 0;

async function find(text) {
  searches += 1;
  const number = searches;
  const query = new URLSearchParams({ ...clientQuery(text), limit: "100", count: "true" });
  const up = [...daemons.values()].filter((daemon) => daemon.isUp);
  const answers = await Promise.all(up.map(async (daemon) => {
    try {
      const answer = await fetch(`/api/${encodeURIComponent(daemon.name)}/v1/associations?${query}`);
      const body = await answer.json();
      if (!answer.ok) return { error: `${daemon.name}: ${body.detail ?? answer.status}` };
      return { count: body.count ?? body.associations.length, entries: body.associations.map((entry) => ({ ...entry, interface: daemon.name })) };
    } catch {
      return { error: `${daemon.name}: no answer from the gateway` };
    }
  }));
  if (number !== searches) return;
  const entries = answers.flatMap((answer) => answer.entries ?? []);
  const errors = answers.flatMap((answer) => answer.error ?? []);
  const count = answers.reduce((sum, answer) => sum + (answer.count ?? 0), 0);
  if (up.length === 0) errors.push("no daemon answers");
  say(page.foundTitle, `${text}: ${count === 0 ? "no client known" : plural(count, "association")}`);
  say(page.foundText, [...errors, entries.length < count ? `The first ${entries.length} are shown.` : ""].filter(Boolean).join(" "));
  page.foundRows.replaceChildren(...entries.map((entry) => {
    const { root, fields } = copy("found-row");
    say(fields.client, entry.client);
    say(fields.virtualServer, entry.virtual_server);
    say(fields.realServer, entry.real_server);
    say(fields.class, entry.class);
    say(fields.lastUsed, lastUsed(entry.last_used));
    say(fields.interface, entry.interface);
    return root;
  }));
  show(page.foundTable, entries.length > 0);
  show(page.found, true);
  page.foundTitle.focus();
}

/// A moment that is known within bounds.
function lastUsed(span) {
  const [after, before] = [span?.after, span?.before].map((text) => text && clock(new Date(text)));
  if (after && before) return after === before ? after : `${after} to ${before}`;
  return after ? `after ${after}` : before ? `before ${before}` : "not known";
}

page.search.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = page.search.elements.client.value.trim();
  if (text) find(text);
});
page.close.addEventListener("click", () => {
  searches += 1;
  show(page.found, false);
  page.search.elements.client.focus();
});

// -- Light and dark -----------------------------------------------------------------------------

const THEMES = ["auto", "light", "dark"];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  say(page.theme, `Theme: ${theme}`);
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // Where nothing may be stored, it lasts as long as the page.
  }
}

page.theme.addEventListener("click", () => {
  const now = document.documentElement.dataset.theme;
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
});
setTheme((() => {
  try {
    const theme = localStorage.getItem("theme");
    return THEMES.includes(theme) ? theme : "auto";
  } catch {
    return "auto";
  }
})());

connect();
