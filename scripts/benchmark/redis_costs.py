"""What Redis takes for what ulb-sync asks of it, measured with a Redis of one's own and the script of
Sources/Sync: what scripts/simulate-fleet simulates with."""
import os
import re
import statistics
import subprocess
import tempfile
import time

from redis_server import Connection, RedisFailed, RedisServer, encoded

SOURCES = f"{os.path.dirname(os.path.realpath(__file__))}/../../Sources/Sync"
with open(f"{SOURCES}/files/write.lua", "rb") as file:
    SCRIPT = file.read()
with open(f"{SOURCES}/RecordCoding.swift") as file:
    # Hashes that the clients of a virtual server are spread over.
    BUCKETS = int(re.search(r"static let buckets: UInt16 = (\d+)", file.read())[1])
# Asked with each XREAD, see Sources/Sync/SharedState.swift.
CHECK = "return {redis.call('GET', KEYS[2]), redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]}"
PREFIX, STREAM = b"ulb:{ulb}:", b"ulb:{ulb}:changes"
VIRTUAL_SERVER, DIRECTOR = b"coap", b"director-a"
NOW = 1_764_428_400_000  # ms
ROUNDS = 5
READERS = 10  # that wait for one entry: with one alone, Redis falling asleep would be measured
# Fills Redis faster than a batch after the other: clients as change() has them, in hashes by chance.
FILL = """math.randomseed(tonumber(ARGV[2]))
for number = ARGV[2], ARGV[3] - 1 do
  redis.call('HSET', ARGV[1] .. math.random(0, ARGV[4] - 1),
    struct.pack('>I4I2', 0x0b000000 + math.floor(number / 32768), 1024 + number % 32768),
    struct.pack('>I2I4I1I1I1I1I1', ARGV[5], ARGV[6] + number / 10, 1, 10, 70, number % 3, 2))
end"""
FILLED_AT_ONCE = 20_000


def of_octet(octet):
    remainder = octet << 8
    for _ in range(8):
        remainder = remainder << 1 ^ (0x1021 if remainder & 0x8000 else 0)
    return remainder & 0xffff


CRC16 = [of_octet(octet) for octet in range(256)]


