"""`fullprocess`, `reporting` and `diagnostics` on the shipped data and on more rows."""

from project import CHECKOUT, WITHOUT_CARGO, Workspace
from rounds import Candidate, compare

# 0 stands for the shipped data.
ROWS = [0, 1_000_000]
PEERS, TOOLS, VERSIONS, FEATURES = [], {}, {}, []
REPORTS = ["confusionmatrix.png", "timetrends.png", "modelquality.png", "calllist.csv", "report.pdf"]


def measure(session, folder, rows):
    data = session.data(rows) if rows else CHECKOUT / "sourcedata"
    workspaces = [Workspace(folder / version.name, version, data) for version in session.versions]

    def candidates(step, remove, result):
        def candidate(workspace):
            def run():
                workspace.remove(*remove)
                usage, outcome = workspace.measure(step, environment=WITHOUT_CARGO)
                return usage.figures(), result(workspace, outcome)

            return Candidate(workspace.version.name, run)

        return [candidate(workspace) for workspace in workspaces]

    def decision(_, outcome):
        return {"outcome": outcome["outcome"], "new_files": outcome["new_files"]}

    def reports(workspace, outcome):
        written = [name for name in REPORTS if (workspace.folder / "models" / name).stat().st_size > 0]
        return {"n": outcome["n"], "calls": outcome["calls"], "reports": written}

    def diagnosis(_, outcome):
        return {"predictions": len(outcome["predictions"]["corporations"])}

    everything = ["compiled", "models", "production", "history.sqlite*"]
    # The order matters: the first one deploys the model that the others need.
    return [
        compare(name, candidates(step, remove, result), session.rounds(rows))
        for name, step, remove, result in (
            ("first deployment", "fullprocess", everything, decision),
            ("nothing to do", "fullprocess", [], decision),
            ("reporting", "reporting", [f"models/{name}" for name in [*REPORTS, "reports.json"]], reports),
            ("diagnostics", "diagnostics", [], diagnosis),
        )
    ]
