#!/usr/bin/env python3
"""Runs benchmarks and writes their results to `results/`, and the tables of README.md from these."""

import argparse
import datetime
import importlib
import signal
import sys
from pathlib import Path

import machine
import processes
import project
import results
import tables
from progress import progress
from session import Session, files_of

NAMES = ["ingestion", "training", "threads", "steps", "service", "databases", "engines"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, epilog="bench/README.md describes the benchmarks.")
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"benchmarks to run: {', '.join(NAMES)}")
    add("--rows", type=numbers, metavar="N,…", help="numbers of rows, for example 1_000_000,10_000_000")
    add("--files", type=numbers, metavar="N,…", help="numbers of files [default: 4 to 10, depending on the rows]")
    add("--rounds", type=int, metavar="N", help="rounds that count [default: 5; 3 above 10,000,000 rows]")
    add("--seconds", type=int, default=10, metavar="N", help="seconds of each load of the service [default: 10]")
    add("--bin", type=folder, metavar="FOLDER", help="folder of the programs [default: they are built]")
    add("--previous", type=folder, metavar="FOLDER", help="folder of the programs of an earlier version")
    add("--venv", type=Path, metavar="FOLDER", default=project.CARGO_TARGET / "bench-venv",
        help="virtual environment of the peers, kept between runs [default: target/bench-venv]")
    add("--results", type=Path, metavar="FOLDER", default=results.FOLDER, help="folder of the results")
    add("--tables", action="store_true", help="only write the tables of README.md from the results")
    add("--check", action="store_true", help="with --tables: change nothing, fail if README.md differs")
    options = parser.parse_args()
    options.venv = options.venv.absolute()
    for name in options.names:
        if name not in NAMES:
            parser.error(f"there is no benchmark {name}; there are {', '.join(NAMES)}")
    if bool(options.names) == options.tables or options.check and not options.tables:
        parser.error("name a benchmark, or use --tables with or without --check")
    if options.rounds is not None and options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    return options


def numbers(text):
    return [int(number) for number in text.split(",")]


def folder(text):
    path = Path(text).absolute()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path


def run(options):
    """Runs the benchmarks one after another. What is complete is stored at once."""
    benchmarks = {name: importlib.import_module(f"benchmarks.{name}") for name in options.names}
    processes.find_servers()
    processes.require({tool: package for each in benchmarks.values() for tool, package in each.TOOLS.items()})
    with Session(options) as session:
        for name, benchmark in benchmarks.items():
            for rows, files in sizes(options, benchmark):
                session.files = files
                scratch = session.begin(name, benchmark.FEATURES)
                measurement = {
                    "date": datetime.date.today().isoformat(),
                    "machine": machine.description(),
                    "versions": machine.versions(session, benchmark),
                    "parameters": parameters(session, benchmark, rows),
                }
                print(f"{name}: " + ", ".join(f"{what} {version}" for what, version in measurement["versions"].items()))
                measurement["comparisons"] = benchmark.measure(session, scratch, rows)
                results.store(name, measurement, options.results)
                print(tables.table(name, options.results), flush=True)


def sizes(options, benchmark):
    """Returns the pairs of numbers of rows and of files."""
    return [(rows, files) for rows in options.rows or benchmark.ROWS for files in options.files or [files_of(rows)]]


def parameters(session, benchmark, rows):
    files = {"files": session.files} if rows else {}
    seconds = {"seconds": session.options.seconds} if "wrk" in benchmark.TOOLS else {}
    return {"rows": rows, **files, "rounds": session.rounds(rows), **seconds}


def main():
    options = arguments()
    # Every way to end passes through the `finally` blocks, which stop all children and remove the temporary files.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        if options.tables:
            return tables.update(options.results, check=options.check)
        run(options)
    except processes.Failed as error:
        progress("")
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
