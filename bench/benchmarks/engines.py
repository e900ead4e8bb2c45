"""Ingestion and training in this process beside the same on Sail and on Spark with one and two workers."""

import contextlib
import os
from pathlib import Path

import processes
from benchmarks.training import same_fit
from project import Workspace
from rounds import Candidate, compare

ROWS = [1_000_000]
PEERS = ["pysail", "pyspark"]
TOOLS = {"java": "default-jre-headless"}
VERSIONS = {"java": ["--version"]}
FEATURES = ["cluster"]

# With more rows, Spark with the cores of one machine takes more than an hour.
MOST_ROWS_ON_SPARK = 10_000_000


def measure(session, folder, rows):
    data, python = session.data(rows), session.python
    address = f"sc://127.0.0.1:{processes.free_port()}"
    engines = {
        "in this process": lambda: contextlib.nullcontext(dict),
        "on Sail": lambda: sail(python, address, folder),
    }
    if rows <= MOST_ROWS_ON_SPARK:
        engines["on Spark, 1 worker"] = lambda: spark(python, address, folder, 1)
        engines["on Spark, 2 workers"] = lambda: spark(python, address, folder, 2)

    def candidate(name, engine, step, result):
        keys = {} if name == "in this process" else {"engine": address}
        workspace = Workspace(folder / step / name, session.current, data, store_dataset=False, **keys)

        def run():
            with engine() as server:
                if step == "training" and not (workspace.folder / "compiled").exists():
                    workspace.run("ingestion")
                workspace.remove("compiled" if step == "ingestion" else "models")
                usage, outcome = workspace.measure(step)
                return {**usage.figures(), **server()}, result(outcome)

        return Candidate(name, run)

    def pair(step, result, **options):
        candidates = [candidate(name, engine, step, result) for name, engine in engines.items()]
        # Every run has a new server, which is cold anyway; a warm-up of many rows would only take long.
        return compare(step, candidates, session.rounds(rows), warm_up=rows <= 1_000_000, **options)

    return [pair("ingestion", lambda outcome: {"rows": outcome["rows"]}), pair("training", fit, agree=same_fit)]


def fit(outcome):
    return {"rows": outcome["training"]["rows"], "coefficients": [*outcome["coefficients"], outcome["intercept"]]}


@contextlib.contextmanager
def sail(python, address, folder):
    """Runs a server. Yields a function that returns its peak memory."""
    log, port = folder / "sail.log", address.rpartition(":")[2]
    command = [Path(python).with_name("sail"), "spark", "server", "--ip", "127.0.0.1", "--port", port]
    with processes.background(command, log=log, folder=folder) as process:
        wait_for(port, "Sail", process, log)
        yield lambda: {"server_mib": peak_mib(process.pid)}


@contextlib.contextmanager
def spark(python, address, folder, workers):
    """Runs a master, workers with one core each, and a Spark Connect server."""
    home = Path(python).parent
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PATH": f"{home}:{os.environ['PATH']}"}
    with contextlib.ExitStack() as stack:

        def start(name, port, command):
            log = folder / f"{name}.log"
            server = processes.background(command, log=log, folder=folder, environment=environment)
            wait_for(port, name, stack.enter_context(server), log)

        def service(name, *arguments):
            page = processes.free_port()
            options = ["--host", "127.0.0.1", "--webui-port", page, *arguments]
            return page, [home / "spark-class", f"org.apache.spark.deploy.{name}", *options]

        port = processes.free_port()
        start("master", port, service("master.Master", "--port", port)[1])
        master = f"spark://127.0.0.1:{port}"
        for number in range(workers):
            page, command = service("worker.Worker", "--cores", 1, "--memory", "4g", master)
            start(f"worker {number}", page, command)
        port = address.rpartition(":")[2]
        settings = {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": port,
            "spark.driver.host": "127.0.0.1",
            "spark.executor.memory": "3g",
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": 4,
        }
        options = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
        main = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
        start("Spark", port, [home / "spark-submit", "--master", master, *options, *main])
        yield dict


def wait_for(port, name, process, log):
    processes.wait_until(lambda: processes.accepts(port), name, process=process, log=log, limit=180)


def peak_mib(process):
    """Returns the peak memory of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
