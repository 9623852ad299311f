"""What the packet path may cost, as ratios to the floors of the same run, and whether it keeps to it."""
import statistics

from virtual_servers import MANY

KNOWN = ["hot", "flows:1000", "egress:1", "egress:1000"]
# A known client's packet: what it costs beyond bounce, in times what sticky costs beyond bounce.
# With IPv6 the client is hashed by SipHash, which sticky's table does not do.
KNOWN_LIMIT = {4: 0.35, 6: 0.9}
RANDOM_LIMIT = {4: 0.42, 6: 0.45}  # × sticky
NEW_LIMIT = {4: 0.28, 6: 0.6}  # × sticky
PASSED_LIMIT = 2  # ns beyond bounce
CLASSES_LIMIT, FORGED_LIMIT = 1, 15  # ns beyond the same without them
FLOOD_LIMIT = 0.9999  # of established clients
HONEST_LIMIT, HONEST_FLOOD = 0.995, 300_000  # of new clients, in a flood of so many packets a second
COUNTERS_LIMIT = 4  # ns beyond the same program without them
THROUGHPUT_LIMIT = 0.9  # × bounce
TWO_CPUS_LIMIT = 1.8  # × one CPU
LARGE_LIMIT = 1.1  # × the smallest set-up
SPREAD_LIMIT, SPREAD_EXPONENT = 0.45, 24  # × sticky, at that size
MEMORY_LIMIT = {4: 20, 6: 50}  # bytes for each of --max_associations
HIT_RATIO_LIMIT = 1  # × the exact order's
PUSHED_OUT_LIMIT = 20  # clients
RELOAD_LIMIT = 100  # ms
MAGLEV_LIMIT = 100  # ms beyond what round robin takes
MANY_LIMIT = 12  # ns beyond one virtual server
BOTH_RATIO, BOTH_LIMIT = 1.02, 1  # × one family, and ns beyond that
CHANGE_LIMIT, COMPILATION_LIMIT, START_LIMIT = 1500, 600, 900  # ms
SAVING_LIMIT, PIECE_LIMIT, RESTORING_LIMIT = 100, 5, 200  # ms
SMALL_START_LIMIT, ANONYMOUS_LIMIT = 600, 20  # ms and MB of a start with one virtual server
ANSWER_LIMIT = 5  # ms
LISTING_LIMIT, LISTING_MEMORY_LIMIT = 3, 8  # s and MB
FOLLOWING_LIMIT = 2000  # ms
IDLE_LIMIT = 0.05  # % of a CPU
ULBCTL_LIMIT = 30  # ms
SHARED_LIMIT = 30  # MB of Redis for a million clients
READING_LIMIT, BACK_LIMIT = 5, 10  # s until a director that starts, or a Redis that is back, has them
LAG_LIMIT, LATE_LIMIT = 300, 1000  # ms, in the median and of one of a hundred
SYNC_LIMIT, SYNC_MEMORY_LIMIT, SHARING_LIMIT = 15, 60, 5  # % of a CPU and MB of ulb-sync, % more of ulb
DEBUG_LIMIT = 0.5  # × the default level

DIGITS = {"×": 3, "ns": 1, "ms": 1, "s": 2, "%": 3, "B": 1, "MB": 1, "clients": 0, "/s": 0}  # of each unit, behind the point


def check(what, value, limit, unit="×", at_least=False):
    return {"what": what, "value": round(value, 5), "limit": limit, "unit": unit,
            "at_least": at_least, "passed": value >= limit if at_least else value <= limit}


def shown(check):
    """Value and limit, as they are read."""
    unit = check["unit"]
    value = f"{check['value']:.{DIGITS[unit]}f} {unit}"
    return value, f"at {'least' if check['at_least'] else 'most'} {check['limit']:g}"


def of_scenarios(family, costs, target="ulb"):
    """The limits of packet-cost's scenarios."""
    result = []
    for scenario, row in costs.items():
        ns = {name: cell["ns"] for name, cell in row.items()}
        name = f"IPv{family} {scenario}"
        if scenario.removeprefix("full ") in KNOWN:
            result.append(check(
                f"{name}: cost beyond bounce ÷ sticky's",
                (ns[target] - ns["bounce"]) / max(1, ns["sticky"] - ns["bounce"]),
                KNOWN_LIMIT[family]))
        elif scenario in ("tcp", "other"):
            result.append(check(
                f"{name} (passed): cost beyond bounce", ns[target] - ns["bounce"], PASSED_LIMIT,
                "ns"))
        else:
            limit = NEW_LIMIT if scenario == "new" else RANDOM_LIMIT
            result.append(check(
                f"{name}: cost ÷ sticky's", ns[target] / ns["sticky"], limit[family]))
    return result


