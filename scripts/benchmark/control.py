"""What the control socket and ulbctl cost. Each measurement is a dictionary that goes into the JSON."""
import json
import statistics
import threading
import time

from measure import SAVED
from network import Connection, Failed, command

MOST_SERVERS = 4096
FOLLOWED = [f"10.50.0.{n}:5683" for n in range(1, 9)]
PATIENCE = 30  # seconds


class MemoryWatch(threading.Thread):
    """The most anonymous memory that a daemon has while it is watched, in bytes."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.of, self.most, self.is_over = daemon, 0, threading.Event()

    def run(self):
        while not self.is_over.wait(0.002):
            self.most = max(self.most, self.of.memory()["anonymous"])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.join()


def milliseconds(work, times):
    """Of each time."""
    result = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        result.append((time.perf_counter() - start) * 1000)
    return result


def answers(measurements):
    """ms until an answer is there whole, over a connection of its own each time, of a daemon with
    4,096 real servers: {target: {"median": …, "longest": …}}."""
    path = measurements.config_file(4, MOST_SERVERS, 0)
    director, daemon = measurements.started(
        measurements.executables["ulb"], servers=["-cfg", path], arguments=["-mrs", MOST_SERVERS])
    result = {}
    for target in ("/v1/status", "/v1/virtual-servers", "/v1/counters", "/metrics"):
        def ask():
            connection = Connection(daemon.socket)
            connection.ask("GET", target).read()
            connection.close()
        ask()
        times = milliseconds(ask, 50 if measurements.quick else 200)
        result[target] = {"median": round(statistics.median(times), 2),
                          "longest": round(max(times), 2)}
    director.stop()
    return result


def listing(measurements, family):
    """A million associations as JSON lines: {"associations": …, "seconds": …, "bytes": …,
    "memory": bytes that the daemon needs more while it lists them}, for each order."""
    director, daemon = measurements.started(
        measurements.executables["ulb"], family=family, arguments=["-ma", SAVED + SAVED // 8])
    measurements.packet_cost(family, [f"random:{SAVED}"], {"ulb": director}, rounds=1)
    result = {}
    connection = Connection(daemon.socket)
    expected = json.loads(connection.ask(
        "GET", "/v1/associations?count=true&limit=0").read())["count"]
    connection.close()
    for order in ("table", "idle"):
        before = daemon.memory()["anonymous"]
        with MemoryWatch(daemon) as watch:
            start = time.perf_counter()
            connection = Connection(daemon.socket)
            response = connection.ask(
                "GET", f"/v1/associations?order={order}", Accept="application/jsonl")
            size = lines = 0
            while piece := response.read(1 << 20):
                size += len(piece)
                lines += piece.count(b"\n")
            seconds = time.perf_counter() - start
            connection.close()
        result[order] = {"associations": lines, "expected": expected, "seconds": round(seconds, 2), "bytes": size,
                         "memory": max(0, watch.most - before)}
    director.stop()
    return result


def following(measurements):
    """ms until as many clients as can be are followed, from the request to the first sign that they
    are; ms until the program before is back, from the connection's end: {"begun": […], "ended": […]}."""
    director, daemon = measurements.started(measurements.executables["ulb"])
    status = Connection(daemon.socket)

    def followed():
        return json.loads(status.ask("GET", "/v1/status").read())["followed_clients"]

    def swaps():
        return json.loads(status.ask("GET", "/v1/counters").read())["daemon"]["swaps"]

    result = {"begun": [], "ended": []}
    query = "&".join(f"client={client}" for client in FOLLOWED)
    for _ in range(3 if measurements.quick else 7):
        start = time.perf_counter()
        connection = Connection(daemon.socket)
        response = connection.ask("GET", f"/v1/events?{query}")
        if b"ready" not in response.readline():
            raise Failed("the stream of events does not begin with ready")
        result["begun"].append(round((time.perf_counter() - start) * 1000, 1))
        if len(followed()) != len(FOLLOWED):
            raise Failed("not all clients are followed")
        before = swaps()
        start = time.perf_counter()
        response.close()
        connection.close()
        while followed() or swaps() == before:
            if time.perf_counter() > start + PATIENCE:
                raise Failed("the program before does not come back")
            time.sleep(0.005)
        result["ended"].append(round((time.perf_counter() - start) * 1000, 1))
    director.stop()
    return result


def idle(measurements):
    """The share of a CPU that a daemon takes that has nothing to do: {"share": …, "seconds": …}."""
    director, daemon = measurements.started(measurements.executables["ulb"])
    time.sleep(2)
    seconds = 10 if measurements.quick else 60
    before, start = daemon.cpu_time(), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - start
    result = {"share": (daemon.cpu_time() - before) / took, "seconds": round(took)}
    director.stop()
    return result


def ulbctl(measurements, executable):
    """ms of whole runs: {"--version": […], "status": […]}, the second of a daemon that runs."""
    director, daemon = measurements.started(measurements.executables["ulb"])
    times = 10 if measurements.quick else 30
    result = {
        "--version": milliseconds(lambda: command(executable, "--version"), times),
        "status": milliseconds(
            lambda: command(executable, "status", "--socket", daemon.socket), times)}
    director.stop()
    return {name: round(statistics.median(row), 1) for name, row in result.items()}
