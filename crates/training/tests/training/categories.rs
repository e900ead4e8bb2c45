//! Tables with categories and transforms: the optimum of scikit-learn's one-hot encoding, and as many terms as allowed.

use std::fmt::Write;

use common::files::MODEL;
use common::model::{Model, probability};
use dataset::local::Local;
use dataset::{Engine, Reading};
use serde_json::{Value, json};
use testkit::Workspace;

use crate::python;

/// Python script that fits scikit-learn on a finaldata.csv and prints the coefficients by term, and the probabilities.
const FIT: &str = r#"
import json, sys, numpy, pandas
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder
numbers, logarithms, categories = ["size", "gain"], ["amount"], ["plan", "twin", "region", "sign", "only"]
data = pandas.read_csv(sys.argv[1], dtype={name: str for name in categories}).dropna()
encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(data[categories])
x = numpy.column_stack([data[numbers], numpy.log1p(data[logarithms]), encoder.transform(data[categories])])
model = LogisticRegression(C=float(sys.argv[2]), solver="newton-cholesky", tol=1e-13, max_iter=1000).fit(x, data["left"] == "yes")
levels = [f"{name}={level}" for name, all in zip(categories, encoder.categories_) for level in all]
print(json.dumps({"terms": dict(zip(numbers + logarithms + levels, model.coef_[0])), "intercept": model.intercept_[0],
                  "probabilities": list(model.predict_proba(x)[:, 1])}))
"#;

/// Returns rows with negative and fractional numbers, rare levels, levels with odd texts, two categories with the same
/// information, one that a number determines, and one with a single level.
fn rows(n: usize) -> String {
    let mut state = 7u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let plans = ["\"a, \"\"b\"\"\"", "größe = 2", "it's"];
    (0..n).fold(String::new(), |mut text, row| {
        let size = (2000.0 * uniform() - 1000.0).round() / 8.0;
        let (gain, amount) = (uniform() - 0.5, (1.0 / (1e-4 + uniform())).floor());
        let plan = (3.0 * uniform()) as usize;
        let region = (12.0 * uniform().powi(3)) as usize;
        let z = 0.01 * size - 2.0 * gain + 0.2 * amount.ln_1p() + plan as f64 - 0.1 * region as f64 - 1.5;
        let left = if uniform() < 1.0 / (1.0 + (-z).exp()) { "yes" } else { "no" };
        let sign = if size > 0.0 { "positive" } else { "negative" };
        writeln!(text, "k{row},{size},{},P{plan},{amount},{gain},r{region},{sign},same,{left}", plans[plan]).unwrap();
        text
    })
}

fn workspace(c: f64) -> Workspace {
    let mut workspace = Workspace::new();
    let category = |name: &str| json!({"name": name, "kind": "category"});
    workspace.set(
        "columns",
        json!({
            "id": "key",
            "target": {"name": "left", "positive": "yes", "negative": "no"},
            // Numbers and categories in turn, because the terms of the model are in this order.
            "predictors": ["size", category("plan"), category("twin"), {"name": "amount", "transform": "log1p"}, "gain",
                           category("region"), category("sign"), category("only")],
        }),
    );
    workspace.set("regularization", json!(c));
    let text = format!("key,size,plan,twin,amount,gain,region,sign,only,left\n{}", rows(3000));
    workspace.write("practicedata/table.csv", &text);
    workspace.run("ingestion", &[]);
    workspace
}

#[test]
fn the_optimum_is_that_of_one_hot_encoding() {
    if !python::has("sklearn, pandas") {
        return;
    }
    for c in [1.0, 20.0] {
        let workspace = workspace(c);
        let outcome = workspace.run_json("training", &[]);
        assert!(outcome["relative_error"].as_f64().unwrap() < 1e-6, "{outcome}");
        let path = workspace.path("ingesteddata/finaldata.csv").display().to_string();
        let expected: Value = serde_json::from_str(&python::run(FIT, &[&path, &c.to_string()])).unwrap();
        let model = Model::load(&workspace.path("practicemodels").join(MODEL)).unwrap().0;
        assert_eq!(model.terms().count(), expected["terms"].as_object().unwrap().len());
        let close = |found: f64, wanted: &Value, what: &str| {
            let wanted = wanted.as_f64().unwrap_or_else(|| panic!("scikit-learn has no {what}"));
            assert!((found - wanted).abs() <= 1e-6 * wanted.abs().max(1e-3), "{what}: {found} is not {wanted}");
        };
        for term in model.terms() {
            close(term.coefficient, &expected["terms"][term.name().as_ref()], &term.name());
        }
        close(model.intercept, &expected["intercept"], "intercept");

        let table = Local::new(&model.schema);
        let files = [common::files::DataFile::at(&workspace.path("ingesteddata/finaldata.csv")).unwrap()];
        let mut probabilities = Vec::new();
        let clients = table.read(&files, Reading::WHOLE).unwrap();
        clients
            .each(&mut |_, values, _| probabilities.push(probability(model.log_odds(values.iter().copied()))))
            .unwrap();
        let wanted = expected["probabilities"].as_array().unwrap();
        assert_eq!(probabilities.len(), wanted.len());
        for (found, wanted) in probabilities.iter().zip(wanted) {
            assert!((found - wanted.as_f64().unwrap()).abs() < 1e-8, "{found} is not {wanted}");
        }
    }
}

/// Trains on a table of `n` rows with columns of this `kind`, whose values `value` returns for a row and a column.
fn train_wide(kind: &str, columns: usize, n: usize, value: impl Fn(usize, usize) -> String) -> Value {
    let mut workspace = Workspace::new();
    let names: Vec<String> = (0..columns).map(|j| format!("c{j}")).collect();
    let predictors: Vec<Value> = names.iter().map(|name| json!({"name": name, "kind": kind})).collect();
    workspace.set("columns", json!({"id": "key", "target": "left", "predictors": predictors}));
    let rows = (0..n).fold(format!("key,{},left\n", names.join(",")), |mut text, row| {
        let values: Vec<String> = (0..columns).map(|j| value(row, j)).collect();
        writeln!(text, "k{row},{},{}", values.join(","), u8::from((row * 7919 + row / 3) % 11 < 4)).unwrap();
        text
    });
    workspace.write("practicedata/table.csv", &rows);
    workspace.run("ingestion", &[]);
    workspace.run_json("training", &[])
}

fn mixed(row: usize, j: usize) -> usize {
    (row * (2 * j + 7919) + row * row * (j + 31) + j * j) % 9973
}

#[test]
fn a_hundred_numbers_and_five_hundred_terms_are_certified() {
    let numbers = train_wide("number", 100, 2000, |row, j| format!("{}", mixed(row, j) as f64 / 100.0 - 50.0));
    let levels = train_wide("category", 5, 4000, |row, j| format!("level {}", mixed(row, j) % 100));
    for (outcome, terms) in [(numbers, 100), (levels, 500)] {
        assert_eq!(outcome["coefficients"].as_array().unwrap().len(), terms);
        assert_eq!(outcome["standard_errors"].as_array().unwrap().len(), terms + 1);
        assert!(outcome["fit"]["newton_decrement"].as_f64().unwrap() < 1e-6, "{}", outcome["fit"]);
        assert!(outcome["fit_seconds"].as_f64().is_some());
    }
}
