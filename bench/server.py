"""The service of this project while it is measured."""

import json
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import processes
from project import WITHOUT_CARGO

SCRIPT = Path(__file__).with_name("load.lua")


class Service:
    """A running service."""

    def __init__(self, process, url):
        self.process, self.url = process, url

    def get(self, path, limit=60):
        """Returns the answer to a GET request, which must succeed."""
        with urllib.request.urlopen(self.url + path, timeout=limit) as answer:
            return answer.read()

    def memory(self):
        """Returns the memory of the process in MiB: resident now, and the peak."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        kib = dict(line.split(":", 1) for line in lines)
        return tuple(int(kib[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))

    def load(self, path, seconds, *, connections, rows=False):
        """Returns the figures of a load with wrk: five rows posted again and again, or a page that is read."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", SCRIPT, self.url + path]
        said = processes.output(command + ["--", "five"] * rows, limit=seconds + 60)
        found = json.loads(said.splitlines()[-1])
        failed = sum(found["errors"].values())
        # A few are a result, to be shown; more than that, and the other figures mean nothing.
        if failed * 1000 > found["requests"]:
            raise processes.Failed(f"errors of {found['requests']} requests to {path}: {found['errors']}")
        return {
            "requests": found["requests"],
            "failed": failed,
            **{f"failed_{kind}": number for kind, number in found["errors"].items()},
            "requests_per_second": found["requests"] / found["microseconds"] * 1e6,
            "p50_ms": found["p50"] / 1000,
            "p99_ms": found["p99"] / 1000,
        }


@contextmanager
def serve(workspace, *arguments):
    """Runs the service of a workspace on a free port for the duration of a `with` block."""
    log = workspace.folder / "app.log"
    command = workspace.command("app", "--bind", "127.0.0.1:0", *arguments)

    def address():
        said = [line for line in log.read_text().splitlines() if line.startswith("listening on ")]
        return said[0].split()[2] if said else None

    with processes.background(command, log=log, folder=workspace.folder, environment=WITHOUT_CARGO) as process:
        yield Service(process, processes.wait_until(address, "the service", process=process, log=log))


@contextmanager
def repeated(action, pause=0.0):
    """Repeats an action in another thread for the duration of a `with` block. Yields a list with its durations.

    An action that fails fails the block.
    """
    durations, errors, ended = [], [], threading.Event()

    def work():
        while not ended.is_set():
            start = time.perf_counter()
            try:
                action()
            except Exception as error:
                errors.append(error)
                return
            durations.append(time.perf_counter() - start)
            ended.wait(pause)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield durations
    finally:
        ended.set()
        thread.join(timeout=60)
    if errors:
        raise errors[0]
