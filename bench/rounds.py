"""Runs candidates in turn and derives medians, spreads and ratios."""

import statistics
from dataclasses import dataclass
from typing import Any, Callable

from processes import Failed, Killed
from progress import progress


@dataclass(frozen=True)
class Candidate:
    """Something to measure. `run()` returns its figures by name, and its result."""

    name: str
    run: Callable[[], tuple[dict[str, float], Any]]


def equal(reference, other):
    """The usual condition that the results of two candidates agree."""
    return reference == other


def compare(name, candidates, rounds, *, agree=equal, warm_up=True):
    """Runs every candidate once per round, after a round that does not count, and returns the comparison.

    The order rotates: another candidate begins each round. A ratio compares a candidate with the first of the list in
    the same round, so that a change of the machine's load concerns both. All results must agree with that of the first
    one measured. A candidate for which the memory does not suffice takes no further part, except the first.
    """
    runs = {candidate.name: [] for candidate in candidates}
    out_of_memory = set()
    reference = None
    for number in range(0 if warm_up else 1, rounds + 1):
        turn = number % len(candidates)
        for candidate in candidates[turn:] + candidates[:turn]:
            if candidate.name in out_of_memory:
                continue
            progress(f"{name}, {f'round {number} of {rounds}' if number else 'warm-up'}: {candidate.name}")
            try:
                figures, result = candidate.run()
            except Killed:
                if candidate is candidates[0]:
                    raise
                out_of_memory.add(candidate.name)
                continue
            reference = reference or (candidate.name, result)
            if not agree(reference[1], result):
                raise Failed(f"{name}: {reference[0]} has the result {reference[1]}, {candidate.name} has {result}")
            if number:
                runs[candidate.name].append({"round": number, **{key: short(value) for key, value in figures.items()}})
    progress("")
    first = runs[candidates[0].name]
    return {
        "name": name,
        "result": reference[1],
        "out_of_memory": sorted(out_of_memory),
        "candidates": [
            {
                "name": candidate,
                "figures": spreads(own),
                "ratios": {} if own is first else ratios(own, first),
                "runs": own,
            }
            for candidate, own in runs.items()
            if candidate not in out_of_memory
        ],
    }


def spreads(runs):
    """Returns the spread of each figure."""
    return {key: spread([run[key] for run in runs]) for key in figure_names(runs)}


def ratios(runs, first):
    """Returns the spread of the ratios to the first candidate, of each figure that both have."""
    found = {}
    for key in figure_names(runs):
        pairs = [(run[key], reference.get(key)) for run, reference in zip(runs, first)]
        if all(reference for _, reference in pairs):
            found[key] = spread([value / reference for value, reference in pairs])
    return found


def spread(values):
    """Returns median, minimum and maximum."""
    return {"median": short(statistics.median(values)), "min": short(min(values)), "max": short(max(values))}


def figure_names(runs):
    return [key for key in runs[0] if key != "round"]


def short(value):
    """Rounds to five significant digits, more than any measurement is worth. A count stays exact."""
    return value if isinstance(value, int) else float(f"{value:.5g}")
