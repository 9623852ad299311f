"""The measurements, each a dictionary that goes into the JSON as it is. Knows no limits."""
import concurrent.futures
import json
import os
import re
import signal
import statistics
import time
import types

from network import PORT, PORTS, SCRIPTS, SERVERS, VIRTUAL, Failed, command, inside
from virtual_servers import (MANY, MIDDLE, config_text, of_both_families, ports_in_common,
                             ports_of_their_own, replace_file, virtual_server)

KNOWN = ["hot", "flows:1000", "egress:1", "egress:1000"]
ANSWERED = ["hot", "flows:1000", "answers:1", "answers:1000"]
PLACES_OF_PROGRAMS = 5  # directors of a kind: each has its program somewhere else in memory
PASSED = ["tcp", "other"]
SCENARIOS = [*KNOWN, *PASSED, "random:1000000", "new"]
IN_FULL_TABLE = ["flows:1000", "egress:1000"]
AT_ONCE = ["flows:1000", "new"]
NEAR = 150  # ns, more than a cache line takes between two CPUs of one cache and back
PATIENCE, TRIES = 15, 2  # seconds to wait for CPUs to be near; they may part again
CLIENT = {4: "11.0.0.1", 6: "fd11::1"}
DEFAULT_SIZE = 1 << 20  # of the association table
# Memory is charged by pages, which is to be of no matter in the smallest of these.
MEMORY_SIZES = [10_000, 100_000, 1_000_000, DEFAULT_SIZE, 3_000_000]
ASSOCIATION_TABLES = ("associations", "clients")  # in each version, whatever follows
EXPONENTS = [0.6, 0.8, 1.0, 1.2]
MULTIPLES = [2, 4, 16]
ANSWERED_MULTIPLE = 2  # × --max_associations clients, each of whose packets is answered
PROBATION = 1.6  # s, more than --probation is by default
FLOODED_SIZES = [1 << 16, 1 << 20]  # of the association table
ESTABLISHED = [10, 40, 80, 95]  # % of that
SETTLING = 0.1  # s that a config file is to stay as it is before the daemon believes it
SAVED = 1_000_000  # associations
KERNEL_HEADERS = f"{os.path.dirname(SCRIPTS)}/bpf-templates/kernel-headers"


