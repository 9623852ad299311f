"""Honest new clients while a director is flooded with forged sources: libcoap's servers over DTLS, and
servers that write first, on the network of scripts/topology."""
import collections
import contextlib
import ctypes
import json
import os
import resource
import selectors
import socket
import subprocess
import time

from network import (ADDRESSES, PATIENCE, PORT, SERVERS, VIRTUAL, Daemon, Failed, Topology,
                     command, inside)

SIZE = 1 << 16  # of the association table: a flood renews it several times a second
RATE = 400_000  # forged packets a second that are tried
DTLS_PORT, FIRST_WORDS_PORT = PORT + 1, PORT + 2
# Of clients that are written to first. None that the system gives to another client of that address:
# what it was to the director, this one would be.
FIRST_CLIENT_PORT = 10_000
FILLING = 3  # s of flood before the first client comes
# How many, in how many s they begin, for how many s each talks.
CLIENTS, BEGIN, TALK = 1000, 5, 10
QUICK = 200, 1, 3
AGAIN, TIMES = 2, 4  # s after which a message is sent again, and how often in all
CLONE_NEWNET = 0x40000000
KINDS = {4: socket.AF_INET, 6: socket.AF_INET6}
LIBC = ctypes.CDLL(None, use_errno=True)


def location(address):
    return f"coap://[{address}]/who" if ":" in address else f"coap://{address}/who"


