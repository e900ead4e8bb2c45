"""Polars and scikit-learn: reads the dataset, fits the model and prints its coefficients and the seconds of the fit."""

import json
import sys
import time

import polars
from sklearn.linear_model import LogisticRegression

path, solver = sys.argv[1:]
predictors = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]
complete = polars.read_csv(path, columns=[*predictors, "exited"]).drop_nulls()
x = complete.select(predictors).cast(polars.Float64).to_numpy()
y = complete["exited"].to_numpy()
start = time.perf_counter()
model = LogisticRegression(solver=solver, max_iter=1000).fit(x, y)
seconds = time.perf_counter() - start
coefficients = [*model.coef_[0].tolist(), float(model.intercept_[0])]
print(json.dumps({"rows": len(y), "coefficients": coefficients, "fit_seconds": seconds}))
