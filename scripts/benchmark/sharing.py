"""What it takes to share associations: two directors with ulb and ulb-sync, and a real Redis, on the
network of scripts/topology; nothing else makes them a fleet. IPv4, as the limits are."""
import contextlib
import json
import os
import statistics
import subprocess
import time

from measure import SAVED
from network import (ADDRESSES, PATIENCE, PORTS, SERVERS, VIRTUAL, Connection, Daemon, Failed,
                     Topology, cpu_time, memory)
from redis_costs import BUCKETS
from redis_server import RedisServer, encoded

RATE, FILLING_RATE = 10_000, 200_000  # new clients a second
BEGINNING = 2  # s of load before it is looked at
LOAD, LOAD_QUICK = 15, 5  # s that it is looked at
NOTED = 500  # one of so many new clients is looked for
SAMPLES, SAMPLES_QUICK = 400, 300
EARLIEST, PITCH = 0.02, 0.005  # s after which a client is looked for, and from look to look
LOST = 10  # s after which it is looked for no more
AWAY = 3  # s that Redis is away
NO_PLACE = 20  # clients of all that a table may have no place for, as limits.PUSHED_OUT_LIMIT has it
REPEATED, REPEATED_QUICK = 3, 1
FIRST_CLIENTS = [f"11.{network}.0.0" for network in range(0, 256, 32)]
PREFIX = "ulb:{ulb}:"
SOME = [f"{PREFIX}a:{VIRTUAL[4]}:{bucket}" for bucket in range(64)]  # of the hashes of clients
COUNT = """local sum = 0
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do sum = sum + redis.call('HLEN', key) end
return sum"""


def client(first, number):
    """The client of that number, as arrivals has it."""
    network = first.rsplit(".", 2)[0]
    host = 1 + (number >> 15)
    return f"{network}.{host >> 8}.{host & 255}:{1024 + (number & 0x7fff)}"


def wait(what, condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what} within {PATIENCE} s")
        time.sleep(0.02)


def reach(count, number, who, step=0.02):
    """Waits until a number has come to a count."""
    deadline = time.monotonic() + PATIENCE
    while (present := number()) < count:
        if time.monotonic() > deadline:
            raise Failed(f"of {count} clients {who} knows {present} after {PATIENCE} s")
        time.sleep(step)


