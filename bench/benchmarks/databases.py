"""The dataset in SQLite, PostgreSQL and MariaDB beside their own loaders; recording and reading the history."""

import re
import sqlite3
from contextlib import ExitStack

import measure as whole
from databases import Sqlite, mariadb, postgres
from project import Workspace
from rounds import Candidate, compare
from server import serve

ROWS = [1_000_000]
PEERS = []
TOOLS = {
    "sqlite3": "sqlite3", "psql": "postgresql", "initdb": "postgresql", "mariadbd": "mariadb-server",
    "mariadb": "mariadb-client", "wrk": "wrk",
}
VERSIONS = {"sqlite3": ["--version"], "postgres": ["--version"], "mariadbd": ["--version"]}
FEATURES = []

# Sends every row although the database has the same ones already.
FORGET_DATASET = "UPDATE datasets SET sha256 = 'another'"
RUNS = 100_000
MODEL = "a" * 64
HISTORIES = ["runs", "scores", "timings", "missing", "releases"]
TABLES = ["runs", "scores", "timings", "missing_percentages", "releases"]


def measure(session, folder, rows):
    data, rounds = session.data(rows), session.rounds(rows)
    with ExitStack() as stack:
        servers = [postgres(folder / "postgres", stack), mariadb(folder / "mariadb", stack)]
        workspaces = {}
        sqlite = Sqlite(folder / "SQLite")
        for database in (sqlite, *servers):
            workspace = Workspace(folder / database.name, session.current, data, database_url=database.url)
            workspace.run("dbsetup")
            workspaces[database] = workspace
        alone = Workspace(folder / "alone", session.current, data, store_dataset=False)
        alone.run("ingestion")
        numbered = folder / "numbered.csv"
        write_numbered(alone.folder / "compiled" / "finaldata.csv", numbered)
        stored = [stored_dataset(database, workspaces[database], numbered, rounds) for database in workspaces]
        recorded = recording(workspaces, rounds)
        write_history(sqlite, servers, folder)
        return [*stored, recorded, *reading(workspaces, rounds), service(workspaces, rounds, session.options.seconds)]


def stored_dataset(database, workspace, numbered, rounds):
    """The whole ingestion with its dataset in the database, beside the database's loader of the same rows."""

    def ingestion(statement):
        def run():
            database.execute(statement)
            workspace.remove("compiled")
            usage, _ = workspace.measure("ingestion")
            return usage.figures(), database.count("clients")

        return run

    def loader():
        database.prepare_load()
        usage = database.load(numbered, workspace.folder)
        return usage.figures(), database.count("loaded")

    candidates = [
        Candidate("ingestion, table empty", ingestion("DELETE FROM clients")),
        Candidate("ingestion, as many rows replaced", ingestion(FORGET_DATASET)),
        Candidate(f"{database.loader}, table empty", loader),
    ]
    return compare(f"dataset in {database.name}", candidates, rounds)


def recording(workspaces, rounds):
    """What a step spends on its records. The program takes the median of 50 runs itself."""

    def candidate(database, workspace):
        def run():
            said = whole.measure(workspace.command("overhead"), workspace.folder).output
            return {"p50_ms": float(re.search(r"median ([\d.]+) ms", said)[1])}, None

        return Candidate(database.name, run)

    return compare("recording a run", [candidate(*each) for each in workspaces.items()], rounds)


def reading(workspaces, rounds):
    """The last 50 records of a long history, whole process."""

    def candidate(what, database, workspace):
        def run():
            usage, outcome = workspace.measure("dbsetup", "--history", what, "--last", "50")
            return usage.figures(), {"rows": len(outcome["rows"]), "last": list(outcome["rows"][-1].values())[0]}

        return Candidate(database.name, run)

    return [
        compare(f"dbsetup --history {what} --last 50", [candidate(what, *each) for each in workspaces.items()], rounds)
        for what in HISTORIES
    ]


def service(workspaces, rounds, seconds):
    """The same over HTTP, on one connection."""

    def candidate(database, workspace):
        def run():
            with serve(workspace, "--log-format", "none") as running:
                return running.load("/history?what=scores&last=50", seconds, connections=1), None

        return Candidate(database.name, run)

    return compare("GET /history?what=scores&last=50", [candidate(*each) for each in workspaces.items()], rounds)


def write_numbered(dataset, path):
    """Copies a dataset without its header; each row starts with its number, and a missing value is NULL."""
    with dataset.open() as rows, path.open("w") as out:
        next(rows)
        for number, row in enumerate(rows, 1):
            fields = [field or "NULL" for field in row.rstrip("\n").split(",")]
            out.write(f"{number},{','.join(fields)}\n")


def write_history(sqlite, servers, folder):
    """Writes the same long history to all databases."""
    sqlite.execute(f"""
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {RUNS})
        INSERT INTO runs (step, version, started, seconds, ended, outcome)
        SELECT 'scoring', '0', '2026-01-01T00:00:00.000000Z', 1, '2026-01-01T00:00:01.000000Z', 'done' FROM n;
        INSERT INTO scores SELECT id, '{MODEL}', NULL, '["t.csv"]', 4, 1, 1, 1, 1, 0.5, 0.5 FROM runs;
        INSERT INTO timings SELECT id, 'training', 1 FROM runs;
        INSERT INTO missing_percentages SELECT id, 'exited', 1 FROM runs;
        INSERT INTO releases SELECT id, '20260101T000000000Z-' || printf('%012x', id), 'deployed',
            '2026-01-01T00:00:00.' || printf('%06d', id) || 'Z', '{MODEL}', 0.5, 4 FROM runs;
    """)
    for server in servers:
        server.execute("TRUNCATE runs CASCADE" if server.name == "PostgreSQL" else "DELETE FROM runs")
    database = sqlite3.connect(sqlite.folder / "history.sqlite")
    for table in TABLES:
        path = folder / f"{table}.csv"
        with path.open("w") as out:
            for row in database.execute(f"SELECT * FROM {table}"):
                out.write(",".join(map(field, row)) + "\n")
        for server in servers:
            server.load(path, folder, table)
    database.close()


def field(value):
    """Writes a value as both servers read it: NULL without quotes is a missing value."""
    if value is None:
        return "NULL"
    return '"' + value.replace('"', '""') + '"' if isinstance(value, str) else str(value)
