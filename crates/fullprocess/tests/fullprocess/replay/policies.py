"""Plays the policies of crates/fullprocess/README.md independently, with pandas and scikit-learn.

policies.py simulate KIND FOLDER    writes a history and its test data: stable, sudden or slow
policies.py play RULES TEST FILE...  prints what every policy does with the files, in this order; RULES are separated by
                                    spaces, each a drift test, a comma and a promotion rule
"""

import functools
import json
import pathlib
import statistics
import sys

import numpy
import pandas
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

PREDICTORS = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]
COLUMNS = ["corporation", *PREDICTORS, "exited"]
MIN_POSITIVES = 5
FEWEST_FILES = 7


def simulate(kind, folder):
    """24 files of about 400 rows; without drift the first one is large, so that later ones teach nothing new. The effects of
    activity and size change suddenly at the tenth file, or slowly."""
    random = numpy.random.default_rng({"stable": 11, "sudden": 12, "slow": 13}[kind])
    folder = pathlib.Path(folder)
    before, after = numpy.array([-0.05, 0.002, 0.02, 0.2]), numpy.array([0.01, 0.0005, -0.06, 0.4])

    def table(share, rows, name):
        x = numpy.column_stack([random.poisson(40, rows), random.poisson(900, rows), random.integers(1, 120, rows)])
        effects = (1 - share) * before + share * after
        z = (x - [40, 900, 60]) @ (1.5 * effects[:3]) - effects[3]
        y = random.random(rows) < 1 / (1 + numpy.exp(-z))
        frame = pandas.DataFrame(x, columns=PREDICTORS).astype("Int64")
        frame.insert(0, "corporation", [f"{name}-{row}" for row in range(rows)])
        frame["exited"] = pandas.array(y.astype(int), dtype="Int64")
        return frame

    def shares(file):
        return {"stable": 0.0, "sudden": float(file >= 9), "slow": min(file / 18, 1.0)}[kind]

    earlier, unknown = None, None
    for file in range(24):
        frame = table(shares(file), 6000 if kind == "stable" and file == 0 else 400, f"f{file}")
        whole = frame.copy()
        for column in [*PREDICTORS, "exited"]:
            frame.loc[random.random(len(frame)) < 0.02, column] = pandas.NA
        if file in (5, 15, 16):  # too few leavers to be judged
            frame.loc[frame.index > 5, "exited"] = pandas.NA
            frame = frame.iloc[:40]
            unknown = whole.iloc[6:40]
        elif unknown is not None:  # some of the labels arrive, for one client with a contradiction
            changed = unknown.iloc[:1].assign(exited=1 - unknown["exited"].iloc[0])
            frame, unknown = pandas.concat([frame, unknown.iloc[:20], changed]), None
        if earlier is not None and file not in (5, 15, 16):
            frame = pandas.concat([frame, earlier.sample(20, random_state=file)])
        frame.to_csv(folder / f"file{file:02}.csv", index=False)
        earlier = frame
    parts = {"stable": [0.0], "sudden": [0.0, 1.0], "slow": [0.0, 0.5, 1.0]}[kind]
    test = pandas.concat([table(share, 1200 // len(parts), f"t{share}") for share in parts])
    (folder / "test").mkdir()
    test.to_csv(folder / "test/test.csv", index=False)


class Model:
    """Trained on the distinct rows of files that have no missing value."""

    def __init__(self, files):
        rows = pandas.concat(files).drop_duplicates().dropna(subset=[*PREDICTORS, "exited"])
        x, y = rows[PREDICTORS].astype(float), rows["exited"].astype(int)
        self.medians = x.median()
        self.centre = x.mean()
        self.fitted = LogisticRegression(solver="newton-cholesky", tol=1e-14, max_iter=1000).fit((x - self.centre).to_numpy(), y)

    def predict(self, rows):
        x = rows[PREDICTORS].astype(float).fillna(self.medians) - self.centre
        return (self.fitted.predict_proba(x.to_numpy())[:, 1] >= 0.5).astype(int)


def f1_of(counts):
    weight = 2 * counts[0] + counts[1] + counts[2]
    return float(2 * counts[0] / weight) if weight else 0.0


class Scored:
    """Known outcomes with the predictions of one model, or of several that took turns."""

    def __init__(self, actual, predicted):
        self.actual, self.predicted = numpy.asarray(actual, dtype=int), numpy.asarray(predicted, dtype=int)

    @staticmethod
    def of(model, rows):
        rows = rows[rows["exited"].notna()]
        return Scored(rows["exited"].to_numpy(dtype=int), model.predict(rows) if len(rows) else [])

    def __add__(self, other):
        return Scored(numpy.append(self.actual, other.actual), numpy.append(self.predicted, other.predicted))

    @functools.cached_property
    def counts(self):
        """True positives, false positives and false negatives."""
        hits = int((self.actual & self.predicted).sum())
        return numpy.array([hits, self.predicted.sum() - hits, self.actual.sum() - hits])

    @property
    def f1(self):
        return f1_of(self.counts)

    @property
    def left(self):
        return int(self.actual.sum())

    def interval(self):
        """Wilson's interval of TP / (TP + FP + FN), as an interval of F1."""
        wilson = stats.binomtest(int(self.counts[0]), int(self.counts.sum())).proportion_ci(method="wilson")
        return [2 * share / (1 + share) for share in (wilson.low, wilson.high)]


def has_fallen(recorded, new):
    """Whether the 95 % interval of the difference of two F1 scores, of different rows, is below 0 (Newcombe)."""
    (_, old_high), (_, new_high) = recorded.interval(), new.interval()
    return new.f1 - recorded.f1 + numpy.hypot(new_high - new.f1, recorded.f1 - recorded.interval()[0]) < 0


def has_drifted(test, recorded, new, past):
    if test == "raw":
        return new.f1 < recorded.f1
    if test == "interval":
        return has_fallen(recorded, new)
    past = past[-100:]
    if len(past) < 5:
        return False
    low, high = numpy.percentile(past, [25, 75])
    return new.f1 < statistics.mean(past) - 2 * statistics.stdev(past) or new.f1 < low - 1.5 * (high - low)


def promotes(rule, challenger, champion):
    if rule == "on_drift":
        return True
    beats_everyone = challenger.f1 > f1_score(challenger.actual, numpy.ones_like(challenger.actual))
    if rule == "if_better":
        return challenger.f1 >= champion.f1 and beats_everyone
    if rule == "if_surely_better":
        return is_better(challenger, champion) and beats_everyone
    raise SystemExit(f"no independent implementation of the promotion rule {rule}")


def is_better(new, old):
    """Whether the new model has a higher F1 on the same rows by more than chance: 2.05 standard errors, from the influence
    of each row on F1. A row is added for each outcome and each way in which the models can disagree."""
    if not new.left:
        return False
    actual = numpy.append(new.actual, [1, 1, 0, 0])
    one, other = (Scored(actual, numpy.append(s.predicted, more)) for s, more in [(new, [1, 0] * 2), (old, [0, 1] * 2)])
    def influences(scored):
        weight = scored.predicted + scored.actual
        return (2 * (scored.actual & scored.predicted) - scored.f1 * weight) / weight.sum()
    error = numpy.sqrt(((influences(one) - influences(other)) ** 2).sum())
    return min(one.f1 - other.f1 - 2.05 * error, new.f1 - old.f1) > 0


def with_later_labels(files):
    """The rows of all files; an unlabelled one has the newest label of its client in a later file. A client that this file
    lists both as left and as active has left."""
    completed = []
    for index, rows in enumerate(files):
        newest = {}
        for later in files[index + 1 :]:
            labelled = later[later["exited"].notna() & later["corporation"].notna()]
            newest |= labelled.groupby("corporation")["exited"].max().to_dict()
        completed.append(rows.assign(exited=rows["exited"].fillna(rows["corporation"].map(newest))))
    return pandas.concat(completed)


class History:
    def __init__(self, test, files):
        self.files = [pandas.read_csv(file, dtype={"corporation": str}) for file in files]
        self.models = [Model(self.files[: n + 1]) for n in range(len(files))]
        self.on_test = [Scored.of(model, pandas.read_csv(test)) for model in self.models]
        self.on_file = functools.cache(lambda model, file: Scored.of(self.models[model], self.files[file]))

    def play(self, policy, test=None, promotion=None):
        live, pending, past = 0, None, [self.on_test[0].f1]
        result = {"policy": policy, "test": test, "promotion": promotion, "decisions": [], "retrainings": 0}
        scores, missed, needless = [], 0, 0
        for file in range(1, len(self.files)):
            score = self.on_file(live, file)
            scores.append(score)
            if policy == "never":
                decision = "unchecked"
            elif policy == "always":
                decision = "redeployed"
            else:
                first = file if pending is None else pending
                new = score if first == file else Scored.of(self.models[live], with_later_labels(self.files[first : file + 1]))
                pending = None
                if new.left < MIN_POSITIVES:
                    decision, pending = "cannot_be_judged", first
                else:
                    drifted = has_drifted(test, self.on_test[live], new, past)
                    past.append(new.f1)
                    better = drifted and promotes(promotion, self.on_test[file], self.on_test[live])
                    decision = "redeployed" if better else "kept" if drifted else "no_drift"
            result["decisions"].append(decision)
            result["retrainings"] += decision in ("redeployed", "kept")
            if file + 1 < len(self.files):
                new, old = (self.on_file(model, file + 1) for model in (file, live))
                if new.left >= MIN_POSITIVES:
                    missed += decision != "redeployed" and is_better(new, old)
                    needless += decision == "redeployed" and not is_better(new, old)
            if decision == "redeployed":
                live = file
                past.append(self.on_test[file].f1)
        total = scores[0]
        for score in scores[1:]:
            total = total + score
        pooled = float(f1_score(total.actual, total.predicted))
        result |= {"f1": pooled, "interval": total.interval(), "n": len(total.actual)}
        result |= {"deployments": result["decisions"].count("redeployed"), "missed": int(missed), "needless": int(needless)}
        return result, scores


def difference(one, other):
    """The 95 % interval of the difference of two pooled F1 scores: the jackknife over files."""
    one, other = (numpy.array([score.counts for score in scores]) for scores in (one, other))
    def f1(counts, without):
        return f1_of(counts.sum(axis=0) - (counts[without] if without is not None else 0))
    n = len(one)
    left_out = numpy.array([f1(one, index) - f1(other, index) for index in range(n)])
    margin = stats.t.ppf(0.975, n - 1) * numpy.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    return f1(one, None) - f1(other, None) - margin, f1(one, None) - f1(other, None) + margin


def recommended(rules, never, judged):
    if judged < FEWEST_FILES:
        return "too_few_files", None
    best = max(rules, key=lambda rule: rule[0]["f1"])  # the first of equal ones
    def beats_never(rule):
        return difference(rule[1], never[1])[0] > 0
    equal = [rule for rule in rules if difference(best[1], rule[1])[0] <= 0]
    worthwhile = [rule for rule in equal if beats_never(rule)]
    candidates = worthwhile or equal
    cheapest = min(candidates, key=lambda rule: (rule[0]["deployments"], rule[0]["retrainings"]))
    return "better" if worthwhile else "none_better", [cheapest[0]["test"], cheapest[0]["promotion"]]


def play(rules, test, files):
    history = History(test, files)
    played = [history.play("rule", *rule) for rule in rules]
    never, always = history.play("never"), history.play("always")
    judged = 1 + sum(score.left >= MIN_POSITIVES for score in never[1])
    conclusion, rule = recommended(played, never, judged)
    policies = [result for result, _ in [*played, never, always]]
    print(json.dumps({"policies": policies, "conclusion": conclusion, "recommended": rule, "judged": judged}))


if sys.argv[1] == "simulate":
    simulate(*sys.argv[2:])
else:
    play([rule.split(",") for rule in sys.argv[2].split()], sys.argv[3], sys.argv[4:])
