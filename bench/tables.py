"""Generates the tables of README.md from the results."""

import re
import sys
from pathlib import Path

import results

README = Path(__file__).resolve().parent / "README.md"
MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.S)


def update(folder, *, check):
    """Writes the tables between the markers of README.md, or only checks them. Returns the exit code."""
    found = README.read_text()
    wanted = MARKED.sub(lambda match: f"{match[1]}{table(match[2], folder)}\n{match[3]}", found)
    if found == wanted:
        return 0
    if check:
        print("bench/README.md does not agree with bench/results; run bench/run.py --tables", file=sys.stderr)
        return 1
    README.write_text(wanted)
    return 0


def table(name, folder=results.FOLDER):
    """Returns the table of a benchmark, with one line for each measurement that says how it was made."""
    measurements = results.load(name, folder)
    if not measurements:
        return f"No results yet: `bench/run.py {name}`."
    return "\n".join([TABLES[name](measurements), "", *map(origin, measurements)])


def origin(measurement):
    """Returns a line that says when, where and with which versions it was measured."""
    machine, parameters, versions = (measurement[key] for key in ("machine", "parameters", "versions"))
    what = f"{parameters['rows']:,} rows in {parameters['files']} files: " if parameters["rows"] else ""
    shown = ", ".join(f"{name} {version}" for name, version in versions.items() if name not in HIDDEN)
    failed = sorted({name for comparison in measurement["comparisons"] for name in comparison.get("out_of_memory", [])})
    return (
        f"- {what}{measurement['date']}, rounds: {parameters['rounds']}, cores: {machine['cores']} ({machine['cpu']}), "
        f"memory: {machine['memory_gib']} GiB, load before: {machine['load']}; {shown}"
        + (f"; out of memory: {', '.join(failed)}" if failed else "")
    )


# Checksums, which only the result file shows.
HIDDEN = {"this project", "earlier version"}


def ingestion(measurements):
    names = ("rows", "", "whole process", "CPU", "memory", "times as long", "times the CPU")
    return grid(names, (
        (
            rows(measurement), candidate["name"], seconds(figures["wall"]), seconds(figures["cpu"]),
            memory(figures["peak_mib"]), ratio(ratios.get("wall")), ratio(ratios.get("cpu")),
        )
        for measurement, _, candidate, figures, ratios in candidates(measurements)
    ))


def training(measurements):
    """The whole process and the fit alone, which are of the same runs."""
    names = ("rows", "", "whole process", "times as long", "the fit alone", "times as long", "memory")
    return grid(names, (
        (
            rows(measurement), candidate["name"], seconds(figures["wall"]), ratio(ratios.get("wall")),
            seconds(figures["fit_seconds"]), ratio(ratios.get("fit_seconds")), memory(figures["peak_mib"]),
        )
        for measurement, _, candidate, figures, ratios in candidates(measurements)
    ))


def threads(measurements):
    names = ("rows", "step", "1 thread", "2 threads", "speed-up", "CPU, 1 thread", "CPU, 2 threads")
    return grid(names, (
        (
            rows(measurement), comparison["name"], seconds(one["figures"]["wall"]), seconds(two["figures"]["wall"]),
            ratio(one["ratios"]["wall"]), seconds(one["figures"]["cpu"]), seconds(two["figures"]["cpu"]),
        )
        for measurement, comparison in comparisons(measurements)
        for two, one in [comparison["candidates"]]
    ))


def steps(measurements, start=""):
    names = ("rows", "step", "", "whole process", "CPU", "memory", "times as long")
    return grid(names, (
        (
            rows(measurement), comparison["name"], candidate["name"], seconds(figures["wall"]), seconds(figures["cpu"]),
            memory(figures["peak_mib"]), ratio(ratios.get("wall")),
        )
        for measurement, comparison, candidate, figures, ratios in candidates(measurements, start)
    ))


def engines(measurements):
    names = ("rows", "files", "step", "", "whole process", "memory", "memory of the server", "times as long")
    return grid(names, (
        (
            rows(measurement), f"{measurement['parameters']['files']:,}", comparison["name"], candidate["name"],
            seconds(figures["wall"]), memory(figures["peak_mib"]), memory(figures.get("server_mib")),
            ratio(ratios.get("wall")),
        )
        for measurement, comparison, candidate, figures, ratios in candidates(measurements)
    ))


