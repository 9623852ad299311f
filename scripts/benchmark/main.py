"""Measures ulb against the floors and against what a user would pick instead: see scripts/bench."""
import argparse
import datetime
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time

import chart
import control
import honest
import limits
import sharing
from measure import Measurements
from network import Failed, Lab
from redis_server import RedisFailed, require as require_redis
from virtual_servers import MANY


def say(text=""):
    print(text, flush=True)


def machine():
    with open("/proc/cpuinfo") as file:
        info = file.read()
    model = re.search(r"^(?:model name|Model)\s*:\s*(.*)$", info, re.MULTILINE)
    return {"cpu": model[1].strip() if model else platform.machine(), "cpus": os.cpu_count(),
            "virtual": "hypervisor" in info, "architecture": platform.machine(),
            "kernel": platform.release(), "load_before": round(os.getloadavg()[0], 2)}


def revision(root):
    process = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"],
                             capture_output=True, text=True)
    return process.stdout.strip() or "of no revision"


def judged(measure, judge):
    """Measures once, whatever comes of it."""
    result = measure()
    return result, judge(result)


def print_costs(costs):
    targets = list(next(iter(costs.values())))
    say("  " + f"{'ns a packet':18}" + "".join(f"{name:>14}" for name in targets))
    for scenario, row in costs.items():
        say(f"  {scenario:18}" + "".join(f"{row[name]['ns']:14.0f}" for name in targets)
            + f"   {row['ulb']['action'].lower()}")


def with_more(rows, target):
    """What a target costs, and how much more that is than what it stands beside."""
    return ", ".join(f"{scenario} {row[target]['ns']:.0f} ns ({row[target]['more']:+.1f})"
                     for scenario, row in rows.items())


SHARING = "Sharing between two directors"


def measure_sharing(result, measurements, executable):
    result["sharing"] = row = sharing.sharing(measurements, executable)
    result["limits"] += limits.of_sharing(row)
    load, lag, whole = row["load"], row["lag"], row["whole"]
    for name, share in load["with"].items():
        without = load["without"].get(name)
        most = load["memory"].get(name)
        say(f"  {load['rate']:,} new clients a second: {name} takes {100 * share:.1f} % of a CPU"
            + ("" if without is None else f", {100 * without:.1f} without ulb-sync")
            + ("" if most is None else f" and {most / 1e6:.1f} MB"))
    say(f"  the other director knows a client after {lag['median']:.0f} ms, 99 % after "
        f"{lag['late']:.0f}, the last of {lag['samples']} after {lag['longest']:.0f}")
    say(f"  {whole['associations']:,} clients: Redis has them after {whole['written']:.1f} s, in "
        f"{whole['memory'] / 1e6:.1f} MB, and {whole['stream'] / 1e6:.1f} MB of changes")
    say("  a director that starts has them after "
        + ", ".join(f"{seconds:.1f}" for seconds in whole["read"])
        + f" s; a Redis that is back after {whole['back']:.1f} s; ulb-sync had "
        + ", ".join(f"{most / 1e6:.0f}" for most in whole["most"].values()) + " MB at most")
    for what, title in (("written", "writing them"), ("back", "a Redis that is back")):
        say(f"  {title} takes of a CPU: " + ", ".join(
            f"{name} {seconds:.1f} s" for name, seconds in whole["cpu"][what][0].items()))