def of_counters(family, costs):
    """The worst of the scenarios."""
    return [check(f"IPv{family}, known client: what counting costs",
                  max(costs[scenario]["more"] for scenario in KNOWN), COUNTERS_LIMIT, "ns")]


def of_classes(family, costs):
    """The worst of the scenarios."""
    return [check(f"IPv{family}, known client: what classes cost",
                  max(row["more"] for scenario, row in costs.items() if scenario != "new"),
                  CLASSES_LIMIT, "ns"),
            check(f"IPv{family}, new client: what classes cost", costs["new"]["more"], FORGED_LIMIT,
                  "ns")]


def of_floods(family, found):
    """The worst of each size. Where packets are spaced by the probation, nothing is promised."""
    return [check(f"IPv{family}, -ma {size:,}: established clients known after a flood",
                  min(row["known"] / row["established"]
                      for row in found["floods"] if row["size"] == size),
                  FLOOD_LIMIT, at_least=True)
            for size in sorted({row["size"] for row in found["floods"]})]


def of_honest(families):
    result = []
    for family, row in families.items():
        result += [check(f"IPv{family}, a flood while honest clients come: packets a second",
                         row["flood"]["rate"], HONEST_FLOOD, "/s", at_least=True),
                   check(f"IPv{family}, during it: new clients that shake hands and stay",
                         row["handshakes"]["succeeded"] / row["handshakes"]["clients"],
                         HONEST_LIMIT, at_least=True),
                   check(f"IPv{family}, during it: new clients that servers write to first",
                         row["first_words"]["succeeded"] / row["first_words"]["clients"],
                         HONEST_LIMIT, at_least=True)]
    return result


def ratio(rates, name, other):
    """Of the same round each: the machine's speed changes from round to round."""
    return statistics.median(
        a / b for a, b in zip(rates[name]["returned"], rates[other]["returned"]))


def of_end_to_end(family, rates):
    return [check(f"IPv{family} end to end, 1,000 clients: ulb ÷ bounce",
                  ratio(rates, "ulb", "bounce"), THROUGHPUT_LIMIT, at_least=True)]


def of_events(family, rates):
    return [check(f"IPv{family} end to end with -l DEBUG ÷ default level",
                  ratio(rates, "ulb -l DEBUG", "ulb"), DEBUG_LIMIT, at_least=True)]


def of_two_cpus(family, costs):
    return [check(f"IPv{family} {scenario}, two CPUs {row['ulb']['line']:.0f} ns apart ÷ one",
                  row["ulb"]["speedup"], TWO_CPUS_LIMIT, at_least=True)
            for scenario, row in costs.items()]


def of_large(family, costs):
    """The mean of the scenarios: one alone is a matter of a nanosecond's rounding."""
    ratios = [row["large"] / row["small"] for row in costs.values()]
    return [check(
        f"IPv{family}, 64 ports, 4,096 servers, -ma 2²⁴ ÷ 2 ports, 3 servers, default",
        sum(ratios) / len(ratios), LARGE_LIMIT)]


def of_reload(times):
    return [check("replacing all of 4,096 servers", max(times[4096]), RELOAD_LIMIT, "ms")]


def of_virtual_servers(family, costs):
    """The worst of the scenarios."""
    return [check(f"IPv{family}, {MANY}, {ports}: beyond one's",
                  max(row[MANY]["more"] for row in rows.values()), MANY_LIMIT, "ns")
            for ports, rows in costs.items()]


def of_both_families(family, costs):
    """The worst of the scenarios."""
    return [check(f"IPv{family}, both families: known client, beyond {BOTH_RATIO:g} × one's",
                  max(row["both"]["more"] - (BOTH_RATIO - 1) * row["one family"]["ns"]
                      for row in costs.values()), BOTH_LIMIT, "ns")]


def of_start_up(row):
    return [check("start with one virtual server", row["ready_ms"], SMALL_START_LIMIT, "ms"),
            check("RssAnon after that", row["memory"]["anonymous"] / 1e6, ANONYMOUS_LIMIT, "MB")]


def of_answers(targets):
    return [check("/v1/status with 4,096 real servers", targets["/v1/status"]["median"],
                  ANSWER_LIMIT, "ms")]


def of_listing(family, orders):
    result = []
    for order, row in orders.items():
        what = f"IPv{family}, {row['associations']:,} associations as JSON lines, order {order}"
        result += [check(f"{what}: share of all", row["associations"] / row["expected"],
                         1, at_least=True),
                   check(what, row["seconds"], LISTING_LIMIT, "s"),
                   check(f"{what}: memory", row["memory"] / 1e6, LISTING_MEMORY_LIMIT, "MB")]
    return result


