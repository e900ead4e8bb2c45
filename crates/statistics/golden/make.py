#!/usr/bin/env python3
"""Writes golden.json: fabricated inputs, and what numpy, SciPy and scikit-learn say of them.

tests/golden.rs holds the crate to these answers. To make them anew:

    python3 -m venv venv && venv/bin/pip install numpy scipy scikit-learn && venv/bin/python golden/make.py
"""

import itertools
import json
import pathlib
import warnings

import numpy as np
import scipy
import sklearn
from scipy import special, stats
from sklearn import calibration, linear_model, metrics

random = np.random.default_rng(20240611)


def plain(value):
    """numpy's numbers and arrays as JSON knows them."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def case(**entries):
    return {name: plain(value) for name, value in entries.items()}


# ---------------------------------------------------------------- ranking


def ranking(name, probability, left):
    probability, left = np.asarray(probability, float), np.asarray(left, int)
    roc = metrics.roc_curve(left, probability)
    precision, recall, _ = metrics.precision_recall_curve(left, probability)
    bins = 7  # (n - 1) / 7 is no whole number for any n below: no edge falls on a value but for rounding
    observed, predicted = calibration.calibration_curve(left, probability, n_bins=bins, strategy="quantile")
    return case(
        name=name,
        probability=probability,
        left=left,
        auc=metrics.roc_auc_score(left, probability),
        average_precision=metrics.average_precision_score(left, probability),
        brier=metrics.brier_score_loss(left, probability),
        false_positive_rate=roc[0],
        true_positive_rate=roc[1],
        precision=precision[::-1],
        recall=recall[::-1],
        bins=bins,
        observed=observed,
        predicted=predicted,
    )


def rankings():
    p = random.random(150).round(4)
    yield ranking("calibrated", p, random.random(150) < p)
    p = random.random(120).round(1)
    yield ranking("ties", p, random.random(120) < p)
    p = (random.random(90) ** 3).round(4)
    yield ranking("rare and wrong", p, random.random(90) < 0.1)
    yield ranking("all the same", [0.3] * 10, [1, 0] * 5)
    yield ranking("perfect", [0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0])
    yield ranking("two", [0.25, 0.75], [1, 0])
    yield ranking("certain", [0.0, 1.0, 1.0, 0.0, 0.5], [0, 1, 0, 1, 1])


# ---------------------------------------------------------------- F1, intervals


def tables():
    """F1 by rows, and its interval from SciPy's interval of TP / (TP + FP + FN)."""
    for counts in ([633, 281, 114, 972], [200, 5, 5, 790], [10, 1, 1, 988], [3, 2, 2, 93], [0, 0, 0, 5], [0, 3, 0, 1], [0, 0, 3, 1], [4, 0, 0, 0]):
        tp, fp, fn, _ = counts
        left, called = np.repeat([1, 0, 1, 0], counts), np.repeat([1, 1, 0, 0], counts)
        f1 = metrics.f1_score(left, called, zero_division=0)
        low = high = None
        if tp + fp + fn:
            share = stats.binomtest(tp, tp + fp + fn).proportion_ci(0.95, method="wilson")
            low, high = (2 * r / (1 + r) for r in share)
        yield case(counts=counts, f1=f1, low=low, high=high)


def proportions():
    for successes, trials in ((0, 1), (1, 1), (3, 10), (10, 10), (633, 914), (0, 5000), (1, 10**7)):
        interval = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
        yield case(successes=successes, trials=trials, low=interval.low, high=interval.high)


def exits():
    for n, highest in ((1, 1.0), (12, 1.0), (50, 0.1), (60, 1.0)):  # SciPy takes up to 62 probabilities
        p = (highest * random.random(n)).round(4)
        number = stats.poisson_binom(p)
        low, high = number.ppf([0.025, 0.975]).astype(int)
        yield case(probabilities=p, expected=number.mean(), standard_deviation=number.std(), low=low, high=high)


# ---------------------------------------------------------------- sketches and shifts


