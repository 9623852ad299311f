"""The measurements as one SVG file that needs nothing else: no font, no script, no style sheet."""
import math
import statistics
from html import escape

import limits
from virtual_servers import MANY

WIDTH = 960
LEFT, RIGHT = 150, 40
INK, GREY, FAINT = "#222222", "#666666", "#dddddd"
COLOURS = {"bounce": "#b8b8b8", "sticky": "#7a8fa6", "ulb": "#d1495b", "ulb -l DEBUG": "#e8a0a9",
           "nftables": "#3b7a57", "nginx": "#8a6fb0", "render": "#9ecae1", "compile": "#d1495b",
           "load": "#edae49", "fill": "#3b7a57", "attach": "#7a8fa6",
           "median": "#d1495b", "worst": "#8a6fb0",
           "1 virtual server": "#d1495b", "same ports": "#9ecae1",
           "own ports, at the common one": "#7a8fa6", "own ports, at its own": "#3b7a57"}


def colour(name):
    return COLOURS.get(name, "#00798c")


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def round_step(most):
    """The distance of about four round steps up to a value."""
    unit = 10 ** math.floor(math.log10(most / 4))
    return next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor * 4 >= most)


def power(exponent):
    return "2" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(exponent))


class Page:
    def __init__(self, title, lines):
        self.parts, self.y = [], 34
        self.title = title
        self.text(20, self.y, title, size=20, weight="bold")
        for line in lines:
            self.y += 19
            self.text(20, self.y, line, size=13, fill=GREY)

    def text(self, x, y, text, size=12, anchor="start", fill=INK, weight="normal"):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{fill}" font-weight="{weight}">{escape(text)}</text>')

    def box(self, x, y, width, height, fill):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" '
                          f'height="{height:.1f}" fill="{fill}"/>')

    def line(self, x1, y1, x2, y2, stroke=FAINT, width=1):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                          f'stroke="{stroke}" stroke-width="{width}"/>')

    def heading(self, title, explanation):
        self.y += 44
        self.text(20, self.y, title, size=16, weight="bold")
        self.y += 18
        self.text(20, self.y, explanation, fill=GREY)
        self.y += 12

    def legend(self, names):
        x = LEFT
        self.y += 14
        for name in names:
            self.box(x, self.y - 10, 12, 12, colour(name))
            self.text(x + 17, self.y, name)
            x += 40 + 7.2 * len(name)
        self.y += 8

    def bars(self, groups, unit, legend=True):
        """Horizontal bars: {group: {name: value}}, on one scale."""
        names = list(dict.fromkeys(name for row in groups.values() for name in row))
        if legend:
            self.legend(names)
        most = max(value for row in groups.values() for value in row.values())
        scale = (WIDTH - LEFT - RIGHT - 70) / most
        for group, row in groups.items():
            self.y += 8
            self.text(LEFT - 10, self.y + 7.5 * len(row) + 4, group, anchor="end")
            for name, value in row.items():
                self.box(LEFT, self.y, value * scale, 13, colour(name))
                self.text(LEFT + value * scale + 6, self.y + 11, f"{number(value)} {unit}", size=11)
                self.y += 15

    def shares(self, checks):
        """How much of each limit is used, with a line where all of it is."""
        left = 430
        scale = (WIDTH - left - 190) / 1.2
        top = self.y
        for check in checks:
            value, limit = check["value"], check["limit"]
            share = limit / value if check["at_least"] and value > 0 else max(0, value) / limit
            self.y += 4
            self.text(left - 10, self.y + 11, check["what"], anchor="end", size=11)
            self.box(left, self.y, min(share, 1.2) * scale, 13,
                     colour("nftables") if check["passed"] else colour("ulb"))
            self.text(left + 1.2 * scale + 8, self.y + 11,
                      ", ".join(limits.shown(check)), size=11)
            self.y += 14
        self.line(left + scale, top, left + scale, self.y + 4, INK)
        self.text(left + scale, self.y + 18, "limit", anchor="middle", size=11)
        self.y += 14

    def stack(self, rows, unit):
        """Bars made of parts: {row: {part: value}}."""
        self.legend(list(dict.fromkeys(part for row in rows.values() for part in row)))
        scale = (WIDTH - LEFT - RIGHT - 90) / max(sum(row.values()) for row in rows.values())
        for name, row in rows.items():
            x = LEFT
            self.y += 8
            self.text(LEFT - 10, self.y + 16, name, anchor="end")
            for part, value in row.items():
                self.box(x, self.y, value * scale, 22, colour(part))
                x += value * scale
            self.text(x + 6, self.y + 16, f"{number(sum(row.values()))} {unit}")
            self.y += 26
            self.text(LEFT, self.y + 10, ", ".join(
                f"{part} {number(value)}" for part, value in row.items()), size=11, fill=GREY)
            self.y += 14

    def curves(self, series, ticks, x_title, unit):
        """Lines over labelled steps, all as wide as the page: {name: [value]}."""
        self.legend(list(series))
        self.plot(LEFT, WIDTH - RIGHT, series, ticks, range(len(ticks)), x_title, unit)
        self.y += 204

    def panels(self, panels, places, ticks, x_title):
        """Plots side by side over the same steps: {title: (unit, {name: [value]})}. The steps stand
        where `places` has them, in any unit. What follows a comma in a name stands at its line."""
        width = (WIDTH - 20) / len(panels)
        self.legend(list(dict.fromkeys(
            name.split(", ")[0] for _, series in panels.values() for name in series)))
        for i, (title, (unit, series)) in enumerate(panels.items()):
            left = 20 + i * width
            self.text(left + width / 2, self.y + 20, title, anchor="middle", weight="bold")
            self.y += 18
            self.plot(left + 58, left + width - 24, series, ticks, places, x_title, unit)
            self.y -= 18
        self.y += 222

    def plot(self, left, right, series, ticks, places, x_title, unit):
        """Lines over labelled steps, from the page's present height down."""
        height, top = 150, self.y + 14
        part = round_step(max(value for row in series.values() for value in row))
        most, first, last = 4 * part, min(places), max(places)
        steps = [left + (right - left) * (place - first) / (last - first or 1) for place in places]
        for i in range(5):
            y = top + height * (1 - i / 4)
            self.line(left, y, right, y)
            self.text(left - 8, y + 4, f"{part * i:,g} {unit}", anchor="end", size=11)
        for x, tick in zip(steps, ticks):
            self.text(x, top + height + 17, tick, anchor="middle", size=11)
        for full_name, row in series.items():
            name, _, label = full_name.partition(", ")
            points = [(x, top + height * (1 - value / most), value)
                      for x, value in zip(steps, row)]
            self.text(points[-1][0], points[-1][1] - 7, label, anchor="end", size=11, fill=GREY)
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
            self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour(name)}" '
                              'stroke-width="2"/>')
            for x, y, value in points:
                self.parts.append(
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour(name)}">'
                    f"<title>{escape(full_name)}: {number(value)} {unit}</title></circle>")
        self.text((left + right) / 2, top + height + 36, x_title, anchor="middle", fill=GREY)

    def svg(self):
        height = self.y + 30
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
                f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
                f'font-family="Helvetica, Arial, sans-serif">\n<title>{escape(self.title)}</title>\n'
                f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def virtual_servers(result):
    """Of 1,000 clients, in both directions: {packets: {target: ns}}. One alone costs the same
    whatever ports the many have: the first that was measured stands for it."""
    rows = {}
    for family, costs in result["virtual_servers"].items():
        for scenario, back in (("flows:1000", ""), ("egress:1000", ", back")):
            title = f"IPv{family}{back}"
            rows[title] = {"1 virtual server": next(iter(costs.values()))[scenario][
                "1 virtual server"]["ns"]}
            rows[title] |= {ports: cost[scenario][MANY]["ns"] for ports, cost in costs.items()}
    return rows