class Member:
    """A director of a fleet."""

    def __init__(self, measurements, executable, host, name):
        self.measurements, self.executable = measurements, executable
        self.host, self.name = host, name
        self.folder = measurements.lab.folder
        self.sync = None

    def start(self):
        self.daemon = Daemon(
            self.measurements.lab, self.host, self.measurements.executables["ulb"], "-vs", VIRTUAL[4],
            "-rs", *SERVERS[4], "-p", *PORTS, "-ma", SAVED + SAVED // 8)
        self.connection = Connection(self.daemon.socket)

    def start_sync(self):
        path = f"{self.folder}/sync-{self.name}"
        with open(f"{path}.conf", "w") as file:
            print(f"redis = redis://{ADDRESSES['redis_ipv4']}", f"director = {self.name}",
                  f"control = {self.daemon.socket}", sep="\n", file=file)
        with open(f"{path}.log", "w") as log:
            self.sync = self.host.start(self.executable, "--config", f"{path}.conf", "lb0",
                                        stdout=log, stderr=log)

    def stop(self):
        self.connection.close()
        self.host.stop()
        self.sync = None

    def ask(self, target):
        return json.loads(self.connection.ask("GET", target).read())

    @property
    def processes(self):
        return [(f"ulb {self.name}", self.daemon.process), (f"ulb-sync {self.name}", self.sync)]

    @property
    def count(self):
        """How many associations it has."""
        return self.ask("/v1/associations?count=true&limit=0")["count"]

    @property
    def peers(self):
        """Who shares with it, as far as it knows."""
        sync = self.ask("/v1/status").get("sync") or {}
        return {peer["director"] for peer in sync.get("peers", [])}

    def knows(self, client):
        return bool(self.ask(f"/v1/associations/{client}")["associations"])


class Fleet(Topology):
    """Two directors, and a Redis."""

    def __init__(self, measurements, executable):
        super().__init__(measurements.lab, "fleet", 2, 0)
        self.measurements = measurements
        self.gateway, self.redis_host = self.host("gw"), self.host("redis")
        self.directors = [
            Member(measurements, executable, self.host(f"lb{number}", f"gwl{number}"), name)
            for number, name in enumerate("AB", 1)]
        self.first_clients = iter(FIRST_CLIENTS)

    def start_redis(self):
        folder = f"{self.lab.folder}/redis"
        os.makedirs(folder, exist_ok=True)
        self.redis = RedisServer(
            folder, self.redis_host.start, "--port", 6379, "--bind", ADDRESSES["redis_ipv4"],
            "--protected-mode", "no", "--loglevel", "warning")

    @contextlib.contextmanager
    def arrivals(self, rate, clients, *options):
        """New clients at the first director; yields a dictionary that has their first one's address,
        and at the end what came of them."""
        host, result = self.directors[0].host, {"first": next(self.first_clients)}
        process = self.gateway.start(
            f"{self.measurements.tools}/arrivals", "-v", VIRTUAL[4], "-c", result["first"], "-p",
            PORTS[0], "-n", rate, "-t", clients, *options, f"{self.measurements.tools}/flooded.o",
            f"ulb={host.wire},{self.lab.mac(host.namespace, 'lb0')}",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            result["began"] = json.loads(process.stdout.readline() or "{}").get("began")
            yield result
        except BaseException:
            process.terminate()
            raise
        finally:
            output, errors = process.communicate(timeout=PATIENCE)
            self.gateway.processes.remove(process)
        if process.returncode:
            raise Failed(f"arrivals: {errors.strip()}")
        result.update(json.loads(output))
        if result["answered"] < 0.99 * clients:
            raise Failed(f"of {clients} new clients only {result['answered']} were answered")

    @property
    def known_of_some(self):
        """How many clients Redis knows in some hashes: it is asked often, and has other things to do."""
        return sum(self.redis.connection.ask_all([encoded("HLEN", key) for key in SOME]))

    @property
    def known(self):
        """How many clients Redis knows."""
        return self.redis.connection.ask("EVAL", COUNT, 0, PREFIX + "a:*")


def spent(processes, work):
    """How long it takes, and what processes have a CPU for meanwhile: s and {name: s}."""
    before, start = {name: cpu_time(process) for name, process in processes.items()}, time.monotonic()
    work()
    took = time.monotonic() - start
    return round(took, 2), {name: round(cpu_time(process) - before[name], 3)
                            for name, process in processes.items()}


def shares(processes, seconds):
    """The shares of a CPU that processes have while one waits: {name: share}."""
    took, times = spent(processes, lambda: time.sleep(seconds))
    return {name: round(spent / took, 4) for name, spent in times.items()}


def load(fleet, seconds):
    """What all take while new clients come, without ulb-sync and with it: {"rate", "without": {name:
    share of a CPU}, "with": …, "memory": {name: bytes at most}}."""
    result, clients = {"rate": RATE}, RATE * (BEGINNING + seconds)
    daemons = {f"ulb {director.name}": director.daemon.process for director in fleet.directors}
    with fleet.arrivals(RATE, clients):
        time.sleep(BEGINNING)
        result["without"] = shares(daemons, seconds - BEGINNING)
    for director in fleet.directors:
        director.start_sync()
    names = {director.name for director in fleet.directors}
    for director in fleet.directors:
        wait(f"{director.name} did not hear of the others",
             lambda: director.peers == names - {director.name})
    first, second = fleet.directors
    reach(first.count, lambda: second.count, "B")
    syncs = {f"ulb-sync {director.name}": director.sync for director in fleet.directors}
    with fleet.arrivals(RATE, clients):
        time.sleep(BEGINNING)
        result["with"] = shares(
            {**daemons, **syncs, "redis-server": fleet.redis.process}, seconds - BEGINNING)
    result["memory"] = {name: memory(process)["most"] for name, process in syncs.items()}
    return result


def lag(fleet, samples):
    """ms from when an answer has gone through the first director until the second one knows the client:
    {"samples", "median", "late": of one of a hundred, "longest"}."""
    other, spacing = fleet.directors[1], NOTED / RATE
    with fleet.arrivals(RATE, samples * NOTED, "-k", NOTED) as arrived:
        began = arrived["began"] / 1e9
        due = [(began + number * spacing + EARLIEST, number) for number in range(samples)]
        due.reverse()
        sought, found = [], {}
        while due or sought:
            start = time.monotonic()
            while due and due[-1][0] <= start:
                sought.append(due.pop())
            for each in list(sought):
                looked_for, number = each
                is_known = other.knows(client(arrived["first"], number * NOTED))
                now = time.monotonic()
                if is_known:
                    found[number] = now
                if is_known or now > looked_for + LOST:
                    sought.remove(each)
            time.sleep(max(0, start + PITCH - time.monotonic()))
    # Whose packet was lost on its way is not known to the first one either.
    times = [(found[number] - answered / 1e9) * 1000 if number in found else float("inf")
             for number, answered in enumerate(arrived["times"]) if answered]
    times.sort()
    if times[-1] == float("inf"):
        raise Failed(f"of {len(times)} clients that A knows B knows {len(found)}")
    return {"samples": len(times), "median": round(statistics.median(times), 1),
            "late": round(times[int(len(times) * 0.99)], 1), "longest": round(times[-1], 1)}


def whole(fleet, times):
    """A million clients: {"associations", "written": s until Redis has what one director knows,
    "memory": octets that it takes for that, "stream": and for the changes it keeps, "read": [s until a
    director that starts has all], "back": s from when Redis is there again, empty, until it has all,
    "cpu": {which of these: [{name: s}]}, "most": {name: bytes that ulb-sync has at most}}."""
    first, second = fleet.directors
    for director in fleet.directors:
        director.stop()
    fleet.redis.kill()
    fleet.redis.start()
    before = fleet.redis.memory()
    first.start()
    with fleet.arrivals(FILLING_RATE, SAVED) as filled:
        pass
    count = first.count
    result = {"associations": count, "read": [], "cpu": {"written": [], "read": [], "back": []}}

    def took(what, work, *directors):
        seconds, cpu = spent(
            {"redis-server": fleet.redis.process,
             **{name: process for director in directors for name, process in director.processes}}, work)
        result["cpu"][what].append(cpu)
        return seconds

    # Who counts all takes time from those that are measured: some of them are looked for before.
    some = SAVED * len(SOME) // BUCKETS * 0.95

    def redis_knows():
        reach(some, lambda: fleet.known_of_some, "Redis")
        reach(count, lambda: fleet.known, "Redis", 0.1)

    def second_knows():
        for number in range(0, SAVED, SAVED // len(SOME)):
            sought = client(filled["first"], number)
            wait(f"B did not know {sought}", lambda: second.knows(sought))
        reach(count - NO_PLACE, lambda: second.count, "B", 0.1)

    first.start_sync()
    result["written"] = took("written", redis_knows, first)
    some = fleet.known_of_some
    stream = fleet.redis.connection.ask("MEMORY", "USAGE", PREFIX + "changes", "SAMPLES", 0)
    result.update(memory=fleet.redis.memory() - before - stream, stream=stream)
    for turn in range(times):
        if turn:
            second.stop()
        second.start()
        second.start_sync()
        result["read"].append(took("read", second_knows, second))
    fleet.redis.kill()
    time.sleep(AWAY)
    fleet.redis.start()
    result["back"] = took("back", redis_knows, first, second)
    result["most"] = {director.name: memory(director.sync)["most"] for director in fleet.directors}
    return result


def sharing(measurements, executable):
    """All of it, with an executable of ulb-sync: {"load": …, "lag": …, "whole": …}."""
    with Fleet(measurements, executable) as fleet:
        fleet.start_redis()
        for director in fleet.directors:
            director.start()
        return {
            "load": load(fleet, LOAD_QUICK if measurements.quick else LOAD),
            "lag": lag(fleet, SAMPLES_QUICK if measurements.quick else SAMPLES),
            "whole": whole(fleet, REPEATED_QUICK if measurements.quick else REPEATED)}
