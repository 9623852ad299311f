"""The benchmark's network and what runs in it. All of it is gone when a Lab is closed.

A gateway, and beside it any number of directors, each on a wire of its own, so that they can be
measured in turn without being set up anew:

    gateway (g0, g1, …) ──── director (lb0)

All directors have the addresses of scripts/addresses. Real servers are addresses behind the gateway:
what is sent to them is counted there.
"""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
import types

PATIENCE = 60  # seconds
SCRIPTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
with open(f"{SCRIPTS}/addresses") as addresses:
    ADDRESSES = dict(line.strip().split("=") for line in addresses if not line.startswith("#"))
VIRTUAL = {family: ADDRESSES[f"virtual_server_ipv{family}"] for family in (4, 6)}
SERVERS = {family: [ADDRESSES[f"real_server_ipv{family}"].replace("N", str(i)) for i in (1, 2, 3)]
           for family in (4, 6)}
PORT = 5683
PORTS = [PORT, PORT + 1]


class Failed(Exception):
    """The benchmark cannot go on."""


def command(*words, **options):
    """Runs a command to its end, out of reach of Ctrl-C; its standard output."""
    words = [str(word) for word in words]
    process = subprocess.Popen(words, text=True, start_new_session=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, **options)
    try:
        output, errors = process.communicate()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        raise Failed(f"{' '.join(words)}: {(errors or output).strip()}")
    return output


def inside(namespace):
    return ["nsenter", f"--net=/run/netns/{namespace}"]


def cpu_time(process):
    """Seconds that all threads of a process have had a CPU for."""
    tasks, seconds = f"/proc/{process.pid}/task", 0
    for task in os.listdir(tasks):
        with open(f"{tasks}/{task}/schedstat") as file:
            seconds += int(file.read().split()[0]) / 1e9
    return seconds


def memory(process):
    """Bytes: anonymous and resident memory of a process, and the most that was resident."""
    with open(f"/proc/{process.pid}/status") as file:
        status = file.read()
    return {name: int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) * 1024
            for name, field in (("anonymous", "RssAnon"), ("resident", "VmRSS"), ("most", "VmHWM"))}


class Connection(http.client.HTTPConnection):
    """HTTP over a daemon's control socket."""

    def __init__(self, path):
        super().__init__("ulb", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, target, body=None, **headers):
        """An answer of status 200, not read yet."""
        self.request(method, target, body, headers)
        response = self.getresponse()
        if response.status != 200:
            raise Failed(f"{method} {target}: {response.status} {response.read().decode()}")
        return response


