"""The service: predictions under load, alone, during diagnoses and during deployments; the start page; its memory."""

import shutil
import sqlite3
import time
from functools import partial

import processes
from project import WITHOUT_CARGO, Workspace
from rounds import Candidate, compare
from server import repeated, serve
from session import count_rows

# It fabricates clients and requests of its own.
ROWS = [0]
PEERS = []
TOOLS = {"wrk": "wrk", "curl": "curl"}
VERSIONS = {"wrk": ["--version"]}
FEATURES = []

CLIENT_ROWS = 17_000
PAST_RUNS = 500
PREDICTIONS = "/prediction"
PAGES = ["/", "/scoring", "/summarystats", "/calllist", "/metrics"]


def measure(session, folder, _):
    # No answer is reused, so every diagnosis is made.
    workspace = Workspace(folder / "workspace", session.current, session.data(CLIENT_ROWS), answer_max_age=0)
    workspace.run("fullprocess", environment=WITHOUT_CARGO)
    write_history(workspace)
    rounds = session.rounds()
    return [
        predictions(workspace, rounds, session.options.seconds),
        start_page(workspace, rounds, session.options.seconds),
        memory(workspace, rounds),
        million_rows(workspace, rounds),
    ]


def predictions(workspace, rounds, seconds):
    """Five rows are posted on eight connections, each request is logged."""
    with serve(workspace, "--log-format", "json") as service:
        load = partial(service.load, PREDICTIONS, seconds, connections=8, rows=True)

        def alone():
            return load(), None

        def diagnoses():
            with repeated(lambda: service.get("/diagnostics")) as durations:
                figures = load()
            return {**figures, "actions_per_second": len(durations) / seconds}, None

        def deployments(pause):
            def deploy_and_roll_back():
                for arguments in ([], ["--rollback"]):
                    processes.output(workspace.command("deployment", *arguments), folder=workspace.folder, limit=60)
                    time.sleep(pause)

            with repeated(deploy_and_roll_back) as durations:
                figures = load()
            remove_old_releases(workspace)
            return {**figures, "actions_per_second": 2 * len(durations) / seconds}, None

        candidates = [
            Candidate("alone", alone),
            Candidate("during diagnoses", diagnoses),
            Candidate("during deployments and rollbacks, with pauses", lambda: deployments(0.08)),
            Candidate("during deployments and rollbacks, without a pause", lambda: deployments(0)),
        ]
        return compare("predictions", candidates, rounds)


def start_page(workspace, rounds, seconds):
    """The page after a run that changed what it shows, and when it is already known."""
    with serve(workspace, "--log-format", "none") as service:

        def first():
            workspace.run("scoring", "--deployed")
            start = time.perf_counter()
            page = service.get("/")
            return {"p50_ms": (time.perf_counter() - start) * 1000, "kib": len(page) / 1024}, None

        def further():
            return service.load("/", seconds, connections=1), None

        candidates = [Candidate("first request after a run", first), Candidate("further requests", further)]
        return compare("start page", candidates, rounds)


def memory(workspace, rounds):
    """What a new process holds after a visit of the pages, and after one and two million predictions."""

    def run():
        with serve(workspace, "--log-format", "none") as service:
            for page in PAGES:
                service.get(page)
            figures = {"idle_mib": service.memory()[0], "requests": 0, "failed": 0}
            for millions in (1, 2):
                while figures["requests"] < millions * 1_000_000:
                    load = service.load(PREDICTIONS, 2, connections=8, rows=True)
                    for key, value in load.items():
                        if key == "requests" or key.startswith("failed"):
                            figures[key] = figures.get(key, 0) + value
                figures[f"after_{millions}_million_mib"] = service.memory()[0]
            return {**figures, "peak_mib": service.memory()[1]}, None

    return compare("memory", [Candidate("service", run)], rounds, warm_up=False)


def million_rows(workspace, rounds):
    """One request with a million rows to a new process."""
    rows, answer = workspace.folder / "million.csv", workspace.folder / "answer"
    with rows.open("w") as file:
        file.write("corporation,lastmonth_activity,lastyear_activity,number_of_employees\n")
        file.writelines(f"client{i},{i % 900},{i % 5000},{i % 70}\n" for i in range(1_000_000))

    def request(accepted, count):
        with serve(workspace, "--log-format", "none") as service:
            command = ["curl", "-sf", "-o", answer, "-w", "%{time_total}", "-T", rows, "-X", "POST",
                       "-H", "Content-Type: text/csv", "-H", f"Accept: {accepted}", service.url + PREDICTIONS]
            seconds = float(processes.output(command, limit=300))
            figures = {"wall": seconds, "peak_mib": service.memory()[1]}
        answered = count(answer)
        answer.unlink()
        return figures, {"rows": answered}

    candidates = [
        Candidate("answered as CSV", lambda: request("text/csv", count_rows)),
        Candidate("answered as JSON", lambda: request("application/json", count_names)),
    ]
    return compare("a million rows as CSV", candidates, rounds)


def count_names(path):
    """Returns the number of clients in a JSON answer."""
    return path.read_bytes().count(b'"client')


def remove_old_releases(workspace):
    """Removes all releases except the live one, so that no round has more of them than the one before."""
    live = (workspace.folder / "production" / "current").resolve()
    for release in (workspace.folder / "production" / "releases").iterdir():
        if release != live:
            shutil.rmtree(release)


def write_history(workspace):
    """Writes past runs with the records that the start page shows."""
    release = (workspace.folder / "production" / "current").resolve().name
    database = sqlite3.connect(workspace.folder / "history.sqlite", timeout=30)
    with database:
        for number in range(1, PAST_RUNS + 1):
            run = 1000 + number
            time_of_run = f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{number} seconds')"
            database.execute(
                "INSERT INTO runs (id, step, version, started, seconds, ended, outcome) "
                f"VALUES (?, 'drift check', '0.1.0', {time_of_run}, 0.1, {time_of_run}, 'done')",
                [run],
            )
            f1 = 0.7 + number * 7919 % 100 / 1000
            database.execute(
                "INSERT INTO drift_checks VALUES "
                "(?, ?, '[\"x.csv\"]', 400, 100, 50, 40, 210, ?, 0.65, 0.85, 0.76, 'raw', 'not drifted', 0)",
                [run, release, f1],
            )
            percent = number * 104729 % 1000 / 1000
            for column in ("corporation", "lastmonth_activity", "lastyear_activity", "number_of_employees", "exited"):
                database.execute("INSERT INTO missing_percentages VALUES (?, ?, ?)", [run, column, percent])
            for operation in ("ingestion", "training"):
                database.execute("INSERT INTO timings VALUES (?, ?, ?)", [run, operation, number * 7919 % 1000 / 1e5])
    database.close()
