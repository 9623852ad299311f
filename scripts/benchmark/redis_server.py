"""A Redis of one's own: no file of the machine's is read, and nothing is saved."""
import os
import shutil
import socket
import subprocess
import time

PATIENCE = 30  # seconds


class RedisFailed(Exception):
    """Redis does not start, or refuses a command."""


def require():
    if not shutil.which("redis-server"):
        raise RedisFailed("redis-server is not installed; scripts/setup bench does it")


def encoded(*words):
    """A command, as it is sent."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class Connection:
    """One command after the other, or many at once, over a Unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.file = self.socket.makefile("rb", 1 << 20)

    def ask(self, *words):
        return self.ask_all([encoded(*words)])[0]

    def ask_all(self, commands):
        """The answers of encoded commands, none of which may be refused."""
        self.socket.sendall(b"".join(commands))
        return [self.answer() for _ in commands]

    def answer(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise RedisFailed("Redis has gone")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisFailed(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return self.file.read(size + 2)[:-2] if size >= 0 else None
        if kind == b"*":
            count = int(rest)
            return [self.answer() for _ in range(count)] if count >= 0 else None
        return rest.decode()

    def info(self, section):
        """The members of a section of INFO."""
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def close(self):
        self.file.close()
        self.socket.close()


class RedisServer:
    """redis-server with its files in a folder, at a Unix socket and wherever `options` say."""

    def __init__(self, folder, start, *options):
        """`start` starts a process of words, as subprocess.Popen does."""
        require()
        self.path = f"{folder}/redis.sock"
        self.words = ["redis-server", "--port", 0, "--unixsocket", self.path, "--dir", folder,
                      "--save", "", "--appendonly", "no", *options]
        self.launch = start
        self.start()

    def start(self):
        """Starts it, empty, and waits until it answers."""
        self.process = self.launch(*map(str, self.words), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.connection = Connection(self.path)
                break
            except OSError:
                if self.process.poll() is not None:
                    said = self.process.stdout.read().decode().strip().splitlines()
                    raise RedisFailed(f"redis-server ended: {said[-1] if said else ''}") from None
                if time.monotonic() > deadline:
                    raise RedisFailed("redis-server does not answer") from None
                time.sleep(0.005)
        self.connection.ask("PING")

    def kill(self):
        """Ends it at once, as a loss of power does."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.connection.close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def cpu_time(self):
        """Seconds that its one thread which carries out commands has had a CPU for."""
        cpu = self.connection.info("cpu")
        return sum(float(cpu[f"used_cpu_{kind}_main_thread"]) for kind in ("user", "sys"))

    def memory(self):
        return int(self.connection.info("memory")["used_memory"])
