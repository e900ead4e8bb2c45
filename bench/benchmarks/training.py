"""Training: the whole process and the fit alone, beside Polars with scikit-learn."""

import json

from project import Workspace
from rounds import Candidate, compare

ROWS = [1_000_000]
PEERS = ["polars", "scikit-learn", "scipy", "numpy"]
TOOLS, VERSIONS, FEATURES = {}, {}, []

# lbfgs takes minutes for more.
MOST_ROWS_OF_LBFGS = 10_000_000


def measure(session, folder, rows):
    data = session.data(rows)
    workspaces = [Workspace(folder / version.name, version, data, store_dataset=False) for version in session.versions]
    for workspace in workspaces:
        workspace.run("ingestion")
    dataset = workspaces[0].folder / "compiled" / "finaldata.csv"

    def own(workspace):
        def run():
            workspace.remove("models")
            usage, outcome = workspace.measure("training")
            coefficients = [*outcome["coefficients"], outcome["intercept"]]
            result = {"rows": outcome["training"]["rows"], "coefficients": coefficients}
            return {**usage.figures(), "fit_seconds": outcome["fit_seconds"]}, result

        return Candidate(workspace.version.name, run)

    def peer(solver):
        def run():
            usage = session.peer("sklearn_training.py", dataset, solver, scratch=folder)
            outcome = json.loads(usage.output)
            return {**usage.figures(), "fit_seconds": outcome.pop("fit_seconds")}, outcome

        return Candidate(f"scikit-learn {solver}", run)

    candidates = [own(workspace) for workspace in workspaces] + [peer("newton-cholesky")]
    if rows <= MOST_ROWS_OF_LBFGS:
        candidates.append(peer("lbfgs"))
    return [compare("training", candidates, session.rounds(rows), agree=same_fit)]


def same_fit(reference, other):
    """Returns whether two fits used as many rows and differ by at most a hundredth in every coefficient.

    That is what scikit-learn's default tolerance achieves with lbfgs on data that are not scaled.
    """
    pairs = zip(reference["coefficients"], other["coefficients"], strict=True)
    return reference["rows"] == other["rows"] and all(abs(a - b) <= 0.01 * abs(a) for a, b in pairs)
