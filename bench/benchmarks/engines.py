"""Ingestion and training in this process beside the same on Sail."""

from contextlib import contextmanager
from pathlib import Path

import processes
from benchmarks.training import same_fit
from project import Workspace
from rounds import Candidate, compare

ROWS = [1_000_000]
PEERS = ["pysail"]
TOOLS, VERSIONS = {}, {}
FEATURES = ["cluster"]


def measure(session, folder, rows):
    data, port = session.data(rows), processes.free_port()
    engines = {"in this process": {}, "on Sail": {"engine": f"sc://127.0.0.1:{port}"}}

    def candidate(name, keys, step, result):
        workspace = Workspace(folder / step / name, session.current, data, store_dataset=False, **keys)

        def run():
            with sail(session.python, port, folder) if keys else nothing() as server:
                if step == "training" and not (workspace.folder / "compiled").exists():
                    workspace.run("ingestion")
                workspace.remove("compiled" if step == "ingestion" else "models")
                usage, outcome = workspace.measure(step)
                return {**usage.figures(), **server()}, result(outcome)

        return Candidate(name, run)

    def pair(step, result, **options):
        candidates = [candidate(name, keys, step, result) for name, keys in engines.items()]
        return compare(step, candidates, session.rounds(rows), **options)

    return [pair("ingestion", lambda outcome: {"rows": outcome["rows"]}), pair("training", fit, agree=same_fit)]


def fit(outcome):
    return {"rows": outcome["training"]["rows"], "coefficients": [*outcome["coefficients"], outcome["intercept"]]}


@contextmanager
def nothing():
    """Stands for a server where there is none."""
    yield dict


@contextmanager
def sail(python, port, folder):
    """Runs a server. Yields a function that returns its peak memory."""
    log = folder / "sail.log"
    command = [Path(python).with_name("sail"), "spark", "server", "--ip", "127.0.0.1", "--port", port]
    with processes.background(command, log=log, folder=folder) as process:
        processes.wait_until(lambda: processes.accepts(port), "Sail", process=process, log=log)

        def peak():
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
            return {"server_mib": kib / 1024}

        yield peak