def sketches():
    columns = {
        "continuous": random.gamma(2.0, 50.0, 650).round(2),
        "counts": random.poisson(3.0, 400),
        "half zero": np.maximum(random.integers(-100, 100, 300), 0),
        "few": random.integers(0, 1000, 60),
        "negative and fractional": (np.sin(np.arange(450.0)) * 3.7 - 1.2).round(3),
        "up to 1e150": np.sin(np.arange(150.0)) * 1e150,
    }
    for name, values in columns.items():
        values = values.astype(float)
        deciles = np.quantile(values, np.arange(1, 10) / 10, method="inverted_cdf")
        edges = np.unique(deciles)
        if edges[0] == values.min():
            edges = np.r_[np.nextafter(values.min(), -np.inf), edges]
        counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
        shares = np.arange(1, 400, 2) / 400
        quantiles = np.sort(values) if len(values) <= 200 else np.quantile(values, shares, method="inverted_cdf")
        yield case(
            name=name,
            values=values,
            mean=values.mean(),
            standard_deviation=values.std(ddof=1),
            edges=edges,
            counts=counts,
            quantiles=quantiles,
        )


def stability():
    for training, new in (
        ([100] * 10, [12, 9, 8, 14, 11, 10, 9, 13, 7, 7]),
        ([70, 40, 5000, 90, 30], [80, 35, 4700, 120, 22]),
        ([250, 250, 250, 250, 0], [61, 52, 70, 66, 9]),
        ([30, 20, 10], [3, 0, 2]),
        ([0, 500, 0, 0], [10, 80, 0, 4]),
    ):
        a, b = np.array(training, float), np.array(new, float)
        used = a + b > 0
        scale, degrees = 1 / a.sum() + 1 / b.sum(), used.sum() - 1
        share = [np.where(c == 0, 0.5, c)[used] / c.sum() for c in (a, b)]
        index = (special.rel_entr(share[1], share[0]) + special.rel_entr(share[0], share[1])).sum()
        # With enough clients in every bin, the chi-square distribution applies.
        enough = stats.contingency.expected_freq(np.array([a[used], b[used]])).min() >= 5
        yield case(
            training=training,
            new=new,
            index=index,
            p_value=stats.chi2.sf(index / scale, degrees) if enough else None,
            cutoff=scale * stats.chi2.isf(0.05, degrees) if enough else None,
        )


def chi_square():
    for training, new in (
        ([100] * 10, [12, 9, 8, 14, 11, 10, 9, 13, 7, 7]),
        ([3875, 1473, 1695], [411, 160, 129]),
        ([70, 40, 5000, 90, 30], [80, 35, 4700, 120, 22]),
        ([5_000_000, 4_000_000, 900_000], [501_000, 399_500, 90_100]),
        ([10**12, 2 * 10**12, 10**9], [10**9 + 40_000, 2 * 10**9, 10**6]),
        ([*range(500, 600)], [*range(150, 50, -1)]),
        ([30, 20, 10], [3, 0, 2]),
        ([500, 300, 0, 0], [10, 80, 2, 4]),
        ([20, 1], [1, 5]),
    ):
        table = np.array([training, new], float)
        found = stats.chi2_contingency(table, correction=False)
        enough = found.expected_freq.min() >= 5
        # Fisher's exact test orders tables with equal margins as Pearson's statistic does, at least for this 2 × 2 table.
        exact = stats.fisher_exact(table).pvalue if table.shape == (2, 2) else None
        yield case(
            training=training,
            new=new,
            statistic=found.statistic,
            cramers_v=stats.contingency.association(table.astype(int), method="cramer"),
            distance=np.abs(table[0] / table[0].sum() - table[1] / table[1].sum()).sum() / 2,
            p_value=found.pvalue if enough else None,
            exact=exact,
        )


def two_samples():
    def pair(n, m, shift, decimals):
        return random.normal(0, 1, n).round(decimals), random.normal(shift, 1, m).round(decimals)

    large = pair(600, 450, 0.1, 4), pair(700, 400, 0.3, 1)
    small = pair(40, 25, 0.5, 5), pair(9, 6, 0.0, 0), pair(2, 3, 0, 3)
    for a, b in large + small:
        asymptotic = stats.ks_2samp(a, b, method="asymp")
        # The exact p-value counts permutations and is valid only without ties.
        has_ties = len(np.unique(np.r_[a, b])) < len(a) + len(b)
        exact = None if has_ties else stats.ks_2samp(a, b, method="exact").pvalue
        yield case(a=a, b=b, distance=asymptotic.statistic, asymptotic=asymptotic.pvalue, exact=exact)


def holm():
    """By closed testing: the largest Bonferroni p-value of any set of hypotheses that holds this one."""
    for p in ([0.01, 0.04, 0.03], [0.5, 0.01, 0.01, 0.2, 0.0004], [0.02], [0.3, 0.3], random.random(7).round(3) / 10):
        sets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), size)]
        adjusted = [max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets if j in s) for j in range(len(p))]
        yield case(p_values=p, adjusted=[plain(a) for a in adjusted])


