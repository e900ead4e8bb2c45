"""The result files: `results/NAME.json`, with one measurement for each number of rows and of files."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "results"


def load(name, folder=FOLDER):
    """Returns the measurements of a benchmark, fewest rows first; none if it has not run."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text())["measurements"] if path.exists() else []


def store(name, measurement, folder=FOLDER):
    """Adds a measurement; it replaces one of the same number of rows and files."""
    others = [other for other in load(name, folder) if size(other) != size(measurement)]
    measurements = sorted([*others, measurement], key=size)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"benchmark": name, "measurements": measurements}, indent=1) + "\n")
    partial.replace(path)


def size(measurement):
    """Returns the numbers of rows and of files."""
    parameters = measurement["parameters"]
    return parameters["rows"], parameters.get("files", 0)
