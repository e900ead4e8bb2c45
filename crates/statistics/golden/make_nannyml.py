"""Creates nannyml.json: what the package nannyml estimates before labels arrive, for tests/expected.rs.

nannyml needs an older pandas than make.py, so it has an environment of its own:
    python3 -m venv nannyml-environment
    nannyml-environment/bin/pip install nannyml==0.13.1 'pandas<3' statsmodels
    nannyml-environment/bin/python crates/statistics/golden/make_nannyml.py

The clients of the comparison are not stored. Both languages draw them with the generator SplitMix64 from the same seeds.
"""

import importlib.metadata
import json
import logging
import os
import pathlib
import sys
import time
import warnings

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # read at import

import nannyml  # noqa: E402
import nannyml.calibration
import nannyml.performance_estimation.confidence_based.metrics as cbpe_metrics
import numpy as np
import pandas as pd

ROUNDS = 200
SIZES = [(200, 500), (2000, 1000), (5000, 5000)]
SHIFTS = [(1.5, 0.8), (-1.0, 1.3)]
MEAN, DEVIATION = -2.0, 2.0


def logistic(log_odds):
    return 1 / (1 + np.exp(-log_odds))


# From the log-odds of the model, the true probability of leaving.
WORLDS = {
    "calibrated": logistic,
    "over-confident": lambda log_odds: logistic(0.5 * log_odds),
    "under-confident": lambda log_odds: logistic(1.7 * log_odds + 0.3),
    "wrong link": lambda log_odds: 1 - np.exp(-np.exp(log_odds)),
    "regime mixture": lambda log_odds: 0.5 * logistic(log_odds - 2) + 0.5 * logistic(log_odds + 1),
}


class Random:
    def __init__(self, seed):
        self.state = np.uint64(seed)

    def uniform(self, n):
        with np.errstate(over="ignore"):
            z = self.state + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, n + 1, dtype=np.uint64)
            self.state = z[-1]
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
        return ((z >> np.uint64(11)).astype(float) + 0.5) / 2**53

    def clients(self, world, n, mean, deviation):
        u = self.uniform(3 * n).reshape(n, 3)
        log_odds = mean + deviation * np.sqrt(-2 * np.log(u[:, 0])) * np.cos(2 * np.pi * u[:, 1])
        return log_odds, u[:, 2] < WORLDS[world](log_odds)


def frame(log_odds, left):
    p = logistic(log_odds)
    return pd.DataFrame({"p": p, "predicted": (p >= 0.5).astype(int), "left": left.astype(int)})


def estimate(test, new, metrics, calibration):
    cbpe = nannyml.CBPE(
        y_true="left",
        y_pred="predicted",
        y_pred_proba="p",
        problem_type="classification_binary",
        metrics=metrics,
        chunk_number=1,
    )
    cbpe.fit(test)
    if not calibration:
        cbpe.needs_calibration = False  # what nannyml itself decides for a calibrated model
    result = cbpe.estimate(new).filter(period="analysis")
    return [float(result.data[metric, "value"].iloc[0]) for metric in metrics]


def estimate_f1(test, new):
    """The steps of CBPE.fit and CBPE.estimate for F1, without the chunks and thresholds that take most of their time."""
    calibrator, p = nannyml.calibration.IsotonicCalibrator(), new["p"]
    if nannyml.calibration.needs_calibration(test["left"], test["p"], calibrator):
        calibrator.fit(test["p"], test["left"])
        p = calibrator.calibrate(p)
    return float(cbpe_metrics.estimate_f1(new["predicted"], p))


def exact():
    """Expected counts without a calibration."""
    names = list(WORLDS)
    for seed in range(12):
        random, n = Random(seed), [6, 40, 300, 1000][seed % 4]
        test = frame(*random.clients(names[seed % 5], 200, -1.0, 1.5))
        log_odds, left = random.clients(names[seed % 5], n, -0.5, 2.0)
        if seed >= 8:
            log_odds = log_odds.round(0)  # ties, also at the threshold
        f1, precision, recall = estimate(test, frame(log_odds, left), ["f1", "precision", "recall"], False)
        yield dict(log_odds=log_odds.tolist(), f1=f1, precision=precision, recall=recall)


def comparison():
    cell = 0
    for world in WORLDS:
        for shift, spread in SHIFTS:
            for tested, new in SIZES:
                cell += 1
                estimates, start = [], time.time()
                for round in range(ROUNDS):
                    random = Random(1_000_003 * cell + round)
                    test = frame(*random.clients(world, tested, MEAN, DEVIATION))
                    analysis = frame(*random.clients(world, new, MEAN + shift, DEVIATION * spread))
                    estimates.append(estimate_f1(test, analysis))
                    if round < 2:
                        assert abs(estimate(test, analysis, ["f1"], True)[0] - estimates[-1]) < 1e-12
                print(world, shift, tested, new, round, f"{time.time() - start:.1f} s", file=sys.stderr, flush=True)
                sizes = dict(tested=tested, new=new)
                yield dict(world=world, shift=shift, spread=spread, **sizes, f1=[round_to(f1) for f1 in estimates])


def round_to(value):
    return float(f"{value:.7g}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    golden = {
        "made_with": {"nannyml": importlib.metadata.version("nannyml"), "numpy": np.__version__, "pandas": pd.__version__},
        "exact": list(exact()),
        "comparison": list(comparison()),
    }
    lines = ",\n".join(f'"{name}": {json.dumps(answers, separators=(",", ":"))}' for name, answers in golden.items())
    path = pathlib.Path(__file__).with_name("nannyml.json")
    path.write_text("{\n" + lines + "\n}\n")
    print(path, path.stat().st_size, "bytes")