class Measurements:
    """What is measured, on which executables and how thoroughly."""

    def __init__(self, lab, tools, executables, quick):
        self.lab, self.tools, self.executables, self.quick = lab, tools, executables, quick
        self.rounds = 5 if quick else 11
        self.round_length = 200_000 if quick else 500_000
        self.count = self.files = 0

    def director_name(self):
        self.count += 1
        return f"d{self.count}"

    def started(self, executable, **options):
        return self.lab.ulb(self.director_name(), executable, **options)

    def packets(self, family):
        """The options of all tools that say which packets are sent."""
        return ["-v", VIRTUAL[family], "-r", SERVERS[family][0], "-c", CLIENT[family], "-p", PORT]

    def lines(self, tool, *arguments, within=()):
        """What a tool says, by lines of JSON."""
        output = command(*within, f"{self.tools}/{tool}", *arguments)
        return [json.loads(line) for line in output.splitlines()]

    def packet_cost(self, family, scenarios, directors, *options, rounds=None):
        """Medians in ns a packet: {scenario: {target: ns}}; and the floor's table in bytes."""
        result, table = {}, None
        for row in self.lines(
                "packet-cost", *self.packets(family), "-n", self.round_length,
                "-R", rounds or self.rounds, "-s", ",".join(scenarios), *options,
                f"{self.tools}/driver.o",
                *(f"{name}={director.where}" for name, director in directors.items())):
            if "bytes" in row:
                table = row["bytes"]
            else:
                result.setdefault(row["scenario"], {})[row["target"]] = {
                    "ns": round(statistics.median(row["ns"]), 1), "rounds": row["ns"],
                    "action": row["action"], "line": row.get("line")}
        return result, table

    def all_started(self, family, **options):
        """A director with a fresh daemon for each executable."""
        return {name: self.started(path, family=family, **options)[0]
                for name, path in self.executables.items()}

    def scenarios(self, family):
        """All scenarios, in fresh daemons: a full table is slower than an empty one. Then those of clients
        that come into the table which the last of them has filled."""
        directors = self.all_started(family)
        result, _ = self.packet_cost(family, SCENARIOS, directors)
        full, _ = self.packet_cost(family, IN_FULL_TABLE, directors)
        result |= {f"full {scenario}": row for scenario, row in full.items()}
        for director in directors.values():
            director.stop()
        return result

    def wait_for_near_cpus(self):
        """A hypervisor moves CPUs about, to one cache and apart again."""
        deadline = time.monotonic() + PATIENCE
        while self.lines("line-trip", 0, 1)[0]["line"] > NEAR and time.monotonic() < deadline:
            time.sleep(0.5)

    def counters(self, family):
        """A packet's cost with counters, and how many ns more that is than without them, in the same
        rounds and over the same tables: {scenario: {"ns", "more"}}."""
        director, _ = self.started(self.executables["ulb"], family=family)
        source = command(self.executables["ulb"], "--render", "lb0", "-vs", VIRTUAL[family],
                         "-rs", *SERVERS[family], "-p", *PORTS)
        command(f"{self.tools}/variant", director.where, "lo", "#define COUNTERS_ON 1",
                "#define COUNTERS_ON 0", stdin=self.lab.text(source),
                env={**os.environ, "BCC_KERNEL_SOURCE": KERNEL_HEADERS})
        without = types.SimpleNamespace(where=f"{director.namespace}:lo")
        costs, _ = self.packet_cost(
            family, [*KNOWN, *PASSED], {"without": without, "with": director})
        director.stop()
        return {scenario: {"ns": row["with"]["ns"], "more": round(statistics.median(
            more - less for more, less in zip(row["with"]["rounds"], row["without"]["rounds"])), 1)}
            for scenario, row in costs.items()}

    def classes(self, family):
        """A packet's cost with classes, and how many ns more that is than without them (--probation 0), in
        the same rounds: {scenario: {"ns", "more"}}, of new clients, of those that were not answered, or
        not heard yet, and of residents. Each is the median of several directors: where in memory its
        program is makes a difference of 1 ns."""
        # One server, which all clients are with, and answers.
        options = {"family": family, "servers": ["-rs", SERVERS[family][0]]}
        directors, daemons = {}, []
        for number in range(PLACES_OF_PROGRAMS):
            directors[f"with {number}"], daemon = self.started(self.executables["ulb"], **options)
            directors[f"without {number}"], _ = self.started(
                self.executables["ulb"], arguments=["--probation", "0"], **options)
            daemons.append(daemon)

        def cost(scenarios, **more):
            return self.packet_cost(family, scenarios, directors, **more)[0]

        costs = cost(KNOWN)
        for scenario in ANSWERED:
            cost([scenario], rounds=1)
        time.sleep(PROBATION)
        cost(["flows:1000"], rounds=1)
        for daemon in daemons:
            residents = daemon.association_table(family)["clients"]["resident"]
            if residents < 1000:
                raise Failed(f"of 1,000 answered clients {residents} are residents")
        costs |= {f"resident {scenario}": row for scenario, row in cost(ANSWERED).items()}
        costs |= cost(["new"])
        for director in directors.values():
            director.stop()

        def rounds(row, kind):
            return map(statistics.median, zip(*(
                row[f"{kind} {number}"]["rounds"] for number in range(PLACES_OF_PROGRAMS))))

        return {scenario: {
            "ns": round(statistics.median(rounds(row, "with")), 1),
            "more": round(statistics.median(
                more - less for more, less in zip(rounds(row, "with"), rounds(row, "without"))), 1)}
            for scenario, row in costs.items()}

    def flood(self, family, size, percent, packets, answers, spacing=None):
        """Established, silent clients and those of them that are known after a flood of ten times the
        table's size of forged sources."""
        director, _ = self.started(
            self.executables["ulb"], family=family, servers=["-rs", SERVERS[family][0]],
            arguments=["-ma", size])
        row, = self.lines(
            "flood", *self.packets(family), "-a", size, "-e", percent, "-k", packets, "-w", answers,
            *(["-s", spacing] if spacing else []), f"{self.tools}/replay.o", director.where)
        director.stop()
        return {"size": size, "percent": percent, "packets": packets, "answers": answers,
                "spacing": spacing, **row}

    def floods(self, family):
        """All kinds of them; and two packets of each source spaced by more than the probation."""
        sizes = FLOODED_SIZES[:1] if self.quick else FLOODED_SIZES
        percents = ESTABLISHED[-1:] if self.quick else ESTABLISHED
        rows = [self.flood(family, size, percent, packets, answers)
                for size in sizes for percent in percents for packets in (1, 2, 3)
                for answers in ("none", "proof", "all")]
        spaced = [self.flood(family, sizes[0], percent, 2, "all", spacing=1600)
                  for percent in percents]
        return {"floods": rows, "spaced": spaced}

    def two_cpus(self, family):
        """ns a packet on one CPU and on two at once, in the same rounds:
        {scenario: {target: {"one": ns, "two": ns, "speedup": times as many packets,
        "line": ns that a cache line takes between the CPUs and back}}}."""
        if os.cpu_count() < 2:
            return None
        best = None
        for _ in range(TRIES):
            self.wait_for_near_cpus()
            directors = self.all_started(family)
            costs, _ = self.packet_cost(
                family, [f"{name}@2" for name in AT_ONCE], directors, rounds=min(7, self.rounds))
            for director in directors.values():
                director.stop()
            result = {name: {target: {
                "one": costs[name][target]["ns"], "two": row["ns"],
                "speedup": statistics.median(2 * one / two for one, two in zip(
                    costs[name][target]["rounds"], row["rounds"])),
                "line": statistics.median(row["line"])}
                for target, row in costs[f"{name}@2"].items()} for name in AT_ONCE}
            line = max(row["ulb"]["line"] for row in result.values())
            if not best or line < best[0]:
                best = line, result
            if line < NEAR:
                break
        return best[1]

    def meeting(self, family):
        """Two CPUs with the same new clients at the same instants, and each with its own:
        {executable: {"same" or "own": {…}}}."""
        if os.cpu_count() < 2:
            return None
        result = {}
        for name, path in self.executables.items():
            # One server, so that none can be the wrong one; a table that is full at once.
            director, _ = self.started(path, family=family, servers=["-rs", SERVERS[family][0]],
                                       arguments=["-ma", 1 << 14])
            rows = self.lines("meeting", *self.packets(family), "-n",
                              100_000 if self.quick else 1_000_000, f"{self.tools}/meeting.o",
                              director.where)
            director.stop()
            result[name] = {row.pop("clients"): row for row in rows}
        return result

    def hit_ratio(self, family):
        """Hits of the program and of an exact order: {executable: [{…} for each trace]}."""
        size = 1 << (13 if self.quick else 16)
        traces = ",".join(f"{exponent}:{multiple}"
                          for exponent in EXPONENTS for multiple in MULTIPLES)
        result = {}
        for name, path in self.executables.items():
            director, _ = self.started(path, family=family, arguments=["-ma", size])
            result[name] = self.lines(
                "hit-ratio", *self.packets(family), "-a", size, "-z", traces,
                "-n", 64 * size, f"{self.tools}/replay.o", director.where)
            director.stop()
        return result

    def hit_ratio_answered(self, family):
        """The same where a real server answers each packet, and time passes in which clients become
        residents: [{…} for each trace]. Mostly it waits: all traces run at once."""
        size = 1 << (13 if self.quick else 16)
        executable = self.executables["ulb"]
        directors = [self.started(executable, family=family, servers=["-rs", SERVERS[family][0]],
                                  arguments=["-ma", size])[0] for _ in EXPONENTS]

        def run(exponent, director):
            return self.lines(
                "hit-ratio", *self.packets(family), "-a", size,
                "-z", f"{exponent}:{ANSWERED_MULTIPLE}", "-n", (1 if self.quick else 6) << 19,
                "-w", round(1000 * PROBATION), f"{self.tools}/replay.o", director.where)

        with concurrent.futures.ThreadPoolExecutor() as pool:
            rows = [row for rows in pool.map(run, EXPONENTS, directors) for row in rows]
        for director in directors:
            director.stop()
        return rows

    def survival(self):
        """What gets through of known clients' packets while a director of two CPUs, or as many as
        there are, is flooded at full speed: {target: {…}}. IPv4."""
        size = FLOODED_SIZES[0]
        queues = {"queues": os.cpu_count()}
        ulb, _ = self.started(self.executables["ulb"], arguments=["-ma", size], **queues)
        original = self.lab.director(self.director_name(), **queues)
        directors = {"ulb": ulb, "one LRU hash": original,
                     "nftables": self.lab.nftables(self.director_name(), **queues)}
        rows = self.lines(
            "survival", *self.packets(4), "-a", size, "-o", original.where,
            "-t", 1 if self.quick else 3, f"{self.tools}/flooded.o",
            *(self.lab.injected(name, director) for name, director in directors.items()),
            within=inside(self.lab.gateway))
        for director in directors.values():
            director.stop()
        return {row.pop("target"): row for row in rows}

    def pushed_out(self, family):
        """Clients that a table forgets while as many new ones come as it is for."""
        result = {}
        for name, path in self.executables.items():
            director, _ = self.started(path, family=family, arguments=["-ma", DEFAULT_SIZE])
            row, = self.lines("hit-ratio", *self.packets(family), "-a", DEFAULT_SIZE, "-f",
                              f"{self.tools}/replay.o", director.where)
            director.stop()
            result[name] = {**row, "pushed_out": row["clients"] - row["held"]}
        return result

    def table_memory(self, director):
        """Bytes that the kernel charges for the association table of a director's program."""
        return sum(row["bytes"] for row in self.lines("table-memory", director.where)
                   if row["table"].startswith(ASSOCIATION_TABLES))

    def memory(self, family):
        """The same over its size: {executable: {size: bytes}}."""
        result = {}
        for name, path in self.executables.items():
            result[name] = {}
            for size in MEMORY_SIZES:
                director, _ = self.started(path, family=family, arguments=["-ma", size])
                result[name][size] = self.table_memory(director)
                director.stop()
        return result

    def large(self, family):
        """A known client's packet in the smallest and in the largest set-up."""
        path = self.config_file(family, 4096, 0, first_of_all=SERVERS[family])
        small, _ = self.started(self.executables["ulb"], family=family)
        large, _ = self.started(
            self.executables["ulb"], family=family, servers=["-cfg", path],
            ports=range(PORT, PORT + 64),
            arguments=["-mp", 64, "-mrs", 4096, "-ma", 1 << 24])
        result, _ = self.packet_cost(family, KNOWN, {"small": small, "large": large})
        small.stop()
        large.stop()
        return {scenario: {name: row[name]["ns"] for name in ("small", "large")}
                for scenario, row in result.items()}

    def config_file(self, family, count, first, first_of_all=(), scheduler=None):
        """A config file of so many real servers; another `first` gives other ones."""
        servers = [f"10.{80 + (i >> 16)}.{i >> 8 & 255}.{i & 255}" if family == 4
                   else f"fd70:{i >> 16:x}:{i & 0xffff:x}::2"
                   for i in range(first, first + count - len(first_of_all))]
        return replace_file(f"{self.lab.folder}/servers{family}.cfg",
                            config_text([*first_of_all, *servers], scheduler=scheduler))

    def end_to_end(self, family):
        """Packets a second that come back to the gateway: {target: {median, rounds}}."""
        directors = {"bounce": self.lab.bounce(self.director_name(), f"{self.tools}/driver.o")}
        for name, path in self.executables.items():
            directors[name], _ = self.started(path, family=family)
        if family == 4:
            directors["nftables"] = self.lab.nftables(self.director_name())
            directors["nginx"] = self.lab.nginx(self.director_name())
        result = self.throughput(family, directors)
        for director in directors.values():
            director.stop()
        return result

    def end_to_end_with_events(self, family):
        """The same for the default level and for DEBUG, where each packet is an event."""
        quiet, _ = self.started(self.executables["ulb"], family=family)
        debug, daemon = self.started(
            self.executables["ulb"], family=family, arguments=["-l", "DEBUG"])
        # The daemon still writes events when its turn is over: half a second of rest.
        result = self.throughput(family, {"ulb": quiet, "ulb -l DEBUG": debug}, "-w", 500)
        quiet.stop()
        debug.stop()
        lost = re.findall(r"WARNING: (\d+) events lost", daemon.log())
        result["ulb -l DEBUG"]["events_lost"] = sum(map(int, lost))
        os.unlink(daemon.log_path)
        return result

    def throughput(self, family, directors, *options):
        rows = self.lines(
            "throughput", *self.packets(family), "-n", 500_000 if self.quick else 1_000_000,
            "-R", 5 if self.quick else 10, *options, f"{self.tools}/driver.o",
            *(self.lab.injected(name, director) for name, director in directors.items()),
            within=inside(self.lab.gateway))
        return {row["target"]: {"median": statistics.median(row["returned"]),
                                "returned": row["returned"], "sent": row["sent"]} for row in rows}

    def start_up(self):
        """Of one virtual server, for each executable."""
        return {name: self.starts(path) for name, path in self.executables.items()}

    def starts(self, executable, **options):
        """Medians in ms of the steps of a start, of the time to READY=1, and memory in bytes."""
        steps, ready, memory = {}, [], None
        for _ in range(3 if self.quick else 7):
            director, daemon = self.started(executable, **options)
            ready.append(daemon.ready_after * 1000)
            memory = {**daemon.memory(), "table": self.table_memory(director)}
            director.stop()
            director, daemon = self.started(
                executable, **{**options, "arguments": [
                    *options.get("arguments", ()), "-l", "DEBUG"]})
            for line in re.findall(r"^Start: (.*)\.$", daemon.log(), re.MULTILINE):
                for step, ms in re.findall(r"(\w+) ([\d.]+) ms", line):
                    steps.setdefault(step, []).append(float(ms))
            director.stop()
        return {"ready_ms": statistics.median(ready),
                "steps_ms": {step: statistics.median(times) for step, times in steps.items()},
                "memory": memory}

    def reload(self, counts=None, scheduler=None):
        """ms until a list of as many, all new, real servers is in force: {count: [ms]}."""
        result, first = {}, 0
        path = self.config_file(4, 1, first, scheduler=scheduler)
        director, daemon = self.started(
            self.executables["ulb"], servers=["-cfg", path],
            arguments=["-mrs", 4096, "-l", "DEBUG"])
        seen = 0
        if not counts:
            counts = [1, 64, 1024, 4096] if self.quick else [1, 4, 16, 64, 256, 1024, 4096]
        for count in counts:
            # The first list of a size takes the place of a shorter one, the others of one as long.
            for turn in range(3 if self.quick else 4):
                first += 4096
                self.config_file(4, count, first, scheduler=scheduler)
                daemon.process.send_signal(signal.SIGHUP)
                seen += 1
                ms = float(daemon.wait_for(
                    r"Real servers: in force after ([\d.]+) ms", count=seen))
                if turn:
                    result.setdefault(count, []).append(ms)
        director.stop()
        return result

    def table_sizes(self, family):
        """ns a packet over the size of the table, and its memory: {exponent: {…}}. Known are a
        few clients; spread are half as many as the table is for, in random order."""
        result = {}
        for exponent in (10, 14, 17, 20) if self.quick else (10, 14, 17, 20, 22, 24):
            size = 1 << exponent
            director, daemon = self.started(
                self.executables["ulb"], family=family, arguments=["-ma", size])
            known, spread = f"flows:{min(1000, size // 2)}", f"random:{size // 2}"
            costs, floor = self.packet_cost(
                family, [known, spread], {"ulb": director}, "-a", size,
                rounds=5 if self.quick else 7)
            result[exponent] = {
                "known": {target: row["ns"] for target, row in costs[known].items()},
                "spread": {target: row["ns"] for target, row in costs[spread].items()},
                "memory": {**daemon.memory(), "table": self.table_memory(director),
                           "sticky": floor}}
            director.stop()
        return result

    # Several virtual servers. Only the present executable is known to have them.

    def servers_file(self, servers, scheduler=None, path=None):
        """A config file of these virtual servers, the first of them the command line's; a new file
        for each daemon, as it looks at it all its life."""
        first, *others = servers
        self.files += not path
        return replace_file(path or f"{self.lab.folder}/virtual-servers{self.files}.cfg",
                            config_text(first.servers, others, scheduler))

    def started_with(self, servers, path=None, scheduler=None):
        first = servers[0]
        return self.started(
            self.executables["ulb"], family=first.family, address=first.address, ports=first.ports,
            servers=["-cfg", path or self.servers_file(servers, scheduler)])

    def known_costs(self, server, port, directors):
        """What a known client's packet costs that is of a virtual server's: {scenario: {target: …}}
        with ns, and with how many ns more than the first target's, in the same rounds."""
        costs, _ = self.packet_cost(
            server.family, KNOWN, directors, "-v", server.address, "-r", server.servers[0],
            "-p", port, rounds=min(7, self.rounds))
        one = next(iter(directors))
        result = {}
        for scenario, row in costs.items():
            for name in directors:
                if row[name]["action"] != "TX":
                    raise Failed(f"{name}: {scenario} is not served")
            result[scenario] = {name: {"ns": row[name]["ns"], "more": round(statistics.median(
                many - few for many, few in zip(row[name]["rounds"], row[one]["rounds"])), 1)}
                for name in directors}
        return result

    def virtual_servers(self, family):
        """The cost of one of many virtual servers beside that of the same alone:
        {which ports they have, and the packet: {scenario: {target: {"ns", "more"}}}}."""
        in_common, _ = self.started_with(of_both_families(ports_in_common))
        of_their_own, _ = self.started_with(of_both_families(ports_of_their_own))
        server = virtual_server(family, MIDDLE, ports_of_their_own(MIDDLE))
        alone, _ = self.started_with([server])
        common, own = server.ports
        result = {
            "same ports": self.known_costs(
                server, common, {"1 virtual server": alone, MANY: in_common}),
            "own ports, at the common one": self.known_costs(
                server, common, {"1 virtual server": alone, MANY: of_their_own}),
            "own ports, at its own": self.known_costs(
                server, own, {"1 virtual server": alone, MANY: of_their_own})}
        for director in (in_common, of_their_own, alone):
            director.stop()
        return result

    def both_families(self, family):
        """One virtual server of each family beside one alone: {scenario: {target: …}}."""
        server, other = (virtual_server(which) for which in (family, 10 - family))
        alone, _ = self.started_with([server])
        both, _ = self.started_with([server, other])
        result = self.known_costs(server, PORT, {"one family": alone, "both": both})
        alone.stop()
        both.stop()
        return result

    def schedulers(self, family):
        """ns for a new client's packet: {scheduler: ns}."""
        directors = {scheduler: self.started_with(
            [virtual_server(family)], scheduler=scheduler)[0]
                     for scheduler in ("round-robin", "maglev")}
        costs, _ = self.packet_cost(family, ["new"], directors, rounds=min(7, self.rounds))
        for director in directors.values():
            director.stop()
        return {name: costs["new"][name]["ns"] for name in directors}

    def start_up_of_many(self):
        path = self.servers_file(of_both_families(ports_in_common))
        return self.starts(self.executables["ulb"], servers=["-cfg", path])

    def changes(self):
        """One of many virtual servers is changed, by turns its ports and its address: ms from the
        file's replacement until the change is in force, where the daemon sees it by itself and where
        it is asked to look; and from its having been asked and the file having settled to the
        program's being compiled: {"seen": […], "asked": […], "compiled": […]}."""
        servers = of_both_families(ports_of_their_own)
        changed = next(i for i, server in enumerate(servers)
                       if server.number == MIDDLE and server.family == 4)
        path = self.servers_file(servers)
        director, daemon = self.started_with(servers, path)
        result = {"seen": [], "asked": [], "compiled": []}
        turns = 4 if self.quick else 8
        for turn in range(2 * turns):
            server = servers[changed]
            servers[changed] = (
                server._replace(ports=[*server.ports, 6000 + turn]) if turn % 2
                else server._replace(address=f"10.60.2.{turn}"))
            # At another time between two looks of the daemon each.
            time.sleep(turn % turns / turns)
            start = time.monotonic()
            self.servers_file(servers, path=path)
            is_asked = turn >= turns
            if is_asked:
                asked = time.clock_gettime(time.CLOCK_BOOTTIME)
                daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for("Program compiled anew and swapped in", count=turn + 1, step=0.005)
            result["asked" if is_asked else "seen"].append((time.monotonic() - start) * 1000)
            if is_asked:
                loaded = self.lines("load-time", director.where)[0]["loaded"] / 1e9
                result["compiled"].append((loaded - asked - SETTLING) * 1000)
        director.stop()
        return {name: [round(ms, 1) for ms in times] for name, times in result.items()}

    # The state file.

    def saving(self, family):
        """ms of the daemon's loop that a save of a million associations takes, those of its longest
        piece, and ms by which a start with them is later: {"saved": […], "piece": …,
        "restored": […], "associations": …}."""
        path = f"{self.lab.folder}/state"
        options = {"family": family, "arguments": ["--state", path, "--state_interval", 1]}
        director, daemon = self.started(self.executables["ulb"], **options)
        self.packet_cost(family, [f"random:{SAVED}"], {"ulb": director}, rounds=1)
        saved, restored = [], []
        # The first save may have begun before all were there.
        self.wait_for_save(path)
        before = daemon.loop_time()
        for _ in range(3 if self.quick else 5):
            self.wait_for_save(path)
            # Between two saves the loop sleeps.
            now = daemon.loop_time()
            saved.append((now - before) * 1000)
            before = now
        piece = self.longest_piece(daemon, path)
        director.stop()
        for _ in range(3 if self.quick else 5):
            director, daemon = self.started(self.executables["ulb"], family=family)
            without = daemon.ready_after
            director.stop()
            director, daemon = self.started(self.executables["ulb"], **options)
            restored.append((daemon.ready_after - without) * 1000)
            count = int(daemon.wait_for(r"Restored (\d+) association"))
            director.stop()
        os.unlink(path)
        return {"associations": count, "saved": [round(ms, 1) for ms in saved],
                "piece": round(piece, 2), "restored": [round(ms, 1) for ms in restored]}

    @staticmethod
    def file_number(path):
        return os.stat(path).st_ino

    def wait_for_save(self, path):
        """Until another file has taken the place of the present one, and the loop knows it."""
        before, deadline = self.file_number(path), time.monotonic() + PATIENCE
        while self.file_number(path) == before:
            if time.monotonic() > deadline:
                raise Failed("the associations were not saved")
            time.sleep(0.01)
        time.sleep(0.1)

    def longest_piece(self, daemon, path):
        """ms of a CPU that the loop takes at most at one time during a save. It is looked at all
        the time; two pieces that lie between two looks count as one."""
        before, deadline = self.file_number(path), time.monotonic() + PATIENCE
        turns = {}
        while self.file_number(path) == before:
            if time.monotonic() > deadline:
                raise Failed("the associations were not saved")
            spent, turn = daemon.loop_schedule()
            turns[turn] = spent
        ends = list(turns.values())
        return max(after - before for before, after in zip(ends, ends[1:])) * 1000