def run(lab, arguments, executables):
    measurements = Measurements(lab, arguments.tools, executables, arguments.quick)
    result = {"date": datetime.date.today().isoformat(), "revision": revision(arguments.root),
              "quick": arguments.quick, "machine": machine(), "limits": []}
    checks = result["limits"]
    started = time.monotonic()

    def chapter(title):
        say(f"\n{title}   [{time.monotonic() - started:.0f} s]")

    say(f"{result['machine']['cpu']}, {os.cpu_count()} CPUs, Linux {platform.release()}, "
        f"{result['date']}, ulb {result['revision']}")

    if arguments.sharing:
        chapter(SHARING)
        measure_sharing(result, measurements, arguments.sync)
        return finished(result, started)

    result["packet_cost"] = {}
    for family in (4, 6):
        chapter(f"Cost of a packet, IPv{family}")
        costs, found = judged(lambda: measurements.scenarios(family),
                               lambda costs: limits.of_scenarios(family, costs))
        print_costs(costs)
        result["packet_cost"][family] = costs
        checks += found

    result["counters"] = {}
    for family in (4, 6):
        chapter(f"What counting costs, IPv{family}")
        result["counters"][family], found = judged(
            lambda: measurements.counters(family),
            lambda costs: limits.of_counters(family, costs))
        for scenario, row in result["counters"][family].items():
            say(f"  {scenario:18}{row['more']:4.1f} of {row['ns']:4.0f} ns")
        checks += found

    result["classes"], result["floods"] = {}, {}
    for family in (4, 6):
        chapter(f"What classes cost and keep, IPv{family}")
        result["classes"][family], found = judged(
            lambda: measurements.classes(family), lambda costs: limits.of_classes(family, costs))
        for scenario, row in result["classes"][family].items():
            say(f"  {scenario:22}{row['more']:4.1f} of {row['ns']:4.0f} ns")
        checks += found
        result["floods"][family], found = judged(
            lambda: measurements.floods(family), lambda rows: limits.of_floods(family, rows))
        for row in [*result["floods"][family]["floods"], *result["floods"][family]["spaced"]]:
            spaced = ", spaced" if row["spacing"] else ""
            say(f"  -ma {row['size']:,}, {row['percent']:2} % established, {row['forged']:,} forged × "
                f"{row['packets']}{spaced}, answers {row['answers']}: "
                f"{row['known']:,} of {row['established']:,} known")
        checks += found

    chapter("Honest new clients during a flood")
    result["honest"], found = judged(lambda: honest.honest(measurements), limits.of_honest)
    for family, row in result["honest"].items():
        flood, shaken, words = row["flood"], row["handshakes"], row["first_words"]
        say(f"  IPv{family}: {flood['rate']:,} forged packets a second, "
            f"{'under' if row['is_under_pressure'] else 'no'} pressure; of {shaken['clients']:,} DTLS "
            f"clients {shaken['shaken']:,} shook hands, within {shaken['slowest_ms']} ms, and "
            f"{shaken['succeeded']:,} talked to one server, {shaken['sent_again']:,} messages sent "
            f"again; of {words['clients']:,} that were written to first {words['succeeded']:,} did, "
            f"{words['sent_again']:,} sent again")
    checks += found

    chapter("A flood at full speed")
    result["survival"] = measurements.survival()
    for name, row in result["survival"].items():
        say(f"  {name:18}{row['forged_sent'] / row['seconds'] / 1e6:6.2f} million forged packets a "
            f"second; of {row['known_sent']:,} packets of known clients "
            f"{100 * row['own'] / row['known_sent']:.2f} % came to their own server, "
            f"{100 * row['other'] / row['known_sent']:.2f} % to another")

    result["two_cpus"], result["meeting"] = {}, {}
    for family in (4, 6):
        chapter(f"Two CPUs at once, IPv{family}")
        costs, found = judged(lambda: measurements.two_cpus(family),
                              lambda costs: limits.of_two_cpus(family, costs) if costs else [])
        for scenario, row in (costs or {}).items():
            say(f"  {scenario:18}" + ", ".join(
                f"{name} {cell['speedup']:4.2f}" for name, cell in row.items())
                + f" × one CPU; a cache line takes {row['ulb']['line']:.0f} ns between them")
        result["two_cpus"][family] = costs
        checks += found
        result["meeting"][family] = measurements.meeting(family)
        for name, rows in (result["meeting"][family] or {}).items():
            for clients, row in rows.items():
                say(f"  {name}, {clients} new clients: median {row['median']} ns, slowest of 100 "
                    f"{row['of_100']}, of 10,000 {row['of_10000']}, longest {row['longest']}; "
                    f"{row['dropped']} of {row['packets']:,} dropped, {row['met']:,} met")

    result["large"] = {}
    for family in (4, 6):
        chapter(f"64 ports, 4,096 servers, 2^24 associations, IPv{family}")
        result["large"][family], found = judged(
            lambda: measurements.large(family), lambda costs: limits.of_large(family, costs))
        for scenario, row in result["large"][family].items():
            say(f"  {scenario:18}small {row['small']:4.0f} ns, large {row['large']:4.0f} ns")
        checks += found

    for key in ("virtual_servers", "both_families", "schedulers"):
        result[key] = {}
    for family in (4, 6):
        chapter(f"Several virtual servers, IPv{family}")
        costs, found = judged(lambda: measurements.virtual_servers(family),
                              lambda costs: limits.of_virtual_servers(family, costs))
        for ports, rows in costs.items():
            say(f"  {MANY}, {ports}: " + with_more(rows, MANY))
        result["virtual_servers"][family] = costs
        checks += found
        costs, found = judged(lambda: measurements.both_families(family),
                              lambda costs: limits.of_both_families(family, costs))
        say("  both families, one virtual server each: " + with_more(costs, "both"))
        result["both_families"][family] = costs
        checks += found
        result["schedulers"][family] = row = measurements.schedulers(family)
        say("  new clients: " + ", ".join(f"{name} {ns:.0f} ns" for name, ns in row.items()))

    result["end_to_end"], result["end_to_end_with_events"] = {}, {}
    for family in (4, 6):
        chapter(f"End to end, IPv{family}")
        rates, found = judged(lambda: measurements.end_to_end(family),
                               lambda rates: limits.of_end_to_end(family, rates))
        for name, row in rates.items():
            say(f"  {name:18}{row['median'] / 1e6:6.2f} million packets a second, "
                f"{limits.ratio(rates, name, 'bounce'):4.2f} × bounce")
        result["end_to_end"][family] = rates
        checks += found
        rates, found = judged(lambda: measurements.end_to_end_with_events(family),
                               lambda rates: limits.of_events(family, rates))
        row = rates["ulb -l DEBUG"]
        say(f"  ulb -l DEBUG      {row['median'] / 1e6:6.2f} million packets a second, "
            f"{limits.ratio(rates, 'ulb -l DEBUG', 'ulb'):4.2f} × default level, "
            f"{row['events_lost']:,} events lost and counted")
        result["end_to_end_with_events"][family] = rates
        checks += found

    chapter("Start-up and memory")
    result["start_up"], found = judged(
        measurements.start_up, lambda rows: limits.of_start_up(rows["ulb"]))
    checks += found
    result["start_up_of_many"], found = judged(
        measurements.start_up_of_many, limits.of_start_up_of_many)
    checks += found
    for name, row in [*result["start_up"].items(), (MANY, result["start_up_of_many"])]:
        steps = ", ".join(f"{step} {time:.1f}" for step, time in row["steps_ms"].items())
        say(f"  {name}: ready after {row['ready_ms']:.0f} ms; {steps} ms")
        memory = {what: f"{size / 2**20:.1f}" for what, size in row["memory"].items()}
        say(f"  {name}: RssAnon {memory['anonymous']} MiB, VmRSS {memory['resident']} MiB, "
            f"association table {memory['table']} MiB")

    chapter("Reload over the number of real servers")
    result["reload"], found = judged(measurements.reload, limits.of_reload)
    for count, times in result["reload"].items():
        say(f"  {count:5} servers in force after {statistics.median(times):6.2f} ms")
    checks += found
    result["reload_maglev"], found = judged(
        lambda: measurements.reload([4096], "maglev"),
        lambda times: limits.of_maglev(times, result["reload"]))
    for count, times in result["reload_maglev"].items():
        say(f"  {count:5} servers in force after {statistics.median(times):6.2f} ms, by Maglev")
    checks += found

    chapter(f"A change of one of {MANY}")
    result["changes"], found = judged(measurements.changes, limits.of_changes)
    for what, times in result["changes"].items():
        say(f"  {what:8} {statistics.median(times):5.0f} ms, at most {max(times):.0f} ms")
    checks += found

    chapter("The control socket")
    result["answers"], found = judged(
        lambda: control.answers(measurements), limits.of_answers)
    checks += found
    for target, row in result["answers"].items():
        say(f"  {target} with {control.MOST_SERVERS:,} real servers: {row['median']:.2f} ms, "
            f"at most {row['longest']:.1f} ms")
    result["listing"] = {}
    for family in (4, 6):
        result["listing"][family], found = judged(
            lambda: control.listing(measurements, family),
            lambda orders: limits.of_listing(family, orders))
        checks += found
        for order, row in result["listing"][family].items():
            say(f"  IPv{family}, {row['associations']:,} associations in the order of {order}: "
                f"{row['seconds']:.2f} s, {row['bytes'] / 1e6:.0f} MB, with "
                f"{row['memory'] / 1e6:.1f} MB of memory")
    result["following"], found = judged(
        lambda: control.following(measurements), limits.of_following)
    checks += found
    for what, times in result["following"].items():
        say(f"  {len(control.FOLLOWED)} clients, following {what}: "
            f"{statistics.median(times):.0f} ms, at most {max(times):.0f} ms")
    result["idle"], found = judged(lambda: control.idle(measurements), limits.of_idle)
    checks += found
    say(f"  idle: {100 * result['idle']['share']:.4f} % of a CPU over {result['idle']['seconds']} s")
    result["ulbctl"], found = judged(
        lambda: control.ulbctl(measurements, arguments.ulbctl), limits.of_ulbctl)
    checks += found
    say("  ulbctl: " + ", ".join(f"{name} {ms:.0f} ms" for name, ms in result["ulbctl"].items()))

    chapter(SHARING)
    measure_sharing(result, measurements, arguments.sync)

    result["saving"] = {}
    for family in (4, 6):
        chapter(f"The state file, IPv{family}")
        result["saving"][family], found = judged(
            lambda: measurements.saving(family), lambda row: limits.of_saving(family, row))
        row = result["saving"][family]
        say(f"  {row['associations']:,} associations: a save takes "
            f"{statistics.median(row['saved']):.1f} ms of the loop, at most {row['piece']:.1f} ms "
            f"at a time; a start with them is {statistics.median(row['restored']):.0f} ms later")
        checks += found

    for key in ("memory", "hit_ratio", "hit_ratio_answered", "pushed_out"):
        result[key] = {}
    for family in (4, 6):
        chapter(f"What the association table takes and keeps, IPv{family}")
        result["memory"][family], found = judged(
            lambda: measurements.memory(family), lambda sizes: limits.of_memory(family, sizes))
        for name, sizes in result["memory"][family].items():
            say(f"  {name}: " + ", ".join(
                f"{memory / size:.2f} B for each of {size:,}" for size, memory in sizes.items()))
        checks += found
        result["hit_ratio"][family], found = judged(
            lambda: measurements.hit_ratio(family),
            lambda traces: limits.of_hit_ratio(family, traces))
        for name, traces in result["hit_ratio"][family].items():
            for row in traces:
                hits, exact = (row[key] / row["packets"] for key in ("hits", "exact_hits"))
                say(f"  {name}: Zipf {row['exponent']:.1f}, {row['multiple']:2} × as many clients: "
                    f"hit ratio {hits:.4f}, exact LRU's {exact:.4f}")
        checks += found
        result["hit_ratio_answered"][family], found = judged(
            lambda: measurements.hit_ratio_answered(family),
            lambda rows: limits.of_hit_ratio_answered(family, rows))
        for row in result["hit_ratio_answered"][family]:
            hits, exact = (row[key] / row["packets"] for key in ("hits", "exact_hits"))
            say(f"  ulb: Zipf {row['exponent']:.1f}, {row['multiple']:2} × as many clients, all answered: "
                f"hit ratio {hits:.4f}, exact LRU's {exact:.4f}")
        checks += found
        result["pushed_out"][family], found = judged(
            lambda: measurements.pushed_out(family),
            lambda row: limits.of_pushed_out(family, row))
        for name, row in result["pushed_out"][family].items():
            say(f"  {name}: forgets {row['pushed_out']} of {row['clients']:,} new clients")
        checks += found

    result["table_sizes"] = {}
    for family in (4, 6):
        chapter(f"Cost and memory over the size of the association table, IPv{family}")
        result["table_sizes"][family], found = judged(
            lambda: measurements.table_sizes(family),
            lambda sizes: limits.of_table_sizes(family, sizes))
        for exponent, row in result["table_sizes"][family].items():
            known, spread, memory = row["known"], row["spread"], row["memory"]
            say(f"  2^{exponent}: known {known['ulb']:4.0f} ns (sticky {known['sticky']:.0f}), "
                f"spread {spread['ulb']:4.0f} ns (sticky {spread['sticky']:.0f}), "
                f"table {memory['table'] / 2**20:8.1f} MiB (sticky {memory['sticky'] / 2**20:.1f})")
        checks += found
    return finished(result, started)


