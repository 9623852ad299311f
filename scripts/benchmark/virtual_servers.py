"""The virtual servers that the benchmark sets up, and the config files that list them."""
import os
from typing import NamedTuple

from network import PORT, PORTS, SERVERS, VIRTUAL

EACH = 32  # of each family: together as many as a daemon takes
MIDDLE = EACH // 2  # number of the one that is looked at
MANY = f"{2 * EACH} virtual servers"


class VirtualServer(NamedTuple):
    family: int
    number: int  # among those of its family
    address: str
    ports: list
    servers: list


def virtual_server(family, number=0, ports=PORTS):
    """The first of a family has the addresses of the network, the others have their own."""
    if not number:
        return VirtualServer(family, 0, VIRTUAL[family], ports, SERVERS[family])
    servers = [f"10.71.{number}.{i}" if family == 4 else f"fd71:{number:x}::{i}" for i in (1, 2, 3)]
    address = f"10.60.1.{number}" if family == 4 else f"fd60::1:{number:x}"
    return VirtualServer(family, number, address, ports, servers)


def of_both_families(ports_of):
    """As many as can be, by turns; that of the command line first. `ports_of` has each one's."""
    return [virtual_server(family, number, ports_of(number))
            for number in range(EACH) for family in (4, 6)]


def ports_in_common(_):
    return PORTS


def ports_of_their_own(number):
    """One of its own beside one in common."""
    return [PORT, PORT + 1 + number]


def config_text(servers, others=(), scheduler=None):
    """A config file of the real servers that are the command line's, and of other virtual servers."""
    lines = ["[Real Servers]", *servers]
    if scheduler:
        lines += ["[ulb]", f"scheduler = {scheduler}"]
    for other in others:
        name = f"ipv{other.family}-{other.number}"
        lines += [f"[Virtual Server {name}]", f"address = {other.address}",
                  f"port = {' '.join(map(str, other.ports))}",
                  f"[Real Servers {name}]", *other.servers]
    return "\n".join(lines) + "\n"


def replace_file(path, text):
    """As an editor does: no reader sees half of it."""
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)
    return path
