"""The tables, in Markdown."""

from collections.abc import Callable, Iterable

from load import Figures
from record import Record, Spot, middle
from rows import Row, cpu_note, percentile, workers_note
from sections import described
from servers import TITLES

_ORDER = {"get": 0, "post": 1, "handoff": 2}


def written(
    record: Record, rows: list[Row], machine: list[tuple[str, str]], command: str, minutes: float, *, quick: bool
) -> str:
    """The whole report."""
    kind = "A quick run: too short for figures to quote." if quick else "Every figure is the median of its rounds."
    parts = [
        "# Benchmark",
        f"`{command}`, {minutes:.0f} minutes. Load generator, server and Redis share the machine; the ratios, "
        f"each taken within one round, are what counts. {kind}",
        listed(machine),
        "## Ratios",
        table(("", "ratio", "spread", "at least", "aim", ""), map(_ratio, rows)),
        "## All runs",
        "GET, POST and hand-off (a POST, then a DELETE of what came back: two requests) with Basic authentication and "
        "JSON, the hellos without; one process each unless said. CPU is the server's, user and system, a request. "
        "Errors are answers above 399, socket errors and time-outs, of all rounds. All clients of a run connect at "
        "once, which tells on the p99 where they are many; the runs that a bar is about last longer.",
        table(
            ("", "server", "rounds", "requests/s", "spread", "p50 ms", "p99 ms", "CPU us", "Redis us", "errors"),
            (_run(*entry) for entry in sorted(record.all_runs().items(), key=_position)),
        ),
    ]
    if record.newcomers:
        parts += [
            "200 newcomers, each on a fresh connection with one GET, beside 256 keep-alive clients; the wait runs from "
            "before the connect to the answer:",
            table(
                ("newcomers", "server", "p50 ms", "p99 ms", "worst ms", "the others' p50 ms", "errors"),
                (_came(name, how, record) for name, how in record.newcomers),
            ),
        ]
    if record.pool_costs:
        parts += [
            "Redis's CPU a lease (reading and answering the command included) by the size of the pool:",
            table(
                ("numbers", "us", "spread"),
                ((f"{size:,}", f"{middle(us):.1f}", f"{min(us):.1f} to {max(us):.1f}") for size, us in
                 record.pool_costs.items()),
            ),
        ]  # fmt: skip
    parts.append("\n".join(f"- {note}" for note in (cpu_note(record), workers_note(record), *record.notes) if note))
    return "\n\n".join(part for part in parts if part) + "\n"


def listed(machine: list[tuple[str, str]]) -> str:
    """The machine of a run."""
    return "\n".join(f"- {heading}: {text}" for heading, text in machine)


def lines(rows: list[Row]) -> str:
    """The ratios for a terminal."""
    return "\n".join(f"{cells[0]:88} {cells[1]:>6}  ({cells[2]})  {cells[-1]}" for cells in map(_ratio, rows))


def table(heads: Iterable[str], body: Iterable[tuple[str, ...]]) -> str:
    """A table whose figures are on the right."""
    heads = tuple(heads)
    ruler = ["---" if at < 1 or head in ("server", "errors", "") else "---:" for at, head in enumerate(heads)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ruler, *body))


def _ratio(row: Row) -> tuple[str, ...]:
    words = "at most " if row.at_most else ""
    bars = f"{words}{row.bar:g}", f"{row.aim:g}"
    if not row.values:
        return row.title, "-", "-", *bars, row.verdict
    return (
        row.title,
        f"{middle(row.values):.2f}",
        f"{min(row.values):.2f} to {max(row.values):.2f}",
        *bars,
        row.verdict,
    )


def _run(spot: Spot, rounds: list[Figures]) -> tuple[str, ...]:
    def of(what: Callable[[Figures], float]) -> float:
        return middle([what(one) for one in rounds])

    rates = [one.rate for one in rounds]
    errors = [one.what for one in rounds if one.errors]
    return (
        described(spot[1]),
        TITLES[spot[0]],
        str(len(rounds)),
        f"{of(lambda one: one.rate):,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        f"{of(lambda one: one.p50_ms):.2f}",
        f"{of(lambda one: one.p99_ms):.2f}",
        f"{of(lambda one: one.cpu_us):.0f}",
        f"{of(lambda one: one.redis_us):.0f}",
        "; ".join(errors) or "0",
    )


def _position(entry: tuple[Spot, list[Figures]]) -> tuple[int, bool, int, int]:
    (name, load), _ = entry
    return _ORDER[load.operation], load.close, load.connections, list(TITLES).index(name)


def _came(name: str, how: str, record: Record) -> tuple[str, ...]:
    rounds = record.newcomers[name, how]
    waited = [one.waits_ms for one in rounds if one.waits_ms]
    if not waited:
        return how, TITLES[name], "-", "-", "-", "-", "nobody was answered"
    return (
        how,
        TITLES[name],
        f"{middle([middle(waits) for waits in waited]):.1f}",
        f"{middle([percentile(waits, 0.99) for waits in waited]):.1f}",
        f"{max(map(max, waited)):.1f}",
        f"{middle([one.beside.p50_ms for one in rounds]):.1f}",
        str(sum(one.errors + one.beside.errors for one in rounds)),
    )