def change(number):
    """An answered client: its hash, field, value and head, as Sources/Sync/RecordCoding.swift has them."""
    field = (0x0b000000 + (number >> 15)).to_bytes(4, "big") + (1024 + (number & 0x7fff)).to_bytes(2, "big")
    bucket = 0
    for octet in field:
        bucket = bucket << 8 & 0xffff ^ CRC16[bucket >> 8 ^ octet]
    value = (NOW + number // 10).to_bytes(6, "big") + bytes([1, 10, 70, number % 3, 2])
    head = (bytes([1, len(VIRTUAL_SERVER)]) + VIRTUAL_SERVER
            + len(field).to_bytes(2, "big") + len(value).to_bytes(2, "big"))
    return b"a:%b:%d" % (VIRTUAL_SERVER, bucket % BUCKETS), field, value, head


class Costs:
    """Measures on a Redis whose stream keeps so many entries."""

    def __init__(self, redis, stream):
        self.redis, self.asking, self.stream = redis, redis.connection, stream
        self.number, self.empty = 0, redis.memory()
        self.asking.ask("SET", PREFIX + b"id", "1")
        self.script = self.asking.ask("SCRIPT", "LOAD", SCRIPT)

    def batch(self, records):
        """A command with clients that are new."""
        words = [word for number in range(self.number, self.number + records) for word in change(number)]
        self.number += records
        return encoded("EVALSHA", self.script, 1, STREAM, PREFIX, 1, DIRECTOR, NOW, self.stream, *words)

    def fill(self, clients):
        """Until it knows so many."""
        script = self.asking.ask("SCRIPT", "LOAD", FILL)
        while self.number < clients:
            end = min(clients, self.number + FILLED_AT_ONCE)
            self.asking.ask("EVALSHA", script, 0, PREFIX + b"a:" + VIRTUAL_SERVER + b":", self.number, end,
                            BUCKETS, NOW >> 32, NOW & 0xffffffff)
            self.number = end

    @property
    def memory(self):
        """Octets that each client takes, without the stream."""
        stream = self.asking.ask("MEMORY", "USAGE", STREAM, "SAMPLES", 0) or 0
        return (self.redis.memory() - self.empty - stream) / self.number

    def time_of(self, work, times):
        """Seconds of Redis' time that a piece of work takes, in the median of some rounds."""
        costs = []
        for _ in range(ROUNDS):
            before = self.redis.cpu_time()
            for _ in range(times):
                work()
            costs.append((self.redis.cpu_time() - before) / times)
        return statistics.median(costs)

    def time_of_batches(self, records, times):
        """One after the other, as ulb-sync writes what it has collected."""
        batches = [self.batch(records) for _ in range(ROUNDS * times)]
        return self.time_of(lambda: self.asking.ask_all([batches.pop()]), times)

    def question(self, position, entries, *options):
        return (encoded("XREAD", "COUNT", entries, *options, "STREAMS", STREAM, position)
                + encoded("EVAL", CHECK, 2, STREAM, PREFIX + b"id"))

    def read(self, connection):
        """Entries that a question is answered with."""
        answer = connection.answer()
        connection.answer()
        return answer[0][1] if answer else []

    @property
    def end(self):
        return self.asking.ask("XREVRANGE", STREAM, "+", "-", "COUNT", 1)[0][0]

    def time_of_reads(self, entries, records, times):
        """Of so many entries of so many records that are there; and their octets in the answer."""
        position = self.end
        for _ in range(entries):
            self.asking.ask_all([self.batch(records)])
        question = self.question(position, entries)

        def ask():
            self.asking.socket.sendall(question)
            return self.read(self.asking)
        found = ask()
        if len(found) != entries:
            raise RedisFailed(f"of {entries} entries of the stream {len(found)} are read")
        return self.time_of(ask, times), sum(len(encoded_entry(entry)) for entry in found)

    def time_of_wakes(self, entries, times):
        """Of a batch of one record, and of telling it each of READERS that wait for it."""
        readers, position = [Connection(self.redis.path) for _ in range(READERS)], self.end
        batches = [self.batch(1) for _ in range(ROUNDS * times)]

        def wake():
            nonlocal position
            for reader in readers:
                reader.socket.sendall(self.question(position, entries, "BLOCK", 1000))
            # Until they wait.
            time.sleep(0.001)
            self.asking.ask_all([batches.pop()])
            position = [self.read(reader)[-1][0] for reader in readers][0]
        cost = self.time_of(wake, times)
        for reader in readers:
            reader.close()
        return cost


def encoded_entry(entry):
    """As it stands in an answer."""
    position, members = entry
    return b"*2\r\n$%d\r\n%b\r\n" % (len(position), position) + encoded(*members)


def measured(clients, batch, stream, at_once):
    """All costs: what COSTS of scripts/simulate-fleet is. `clients` are how many a Redis may have: {name:
    number}; those of a record and of memory are by these names."""
    def start(*words, **options):
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], stdin=subprocess.DEVNULL,
                                start_new_session=True, **options)

    with tempfile.TemporaryDirectory(prefix="ulb-costs-") as folder:
        redis = RedisServer(folder, start, "--loglevel", "warning")
        try:
            costs = Costs(redis, stream)
            record, memory = {}, {}
            for name, number in sorted(clients.items(), key=lambda item: item[1]):
                costs.fill(number)
                memory[name] = costs.memory
                small, large = costs.time_of_batches(1, 2000), costs.time_of_batches(batch, 50)
                record[name] = (large - small) / (batch - 1)
            one, one_octets = costs.time_of_reads(1, 1, 2000)
            many, many_octets = costs.time_of_reads(at_once, 1, 500)
            big, big_octets = costs.time_of_reads(at_once, batch, 50)
            read_byte = (big - many) / (big_octets - many_octets)
            read_entry = (many - one - (many_octets - one_octets) * read_byte) / (at_once - 1)
            woken = (costs.time_of_wakes(at_once, 400) - small) / READERS
            out = (big_octets - many_octets) / at_once / (batch - 1)
            return {
                "batch": small - record[name], "record": record,
                "wake": woken - read_entry - one_octets * read_byte,
                "read_entry": read_entry, "read_byte": read_byte,
                "in_byte": (len(costs.batch(batch)) - len(costs.batch(1))) / (batch - 1),
                "out_byte": out, "out_entry": one_octets - out, "memory": memory}
        finally:
            redis.kill()