def service(measurements):
    """A table for each kind of figures."""
    names = ("predictions, five rows", "requests/s", "median", "99 % within", "failed requests", "meanwhile, per second")
    predictions = grid(names, (
        (
            candidate["name"], count(figures["requests_per_second"]), seconds(figures["p50_ms"], 1e-3),
            seconds(figures["p99_ms"], 1e-3), failed(candidate), count(figures.get("actions_per_second")),
        )
        for _, _, candidate, figures, _ in candidates(measurements, "predictions")
    ))
    page = grid(("start page", "median", "size"), (
        (
            candidate["name"], seconds(figures["p50_ms"], 1e-3),
            f"{figures['kib']['median']:.0f} KiB" if "kib" in figures else "",
        )
        for _, _, candidate, figures, _ in candidates(measurements, "start page")
    ))
    keys = ("idle_mib", "after_1_million_mib", "after_2_million_mib", "peak_mib")
    held = grid(("memory: idle", "after a million requests", "after two million", "peak", "failed requests"), (
        [*(memory(figures[key]) for key in keys), failed(candidate)]
        for _, _, candidate, figures, _ in candidates(measurements, "memory")
    ))
    million = grid(("a million rows as CSV", "whole request", "peak memory"), (
        (candidate["name"], seconds(figures["wall"]), memory(figures["peak_mib"]))
        for _, _, candidate, figures, _ in candidates(measurements, "a million rows")
    ))
    return "\n\n".join([predictions, page, held, million])


def databases(measurements):
    """Storing the dataset, and recording and reading the history."""
    # The history is the same, whatever the number of rows.
    latest = measurements[-1:]
    kinds = (("recording", "p50_ms", 1e-3), ("dbsetup", "wall", 1), ("GET", "p50_ms", 1e-3))
    names = [candidate["name"] for _, _, candidate, _, _ in candidates(latest, "recording")]
    history = grid(("", *names), (
        (comparison["name"], *(seconds(candidate["figures"][figure], factor) for candidate in comparison["candidates"]))
        for start, figure, factor in kinds
        for _, comparison in comparisons(latest, start)
    ))
    return "\n\n".join([steps(measurements, "dataset in "), history])


TABLES = {
    "ingestion": ingestion,
    "training": training,
    "threads": threads,
    "steps": steps,
    "service": service,
    "databases": databases,
    "engines": engines,
}


def comparisons(measurements, start=""):
    """Returns the comparisons whose name starts with `start`, each with its measurement."""
    pairs = [(measurement, each) for measurement in measurements for each in measurement["comparisons"]]
    return [(measurement, each) for measurement, each in pairs if each["name"].startswith(start)]


def candidates(measurements, start=""):
    """Returns the candidates of these comparisons, each with measurement, comparison, figures and ratios."""
    return [
        (measurement, comparison, candidate, candidate["figures"], candidate["ratios"])
        for measurement, comparison in comparisons(measurements, start)
        for candidate in comparison["candidates"]
    ]


def grid(names, lines):
    """Returns a table without the columns that are empty in every line."""
    lines = list(lines)
    kept = [column for column in range(len(names)) if any(line[column] for line in lines)]
    return "\n".join(
        f"| {' | '.join(line[column] for column in kept)} |" for line in [names, ["---"] * len(names), *lines]
    )


def rows(measurement):
    number = measurement["parameters"]["rows"]
    return f"{number:,}" if number else "as shipped"


def seconds(spread, factor=1):
    """Shows a duration in units of `factor` seconds; in milliseconds if it is short."""
    factor, unit = (factor, " s") if spread["median"] * factor >= 0.1 else (factor * 1000, " ms")
    return shown(spread, lambda value: digits(value * factor), unit)


def ratio(spread):
    return shown(spread, lambda value: f"{value:.2f}" if value < 10 else digits(value))


def count(spread):
    return shown(spread, digits)


def shown(spread, write, unit=""):
    """Shows the median, and the minimum and maximum in parentheses; nothing for a figure that does not exist."""
    if spread is None:
        return ""
    return f"{write(spread['median'])}{unit} ({write(spread['min'])}–{write(spread['max'])})"


def failed(candidate):
    """Shows how many requests of all rounds failed."""
    failures, requests = (sum(run[key] for run in candidate["runs"]) for key in ("failed", "requests"))
    return f"{failures:,} of {requests:,}"


def memory(spread):
    return f"{spread['max']:,.0f} MiB" if spread else ""


def digits(value):
    """Shows three significant digits, and all digits before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"
