"""Fits in 80 digits, to which training is compared.

    precision.py make SEED TABLES      prints one table a line as JSON: C and rows of three predictors and the target
    precision.py check RESULTS         reads tables with this program's fits, one a line; prints what is wrong with them
"""

import json
import random
import sys

from mpmath import mp, mpf

mp.dps = 80
RELATIVE, NEGLIGIBLE = mpf(10) ** -6, mpf(10) ** -13


def column(draw, n):
    """Values of one kind and size: whole or fractional, spread evenly or over all magnitudes, constant, or far from 0."""
    size = 10 ** draw.uniform(0, 9)
    kind = draw.choice(["even", "even", "magnitudes", "constant", "offset", "two values"])
    if kind == "even":
        values = [draw.uniform(0, size) for _ in range(n)]
    elif kind == "magnitudes":
        values = [10 ** draw.uniform(0, 9) for _ in range(n)]
    elif kind == "constant":
        values = [size] * n
    elif kind == "offset":
        values = [size + draw.uniform(0, 10 ** draw.uniform(0, 3)) for _ in range(n)]
    else:
        values = [draw.choice([0, size]) for _ in range(n)]
    return [float(round(value)) for value in values] if draw.random() < 0.7 else values


def table(draw):
    n = draw.choice([2, 3, 4, 5, 8, 12, 20, 30])
    columns = [column(draw, n) for _ in range(3)]
    relation = draw.choice(["none", "none", "repeated", "twice", "nearly twice", "sum", "nearly sum"])
    first, second, third = draw.sample(range(3), 3)
    if relation == "repeated":
        columns[second] = list(columns[first])
    elif relation == "twice":
        columns[second] = [2 * x for x in columns[first]]
    elif relation == "nearly twice":
        columns[second] = [2 * x + draw.choice([0, 0, 1]) for x in columns[first]]
    elif relation == "sum":
        columns[third] = [x + y for x, y in zip(columns[first], columns[second])]
    elif relation == "nearly sum":
        columns[third] = [x + y + draw.choice([0, 1]) for x, y in zip(columns[first], columns[second])]
    middle = sorted(columns[first])[n // 2]
    target = {
        "noise": lambda x: draw.random() < 0.5,
        "signal": lambda x: draw.random() < (0.8 if x >= middle else 0.2),
        "separable": lambda x: x >= middle,
    }[draw.choice(["noise", "signal", "signal", "separable"])]
    left = [int(target(x)) for x in columns[first]]
    left[0], left[-1] = 0, 1
    c = 10 ** draw.uniform(-6, 6) if draw.random() < 0.7 else 1.0
    return {"c": c, "rows": [list(row) for row in zip(*columns, left)]}


def evaluate(rows, c, beta):
    """Value, gradient and Hessian of the objective in the module `objective`, for centred predictors."""
    value, gradient = mpf(0), [mpf(0)] * 4
    hessian = [[mpf(0)] * 4 for _ in range(4)]
    for *x, y in rows:
        z = sum(b * v for b, v in zip(beta, x))
        e = mp.exp(-abs(z))
        p, q = (1 / (1 + e), e / (1 + e)) if z >= 0 else (e / (1 + e), 1 / (1 + e))
        value += max(z, 0) - y * z + mp.log1p(e)
        residual, weight = (-q if y else p), p * q
        for i in range(4):
            gradient[i] += residual * x[i]
            for j in range(i, 4):
                hessian[i][j] += weight * x[i] * x[j]
    for i in range(3):
        value += beta[i] ** 2 / (2 * c)
        gradient[i] += beta[i] / c
        hessian[i][i] += 1 / c
    for i in range(4):
        for j in range(i):
            hessian[i][j] = hessian[j][i]
    return value, gradient, mp.matrix(hessian)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def optimum(rows, c, start):
    beta = start
    value, gradient, hessian = evaluate(rows, c, beta)
    for _ in range(300):
        step = mp.lu_solve(hessian, -mp.matrix(gradient))
        decrement = -dot(step, gradient)
        if decrement <= mpf(10) ** -50 * min(1, value):
            return beta
        scale = mpf(1)
        while True:
            trial = [b + scale * s for b, s in zip(beta, step)]
            there = evaluate(rows, c, trial)
            if there[0] <= value - scale * decrement / 10 or decrement < mpf(10) ** -40 * value:
                break
            scale /= 2
        beta, (value, gradient, hessian) = trial, there
    raise ArithmeticError("the reference does not converge")


def problems(case):
    """What is wrong with a fit: an error beyond its own bounds, or beyond 1e-6 where it claims to be accurate."""
    c, n = mpf(case["c"]), len(case["rows"])
    if "refused" in case:
        return [f"refused: {case['refused']}"]
    columns = [[mpf(row[j]) for row in case["rows"]] for j in range(3)]
    centre = [mp.fsum(values) / n for values in columns]
    rows = [[mpf(row[j]) - centre[j] for j in range(3)] + [mpf(1), row[3]] for row in case["rows"]]
    deviation = [mp.sqrt(mp.fsum((v - m) ** 2 for v in values) / (n - 1)) for values, m in zip(columns, centre)] + [mpf(1)]
    ours = [mpf(value) for value in case["parameters"]]
    centred = ours[:3] + [ours[3] + dot(ours, centre)]
    best = optimum(rows, c, centred)
    reference = best[:3] + [best[3] - dot(best, centre)]
    found = []
    for j in range(4):
        error = abs(ours[j] - reference[j])
        if error * deviation[j] <= NEGLIGIBLE:
            continue
        if error > case["relative_error"] * abs(ours[j]) and case["relative_error"] < 1:
            relative = float(error / abs(ours[j]))
            found.append(f"parameter {j} is off by {relative:.2e} of its value, certified {case['relative_error']:.2e}")
        if error > RELATIVE * abs(reference[j]) and case["relative_error"] <= RELATIVE:
            found.append(f"parameter {j} is {float(ours[j])!r}, the reference {float(reference[j])!r}")
    _, gradient, hessian = evaluate(rows, c, centred)
    distance = mp.sqrt(abs((mp.matrix(gradient).T * mp.lu_solve(hessian, mp.matrix(gradient)))[0]))
    if distance > case["newton_decrement"]:
        found.append(f"{float(distance):.2e} standard errors away, certified {case['newton_decrement']:.2e}")
    norm = max(abs(gradient[j] + (centre[j] * gradient[3] if j < 3 else 0)) for j in range(4))
    if norm > case["gradient_norm"]:
        found.append(f"gradient {float(norm):.2e}, certified {case['gradient_norm']:.2e}")
    return found


if __name__ == "__main__":
    if sys.argv[1] == "make":
        draw = random.Random(int(sys.argv[2]))
        for _ in range(int(sys.argv[3])):
            print(json.dumps(table(draw)))
    else:
        wrong = accurate = total = 0
        with open(sys.argv[2]) as results:
            for number, line in enumerate(results):
                case = json.loads(line)
                found = problems(case)
                total += 1
                accurate += case.get("relative_error", 1) <= RELATIVE
                wrong += bool(found)
                for problem in found:
                    print(f"table {number}: {problem}")
        print(f"{total} tables, {wrong} wrong, {accurate} certified to 1e-6")
