"""Ingestion and training on one thread beside the same on two."""

from processes import Failed
from project import Workspace
from rounds import Candidate, compare
from session import count_rows

ROWS = [1_000_000]
PEERS, TOOLS, VERSIONS, FEATURES = [], {}, {}, []


def measure(session, folder, rows):
    version = session.current
    if "--threads" not in version.help("ingestion"):
        raise Failed(f"the programs in {version.folder} do not have the flag --threads")
    workspace = Workspace(folder / "workspace", version, session.data(rows), store_dataset=False)
    dataset = workspace.folder / "compiled" / "finaldata.csv"

    def ingestion(threads):
        workspace.remove("compiled")
        usage, outcome = workspace.measure("ingestion", "--threads", threads)
        return usage.figures(), {"rows": count_rows(dataset), "dataset_sha256": outcome["dataset_sha256"]}

    def training(threads):
        workspace.remove("models")
        usage, outcome = workspace.measure("training", "--threads", threads)
        # The same bytes whatever the number of threads.
        return {**usage.figures(), "fit_seconds": outcome["fit_seconds"]}, {"model_sha256": outcome["model_sha256"]}

    def pair(name, step):
        # Two threads are the reference, so the ratio of the wall time of one thread is the speed-up.
        candidates = [Candidate("2 threads", lambda: step(2)), Candidate("1 thread", lambda: step(1))]
        return compare(name, candidates, session.rounds(rows))

    return [pair("ingestion", ingestion), pair("training", training)]