def of_following(times):
    return [check("from the last listener's end until the program before is back",
                  max(times["ended"]), FOLLOWING_LIMIT, "ms")]


def of_idle(row):
    return [check("CPU of a daemon with nothing to do", 100 * row["share"], IDLE_LIMIT, "%")]


def of_sharing(row):
    """The worst of both directors."""
    load, lag, whole = row["load"], row["lag"], row["whole"]
    number = f"{whole['associations']:,} shared associations"
    rate = f"{load['rate']:,} new clients a second"
    syncs = [share for name, share in load["with"].items() if name.startswith("ulb-sync")]
    more = [load["with"][name] - share for name, share in load["without"].items()]
    return [check(f"{number}: memory of Redis", whole["memory"] / 1e6, SHARED_LIMIT, "MB"),
            check(f"{number}: a director that starts has all", statistics.median(whole["read"]),
                  READING_LIMIT, "s"),
            check(f"{number}: Redis has all when it is back, empty", whole["back"], BACK_LIMIT, "s"),
            check(f"{rate}: another director knows one", lag["median"], LAG_LIMIT, "ms"),
            check(f"{rate}: the latest of a hundred", lag["late"], LATE_LIMIT, "ms"),
            check(f"{rate}: CPU of ulb-sync", 100 * max(syncs), SYNC_LIMIT, "%"),
            check(f"{rate}: memory of ulb-sync", max(load["memory"].values()) / 1e6,
                  SYNC_MEMORY_LIMIT, "MB"),
            check(f"{rate}: CPU of ulb for sharing them", 100 * max(more), SHARING_LIMIT, "%")]


def of_ulbctl(times):
    return [check("a run of ulbctl --version", times["--version"], ULBCTL_LIMIT, "ms")]


def of_start_up_of_many(row):
    return [check(f"start with {MANY}", row["ready_ms"], START_LIMIT, "ms")]


def of_changes(times):
    return [check(f"one of {MANY} changed, at SIGHUP: in force after", max(times["asked"]),
                  CHANGE_LIMIT, "ms"),
            check(f"one of {MANY} changed: read, rendered and compiled",
                  statistics.median(times["compiled"]), COMPILATION_LIMIT, "ms")]


def of_maglev(times, round_robin):
    return [check("Maglev for all of 4,096 servers, beyond round robin",
                  max(times[4096]) - statistics.median(round_robin[4096]), MAGLEV_LIMIT, "ms")]


def of_saving(family, row):
    number = f"IPv{family}, {row['associations']:,} associations"
    return [check(f"{number}: what a save takes of the loop", statistics.median(row["saved"]),
                  SAVING_LIMIT, "ms"),
            check(f"{number}: the longest piece of it", row["piece"], PIECE_LIMIT, "ms"),
            check(f"{number}: by how much a start is later", statistics.median(row["restored"]),
                  RESTORING_LIMIT, "ms")]


def of_table_sizes(family, sizes):
    return [check(f"IPv{family}, -ma 2²⁴, half of it in random order: cost ÷ sticky's",
                  row["spread"]["ulb"] / row["spread"]["sticky"], SPREAD_LIMIT)
            for exponent, row in sizes.items() if exponent == SPREAD_EXPONENT]


def of_memory(family, sizes):
    """The worst of all sizes."""
    size, memory = max(sizes["ulb"].items(), key=lambda item: item[1] / item[0])
    return [check(f"IPv{family}, -ma {size:,}: memory of the table for each", memory / size,
                  MEMORY_LIMIT[family], "B")]


def of_hit_ratio(family, traces):
    """The worst of all traces."""
    row = min(traces["ulb"], key=lambda row: row["hits"] / row["exact_hits"])
    trace = f"Zipf {row['exponent']:g}, {row['multiple']} × -ma clients"
    return [check(f"IPv{family}, {trace}: hits ÷ exact LRU's",
                  row["hits"] / row["exact_hits"], HIT_RATIO_LIMIT, at_least=True)]


def of_hit_ratio_answered(family, rows):
    """The worst of all traces."""
    check, = of_hit_ratio(family, {"ulb": rows})
    return [{**check, "what": f"{check['what']}, answered"}]


def of_pushed_out(family, row):
    return [check(f"IPv{family}: forgotten of as many new clients as -ma",
                  row["ulb"]["pushed_out"], PUSHED_OUT_LIMIT, "clients")]