class Director:
    """A host that is to balance; what does it is started in it."""

    def __init__(self, lab, name, wire):
        self.namespace, self.wire = f"{lab.prefix}-{name}", wire
        self.where = f"{self.namespace}:lb0"
        self.processes = []

    def start(self, *words, **options):
        """Starts a process that ends with this one at the latest."""
        process = subprocess.Popen(
            [*inside(self.namespace), "setpriv", "--pdeathsig", "TERM", *map(str, words)],
            start_new_session=True, stdin=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def stop(self):
        """Ends what was started."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []


class Daemon:
    """ulb, running and ready, in a director."""

    def __init__(self, lab, director, executable, *arguments):
        self.director = director
        self.log_path = f"{lab.folder}/{director.namespace}.log"
        # The default path is that of the interface's name, which all directors have in common.
        self.socket = f"{lab.folder}/{director.namespace}.sock"
        control = ["--control", self.socket] if lab.knows_control(executable) else []
        path = f"{lab.folder}/notify"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, \
                open(self.log_path, "w") as log:
            notify.bind(path)
            notify.settimeout(0.2)
            start = time.monotonic()
            self.process = director.start(
                executable, "lb0", *arguments, *control, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "NOTIFY_SOCKET": path})
            said = ""
            while "READY=1" not in said:
                with contextlib.suppress(socket.timeout):
                    said = notify.recv(4096).decode()
                if self.process.poll() is not None:
                    raise Failed(f"ulb {' '.join(map(str, arguments))} ended: {self.log()}")
                if time.monotonic() > start + PATIENCE:
                    raise Failed(f"ulb was not ready within {PATIENCE} s: {self.log()}")
            self.ready_after = time.monotonic() - start

    def association_table(self, family):
        """What the daemon's status says of it."""
        connection = Connection(self.socket)
        status = json.loads(connection.ask("GET", "/v1/status").read())
        connection.close()
        return next(table for table in status["associations"] if table["family"] == f"ipv{family}")

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def wait_for(self, pattern, count=1, step=0.02):
        """The last match of a pattern in the log, once there are so many; looked for each `step`,
        in seconds."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = re.findall(pattern, self.log())
            if len(found) >= count:
                return found[-1]
            time.sleep(step)
        raise Failed(f"ulb's log has no “{pattern}”: {self.log()[-2000:]}")

    def loop_schedule(self):
        """Seconds that the daemon's loop, its first thread, has had a CPU for, and how often."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/schedstat") as file:
            spent, _, turns = file.read().split()
        return int(spent) / 1e9, int(turns)

    def loop_time(self):
        return self.loop_schedule()[0]

    def cpu_time(self):
        return cpu_time(self.process)

    def memory(self):
        return memory(self.process)


class Topology:
    """A network of scripts/topology, as its words say. All of it is gone with the context."""

    def __init__(self, lab, *words):
        self.lab, self.words = lab, words
        # Not the lab's own: that has a gateway of the same name.
        self.prefix, self.hosts = f"{lab.prefix}t", []

    def host(self, name, wire=None):
        host = Director(types.SimpleNamespace(prefix=self.prefix), name, wire)
        self.hosts.append(host)
        return host

    def __enter__(self):
        try:
            command(f"{SCRIPTS}/topology", *self.words, self.prefix)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for host in self.hosts:
            host.stop()
        before = {number: signal.signal(number, signal.SIG_IGN)
                  for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        command(f"{SCRIPTS}/topology", "down", self.prefix)
        for number, handler in before.items():
            signal.signal(number, handler)


class Lab:
    """Namespaces of a prefix that no other process uses."""

    def __init__(self, folder):
        self.folder = folder
        self.prefix = f"ulbbench{os.getpid()}"
        self.gateway = f"{self.prefix}-gw"
        self.directors = []
        self.help_texts = {}

    def __enter__(self):
        command("ip", "netns", "add", self.gateway)
        return self

    def __exit__(self, *_):
        before = {number: signal.signal(number, signal.SIG_IGN)
                  for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        for director in self.directors:
            director.stop()
        for line in command("ip", "netns", "list").splitlines():
            name = line.split()[0]
            if name.startswith(f"{self.prefix}-"):
                with contextlib.suppress(Failed):
                    command("ip", "netns", "del", name)
        for number, handler in before.items():
            signal.signal(number, handler)

    def knows_control(self, executable):
        """Whether it has a control socket: other revisions than this one's may not."""
        if executable not in self.help_texts:
            self.help_texts[executable] = command(executable, "--help")
        return "--control " in self.help_texts[executable]

    def director(self, name, queues=1):
        """A new director, wired and able to forward; with a queue for each CPU that is to carry its
        packets at once."""
        wire = f"g{len(self.directors)}"
        director = Director(self, name, wire)
        self.directors.append(director)
        namespace = director.namespace
        command("ip", "netns", "add", namespace)
        settings = ["ipv4/ip_forward=1", "ipv6/conf/all/forwarding=1", "ipv4/conf/all/rp_filter=0",
                    "ipv4/conf/default/rp_filter=0", "ipv4/conf/all/send_redirects=0",
                    "ipv4/conf/default/send_redirects=0"]
        command(*inside(namespace), "sh", "-c",
                'for s; do echo "${s#*=}" >"/proc/sys/net/${s%%=*}"; done', "-", *settings)
        command("ip", "link", "add", "name", "lb0", "netns", namespace,
                "type", "veth", "peer", "name", wire, "netns", self.gateway)
        command("ip", "-n", self.gateway, "link", "set", "dev", wire, "up")
        if queues > 1:
            for where, interface in ((namespace, "lb0"), (self.gateway, wire)):
                command(*inside(where), "ethtool", "-L", interface, "rx", queues, "tx", queues)
        gateway_mac = self.mac(self.gateway, wire)
        command("ip", "-n", namespace, "link", "set", "dev", "lo", "up")
        command(f"{SCRIPTS}/topology", "director", namespace)
        for family in (4, 6):
            command("ip", "-n", namespace, "neighbour", "replace",
                    ADDRESSES[f"director_gateway_ipv{family}"], "lladdr", gateway_mac, "dev", "lb0",
                    "nud", "permanent")
        return director

    def text(self, text):
        """A file to read a text from."""
        path = f"{self.folder}/input"
        with open(path, "w") as file:
            file.write(text)
        return open(path)

    @staticmethod
    def mac(namespace, interface):
        output = command("ip", "-n", namespace, "-o", "link", "show", "dev", interface)
        return re.search(r"link/ether (\S+)", output)[1]

    def injected(self, name, director):
        """How throughput(1) is told of a director."""
        return f"{name}={director.wire},{self.mac(director.namespace, 'lb0')}"

    # What runs in directors.

    def ulb(self, name, executable, family=4, arguments=(), address=None, servers=None,
            ports=None, queues=1):
        director = self.director(name, queues)
        daemon = Daemon(
            self, director, executable, "-vs", address or VIRTUAL[family],
            *(servers or ["-rs", *SERVERS[family]]), "-p", *(ports or PORTS), *arguments)
        return director, daemon

    def bounce(self, name, driver):
        director = self.director(name)
        command("ip", "-n", director.namespace, "link", "set", "dev", "lb0", "xdpdrv",
                "object", driver, "section", "xdp", "program", "bounce")
        return director

    def kernel_director(self, name, queues=1):
        """A director without an XDP program: veth takes injected frames only with NAPI, which
        generic receive offload switches on."""
        director = self.director(name, queues)
        command(*inside(director.namespace), "ethtool", "-K", "lb0", "gro", "on")
        return director

    def nftables(self, name, queues=1):
        """Destination NAT round robin, as the nftables wiki's page on load balancing has it."""
        director = self.kernel_director(name, queues)
        servers = ", ".join(f"{i} : {server}" for i, server in enumerate(SERVERS[4]))
        command(*inside(director.namespace), "nft", "-f", "-", stdin=self.text(f"""
table ip balancing {{
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr {VIRTUAL[4]} udp dport {{ {', '.join(map(str, PORTS))} }} \
      dnat to numgen inc mod {len(SERVERS[4])} map {{ {servers} }}
  }}
}}
"""))
        return director

    def nginx(self, name):
        """The stream proxy, as nginx's page on TCP and UDP load balancing has it."""
        director = self.kernel_director(name)
        servers = " ".join(f"server {server}:{PORT};" for server in SERVERS[4])
        module = "/usr/lib/nginx/modules/ngx_stream_module.so"  # Debian's; else built in
        path = f"{self.folder}/nginx.conf"
        with open(path, "w") as file:
            file.write(f"""
{f"load_module {module};" if os.path.exists(module) else ""}
daemon off;
user root;
pid {self.folder}/nginx.pid;
error_log {self.folder}/nginx.log crit;
worker_processes auto;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
stream {{
  upstream real_servers {{ {servers} }}
  server {{
    listen {VIRTUAL[4]}:{PORT} udp reuseport;
    proxy_pass real_servers;
    proxy_timeout 60s;
  }}
}}
""")
        process = director.start("nginx", "-c", path, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.STDOUT)
        deadline = time.monotonic() + PATIENCE
        while f"{VIRTUAL[4]}:{PORT}" not in command(
                *inside(director.namespace), "ss", "-Hlun"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed("nginx did not start")
            time.sleep(0.05)
        return director
