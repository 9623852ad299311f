"""What schemathesis is to know of texts that JSON Schema has no words for."""

import ipaddress
import json

import schemathesis
from hypothesis import strategies as st

IPV4 = st.integers(1, 223).flatmap(
    lambda first: st.binary(min_size=3, max_size=3).map(
        lambda rest: ipaddress.IPv4Address(bytes([first]) + rest)
    )
)
IPV6 = st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None)
PORT = st.integers(1, 65535)

CLIENT = st.one_of(
    st.sampled_from(["10.50.0.2:5683", "[fd50::2]:5683"]),
    st.tuples(IPV4, PORT).map(lambda pair: f"{pair[0]}:{pair[1]}"),
    st.tuples(IPV6, PORT).map(lambda pair: f"[{pair[0]}]:{pair[1]}"),
)


def network(address, length):
    return str(ipaddress.ip_network((address, length), strict=False))


NETWORK = st.one_of(
    st.tuples(IPV4, st.integers(0, 32)).map(lambda pair: network(*pair)),
    st.tuples(IPV6, st.integers(0, 128)).map(lambda pair: network(*pair)),
)
ADDRESS = st.one_of(IPV4, IPV6).map(str)
CURSOR = st.tuples(st.sampled_from([4, 6]), st.integers(0, 200), st.integers(0, 6)).map(
    lambda numbers: ".".join(map(str, numbers))
)
CHANGE_CURSOR = st.tuples(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1)).map(
    lambda numbers: ".".join(map(str, numbers))
)

schemathesis.openapi.format("ulb-client", CLIENT)
schemathesis.openapi.format("ulb-network", NETWORK)
schemathesis.openapi.format("ulb-address", ADDRESS)
schemathesis.openapi.format("ulb-cursor", CURSOR)
schemathesis.openapi.format("ulb-change-cursor", CHANGE_CURSOR)

TIME = st.integers(0, 2**48 - 1)
LABEL = st.sampled_from(["10.40.0.1", "lwm2m-v6", "nobody"])
REAL_SERVER = st.one_of(st.sampled_from(["10.70.1.2", "10.70.2.2", "fd70:1::2"]), ADDRESS)
CHANGE = st.one_of(
    st.fixed_dictionaries(
        {
            "at": TIME,
            "class": st.sampled_from(["newcomer", "unheard", "answered", "resident"]),
            "client": CLIENT,
            "real_server": REAL_SERVER,
            "virtual_server": LABEL,
        }
    ),
    st.fixed_dictionaries(
        {
            "at": TIME,
            "client": CLIENT,
            "gone": st.sampled_from(["forgotten", "evicted"]),
            "virtual_server": LABEL,
        }
    ),
    st.fixed_dictionaries(
        {
            "at": TIME,
            "real_server": REAL_SERVER,
            "state": st.sampled_from([None, "up", "draining"]),
            "virtual_server": LABEL,
            "weight": st.one_of(st.none(), st.integers(1, 256)),
        }
    ),
)
LINES = st.lists(CHANGE, max_size=8).map(
    lambda changes: "".join(json.dumps(change) + "\n" for change in changes).encode()
)

schemathesis.openapi.media_type("application/jsonl", LINES, aliases=["application/x-ndjson"])


@schemathesis.serializer("application/jsonl", "application/x-ndjson")
def lines(context, value):
    """What is no lines, too, as it is."""
    return value if isinstance(value, bytes) else str(value).encode()


# Each listener that follows a client has two programs compiled: how many may.
FOLLOWERS = 5
followers = 0


@schemathesis.hook
def before_call(context, case, kwargs):
    """Leaves the clients out of most good requests for events."""
    global followers
    is_good = case.meta is not None and case.meta.generation.mode.is_positive
    if case.operation.path == "/v1/events" and is_good and "client" in (case.query or {}):
        followers += 1
        if followers > FOLLOWERS:
            case.query = {name: value for name, value in case.query.items() if name != "client"}