def finished(result, started):
    result["seconds"] = round(time.monotonic() - started)
    return result


def report(result):
    say(f"\nLimits   [{result['seconds']} s]")
    for check in result["limits"]:
        value, limit = limits.shown(check)
        say(f"  {'pass' if check['passed'] else 'MISS'}  {value:>11} ({limit})  {check['what']}")
    return all(check["passed"] for check in result["limits"])


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--tools", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--executable", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--ulbctl", required=True)
    parser.add_argument("--sync", required=True)
    parser.add_argument("--output")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sharing", action="store_true")
    arguments = parser.parse_args()
    executables = dict(item.split("=", 1) for item in arguments.executable)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        require_redis()
        with Lab(arguments.folder) as lab:
            result = run(lab, arguments, executables)
    except (Failed, RedisFailed) as failure:
        say(f"bench: error: {failure}")
        return 2
    except KeyboardInterrupt:
        say("\nInterrupted.")
        return 130
    passed = report(result)
    if arguments.output:
        os.makedirs(arguments.output, exist_ok=True)
        with open(f"{arguments.output}/benchmark.json", "w") as file:
            json.dump(result, file, indent=1, ensure_ascii=False)
            file.write("\n")
        with open(f"{arguments.output}/benchmark.svg", "w") as file:
            file.write(chart.draw(result))
        say(f"\nWritten: {arguments.output}/benchmark.json and benchmark.svg")
    return 0 if passed else 1


sys.exit(main())