# ---------------------------------------------------------------- trend, odds


def trends():
    for n in (5, 12, 37):
        scores = random.normal(0.75, 0.03, n).round(5)
        first, third = np.percentile(scores, [25, 75])
        yield case(
            scores=scores,
            two_standard_deviations=scores.mean() - 2 * scores.std(ddof=1),
            first_quartile=first,
            third_quartile=third,
            fence=first - 1.5 * (third - first),
        )


def odds():
    """A fitted regression: its ratios, and its log-odds of clients minus those of their average."""
    x = np.column_stack([random.integers(0, high, 200) for high in (300, 900, 1000)])
    left = random.random(200) < special.expit(1 - 0.02 * x[:, 0] + 0.002 * x[:, 1])
    model = linear_model.LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(x, left)
    coefficients, average = model.coef_[0], x.mean(axis=0)
    design = np.column_stack([x, np.ones(200)])
    p = model.predict_proba(x)[:, 1]
    errors = np.sqrt(np.diag(np.linalg.inv((design.T * (p * (1 - p))) @ design)))[:3]
    units = np.array([100.0, 100.0, 10.0])
    low, high = np.exp(units * np.array(stats.norm.interval(0.95, loc=coefficients, scale=errors)))
    return case(
        coefficients=coefficients,
        intercept=model.intercept_[0],
        standard_errors=errors,
        units=units,
        ratios=np.exp(units * coefficients),
        low=low,
        high=high,
        average=average,
        clients=x[:10],
        probabilities=p[:10],
        log_odds=model.decision_function(x[:10]),
        average_log_odds=model.decision_function(average.reshape(1, -1))[0],
    )


# ---------------------------------------------------------------- predictions, strata


def predictions():
    """The beta-binomial distribution of future successes with Jeffreys' prior."""
    for successes, trials, future in ((86, 100, 50), (0, 1, 10), (1, 1, 10), (0, 30, 50), (7, 7, 1), (5, 2000, 400), (633, 914, 6000)):
        number = stats.betabinom(future, successes + 0.5, trials - successes + 0.5)
        low, high = number.ppf([0.025, 0.975]).astype(int)
        yield case(successes=successes, trials=trials, future=future, expected=number.mean(), low=low, high=high)


def stratified():
    """Two groups in strata: Mantel and Haenszel's risk difference, and the exact conditional test by convolution."""
    for strata in (
        [[56, 70, 48, 80]],
        [[220, 400, 58, 80], [100, 400, 32, 80]],
        [[3, 10, 1, 4], [0, 7, 2, 2], [5, 5, 1, 3]],
        [[0, 40, 0, 3], [2, 60, 0, 5]],
        [[1500, 3000, 160, 300], [90, 2000, 12, 200]],
    ):
        a, n, b, m = np.array(strata, float).T
        weights = n * m / (n + m)
        distribution = np.ones(1)
        observed = 0
        for events, of, others, of_others in strata:
            total, marked = of + of_others, events + others
            lowest, highest = max(0, marked - of_others), min(marked, of)
            distribution = np.convolve(distribution, stats.hypergeom(total, marked, of).pmf(np.arange(lowest, highest + 1)))
            observed += events - lowest
        tails = distribution[: observed + 1].sum(), distribution[observed:].sum()
        yield case(
            strata=strata,
            difference=(weights * (a / n - b / m)).sum() / weights.sum(),
            p_value=min(1.0, 2 * min(tails)),
        )


if __name__ == "__main__":
    warnings.simplefilter("error")
    golden = {
        "made_with": {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
        "rankings": list(rankings()),
        "tables": list(tables()),
        "proportions": list(proportions()),
        "exits": list(exits()),
        "sketches": list(sketches()),
        "stability": list(stability()),
        "chi_square": list(chi_square()),
        "two_samples": list(two_samples()),
        "holm": list(holm()),
        "trends": list(trends()),
        "odds": odds(),
        "predictions": list(predictions()),
        "stratified": list(stratified()),
    }
    lines = ",\n".join(f'"{name}": {json.dumps(answers, separators=(",", ":"))}' for name, answers in golden.items())
    path = pathlib.Path(__file__).with_name("golden.json")
    path.write_text("{\n" + lines + "\n}\n")
    print(path, path.stat().st_size, "bytes")