def draw(result):
    machine = result["machine"]
    page = Page("What ulb costs", [
        f"{machine['cpu']}, {machine['cpus']} CPUs{', virtual' if machine['virtual'] else ''}; "
        f"Linux {machine['kernel']}; {result['date']}; ulb {result['revision']}",
        "Absolute figures are this machine's; what carries over to others are the ratios. "
        "All that share a chart were measured in turn, in one run.",
    ])
    page.heading("Limits, and how much of each is used (less is better)",
                 "Ratios to what else was measured in the same run: see the charts below.")
    page.shares(result["limits"])
    page.heading("End to end: packets a second through one director, 1,000 clients (more is better)",
                 "Frames over a veth pair to the director and back to the gateway, sent by one CPU; "
                 "bounce only swaps MAC addresses and sends back.")
    rates = {f"IPv{family}": {name: row["median"] / 1e6 for name, row in rates.items()}
             for family, rates in result["end_to_end"].items()}
    for family, with_events in result["end_to_end_with_events"].items():
        rates[f"IPv{family}"]["ulb -l DEBUG"] = with_events["ulb -l DEBUG"]["median"] / 1e6
    page.bars(rates, "million/s")
    names = {"hot": "one client", "flows:1000": "1,000 clients", "egress:1": "one client, back",
             "egress:1000": "1,000 clients, back", "tcp": "TCP, passed", "other": "other port, passed",
             "random:1000000": "1,000,000 clients", "new": "new clients only",
             "full flows:1000": "1,000 clients, full",
             "full egress:1000": "1,000, back, full"}
    for family, costs in result["packet_cost"].items():
        page.heading(f"What a packet costs, IPv{family}, in ns on one CPU (less is better)",
                     "bounce: MAC addresses swapped. sticky: the least a director can do that "
                     "keeps a client at its server. The writing of each packet is included.")
        rows = {scenario: {name: cell["ns"] for name, cell in row.items()}
                for scenario, row in costs.items()}
        slow = {names[scenario]: rows.pop(scenario) for scenario in ("random:1000000", "new")}
        page.bars({names[scenario]: row for scenario, row in rows.items()}, "ns")
        page.y += 14
        page.text(LEFT, page.y + 8, "On a smaller scale:", size=11, fill=GREY)
        page.y += 8
        page.bars(slow, "ns", legend=False)
    page.heading(f"One virtual server beside {MANY}, in ns on one CPU (less is better)",
                 "A packet of 1,000 known clients; which ports the many have, and to which it goes.")
    page.bars(virtual_servers(result), "ns")
    page.heading("Start-up, in ms", "From the command to the program on the interface, by steps: with "
                 "-l DEBUG, which tells them, and whose program is larger.")
    page.stack({name: row["steps_ms"] for name, row in result["start_up"].items()
                if row["steps_ms"]} | {MANY: result["start_up_of_many"]["steps_ms"]}, "ms")
    page.heading("Reload, in ms, over the number of real servers",
                 "From a list being read to its being in force, all of its servers being new: "
                 "median and worst.")
    reload = result["reload"]
    page.curves({"median": [statistics.median(times) for times in reload.values()],
                 "worst": [max(times) for times in reload.values()]},
                [f"{int(count):,}" for count in reload], "real servers", "ms")
    sizes = result["table_sizes"]
    exponents = list(sizes[4])
    page.heading("The kernel's LRU hash (sticky) beside the association table (ulb), over their size",
                 "What a packet costs where half as many clients as the table is for send in random "
                 "order, and what the kernel charges for the table.")
    panels = {f"A packet, IPv{family}": ("ns", {
        target: [row["spread"][target] for row in rows.values()]
        for target in ("bounce", "sticky", "ulb")}) for family, rows in sizes.items()}
    panels["Memory for each of --max_associations"] = ("B", {
        f"{target}, IPv{family}": [row["memory"][key] / (1 << exponent)
                                   for exponent, row in rows.items()]
        for target, key in (("sticky", "sticky"), ("ulb", "table"))
        for family, rows in sizes.items()})
    page.panels(panels, exponents, [power(exponent) for exponent in exponents],
                "--max_associations")
    return page.svg()