class Network(Topology):
    """A network with a libcoap server on each real server, which has its name in a resource."""

    def __init__(self, lab):
        super().__init__(lab, "up", 3)
        self.client, self.gateway = self.host("client"), self.host("gw")
        self.director = self.host("lb", "gwl")
        self.servers = [self.host(f"srv{i}") for i in (1, 2, 3)]

    @contextlib.contextmanager
    def coap_servers(self, family):
        for i, (host, address) in enumerate(zip(self.servers, SERVERS[family]), 1):
            host.start("coap-server-openssl", "-A", address, "-p", PORT, "-d", 1, "-k", "secret",
                       "-h", "hint", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + PATIENCE
            said, name = "", f"srv{i}"
            while said.strip() != name:
                if time.monotonic() > deadline:
                    raise Failed(f"coap-server-openssl at {address} does not answer")
                with contextlib.suppress(Failed):
                    client = [*inside(host.namespace), "coap-client-openssl", "-B", 2]
                    command(*client, "-m", "put", "-e", name, location(address))
                    said = command(*client, location(address))
        try:
            yield
        finally:
            for host in self.servers:
                host.stop()

    @contextlib.contextmanager
    def flood(self, measurements, family):
        """A flood of the director; yields a dictionary that has at the end what came of it."""
        result = {}
        process = self.gateway.start(
            f"{measurements.tools}/flood-at", *measurements.packets(family), "-n", RATE,
            f"{measurements.tools}/flooded.o",
            f"ulb=gwl,{self.lab.mac(self.director.namespace, 'lb0')}",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        start = time.monotonic()
        time.sleep(FILLING)
        try:
            yield result
        finally:
            took = time.monotonic() - start
            process.terminate()
            output, errors = process.communicate(timeout=PATIENCE)
            self.gateway.processes.remove(process)
        if process.returncode:
            raise Failed(f"flood-at: {errors.strip()}")
        result.update(json.loads(output), seconds=round(took, 1))
        # What the director's queue had no room for never came to it.
        result["rate"] = round(result["came_out"] / took)

    def udp_socket(self, host, family, address, port):
        """A UDP socket of a host, which it stays on."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{host.namespace}") as there:
            if LIBC.setns(there.fileno(), CLONE_NEWNET):
                raise Failed(f"enter {host.namespace}: {os.strerror(ctypes.get_errno())}")
            try:
                result = socket.socket(KINDS[family], socket.SOCK_DGRAM)
            finally:
                LIBC.setns(home.fileno(), CLONE_NEWNET)
        result.bind((address, port))
        result.setblocking(False)
        return result


class FirstWords:
    """Real servers that write first to clients that never sent, each second for some time: each
    message is answered at once, and is sent again where its answer does not come."""

    def __init__(self, network, family, clients, seconds):
        self.family, self.rounds = family, seconds
        self.servers = [network.udp_socket(host, family, address, FIRST_WORDS_PORT)
                        for host, address in zip(network.servers, SERVERS[family])]
        address = ADDRESSES[f"client_ipv{family}"]
        self.clients = [
            network.udp_socket(network.client, family, address, FIRST_CLIENT_PORT + number)
            for number in range(clients)]
        self.addresses = [client.getsockname()[:2] for client in self.clients]
        self.answered = [set() for _ in self.clients]
        self.strayed = set()  # whose answers came to another server, or from another address
        self.mistranslated = set()  # who was written to by another than the virtual server
        self.again = 0

    def close(self):
        for each in [*self.servers, *self.clients]:
            each.close()

    def send(self, client, turn):
        with contextlib.suppress(BlockingIOError):
            self.servers[client % len(self.servers)].sendto(
                f"{client} {turn}".encode(), self.addresses[client])

    def hear_client(self, number):
        with contextlib.suppress(BlockingIOError):
            while True:
                data, source = self.clients[number].recvfrom(2048)
                if source[:2] != (VIRTUAL[self.family], FIRST_WORDS_PORT):
                    self.mistranslated.add(number)
                self.clients[number].sendto(data, source)

    def hear_server(self, server):
        with contextlib.suppress(BlockingIOError):
            while True:
                data, source = self.servers[server].recvfrom(2048)
                client, turn = map(int, data.split())
                if source[:2] != self.addresses[client] or client % len(self.servers) != server:
                    self.strayed.add(client)
                else:
                    self.answered[client].add(turn)

    def run(self):
        """All to their end: how many were answered in each turn by the right client."""
        selector = selectors.DefaultSelector()
        for number, each in enumerate(self.clients):
            selector.register(each, selectors.EVENT_READ, (self.hear_client, number))
        for number, each in enumerate(self.servers):
            selector.register(each, selectors.EVENT_READ, (self.hear_server, number))
        start = time.monotonic()
        due = collections.deque(
            (start + turn + client / len(self.clients), client, turn)
            for turn in range(self.rounds) for client in range(len(self.clients)))
        waiting = collections.deque()  # messages on their way, in the order of their time
        while due or waiting:
            now = time.monotonic()
            while due and due[0][0] <= now:
                _, client, turn = due.popleft()
                self.send(client, turn)
                waiting.append((now + AGAIN, client, turn, 1))
            while waiting and waiting[0][0] <= now:
                _, client, turn, times = waiting.popleft()
                if turn in self.answered[client] or times == TIMES:
                    continue
                self.again += 1
                self.send(client, turn)
                waiting.append((now + AGAIN, client, turn, times + 1))
            following = min((queue[0][0] for queue in (due, waiting) if queue), default=now)
            for key, _ in selector.select(max(0, following - now)):
                hear, number = key.data
                hear(number)
        selector.close()
        succeeded = sum(
            len(turns) == self.rounds and number not in self.strayed | self.mistranslated
            for number, turns in enumerate(self.answered))
        return {"clients": len(self.clients), "succeeded": succeeded, "strayed": len(self.strayed),
                "mistranslated": len(self.mistranslated), "sent_again": self.again}


def honest(measurements):
    """New clients during a flood, of each family: {family: {"flood": …, "handshakes": what
    dtls-clients says, "first_words": what FirstWords does, "is_under_pressure": …}}."""
    clients, begin, talk = QUICK if measurements.quick else (CLIENTS, BEGIN, TALK)
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    result = {}
    with Network(measurements.lab) as network:
        for family in (4, 6):
            with network.coap_servers(family):
                daemon = Daemon(
                    measurements.lab, network.director, measurements.executables["ulb"], "-vs",
                    VIRTUAL[family], "-rs", *SERVERS[family], "-p", PORT, DTLS_PORT,
                    FIRST_WORDS_PORT, "-ma", SIZE)
                result[family] = row = {}
                with network.flood(measurements, family) as row["flood"]:
                    row["is_under_pressure"] = daemon.association_table(
                        family)["under_pressure"]
                    row["handshakes"], = measurements.lines(
                        "dtls-clients", "-v", VIRTUAL[family], "-p", DTLS_PORT, "-n", clients,
                        "-b", begin, "-t", talk, within=inside(network.client.namespace))
                    with contextlib.closing(FirstWords(network, family, clients, talk)) as words:
                        row["first_words"] = words.run()
                network.director.stop()
    return result
