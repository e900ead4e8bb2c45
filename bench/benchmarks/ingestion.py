"""Ingestion: the distinct rows of some CSV files as one CSV file, beside Polars, DuckDB and pandas."""

from project import Workspace
from rounds import Candidate, compare
from session import count_rows

ROWS = [1_000_000]
PEERS = ["polars", "duckdb", "pandas"]
TOOLS, VERSIONS, FEATURES = {}, {}, []

# pandas needs more memory than most machines have for more.
MOST_ROWS_OF_PANDAS = 10_000_000


def measure(session, folder, rows):
    data = session.data(rows)

    def own(version):
        workspace = Workspace(folder / version.name, version, data, store_dataset=False)

        def run():
            workspace.remove("compiled")
            usage, _ = workspace.measure("ingestion")
            distinct = count_rows(workspace.folder / "compiled" / "finaldata.csv")
            workspace.remove("compiled")
            return usage.figures(), {"rows": distinct}

        return Candidate(version.name, run)

    def peer(name, script, *arguments):
        output = folder / "output.csv"

        def run():
            output.unlink(missing_ok=True)
            usage = session.peer(script, data, output, *arguments, scratch=folder)
            distinct = count_rows(output)
            output.unlink()
            return usage.figures(), {"rows": distinct}

        return Candidate(name, run)

    candidates = [own(version) for version in session.versions] + [
        peer("Polars, order kept", "polars_ingestion.py", "ordered"),
        peer("Polars, any order", "polars_ingestion.py", "unordered"),
        peer("DuckDB, any order", "duckdb_ingestion.py"),
    ]
    if rows <= MOST_ROWS_OF_PANDAS:
        candidates.append(peer("pandas, order kept", "pandas_ingestion.py"))
    return [compare("ingestion", candidates, session.rounds(rows))]
