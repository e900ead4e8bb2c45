//! The ONNX model, checked by ONNX and executed by ONNX Runtime and by ONNX's own reference implementation.

use std::path::Path;

use common::files::checksum::Checksum;
use common::model::Model;
use common::model::effect::Effect;
use common::model::mlflow::package;
use common::schema::{Kind, LARGEST_COUNT, Predictor, Transform};
use common::values::{Value, borrowed};
use serde_json::{Value as Json, json};

use crate::{can_import, category, model, number, python, some};

const ROWS: usize = 100_000;
const THRESHOLD: f64 = 0.4;

/// Checks the model, and compares its answers for the rows of the folder with those expected. Prints the greatest
/// differences.
const COMPARE: &str = r#"
import json, sys, time, numpy, onnx, onnx.reference, onnxruntime
folder = sys.argv[1]
path = folder + "/model.onnx"
onnx.checker.check_model(path, full_check=True)
names, kinds = json.load(open(folder + "/columns.json", encoding="utf-8"))
def column(j, kind):
    if kind == "category":
        return numpy.array(json.load(open(f"{folder}/{j}", encoding="utf-8")), dtype=object)
    return numpy.fromfile(f"{folder}/{j}", dtype="<f8")
rows = {name: column(j, kind) for j, (name, kind) in enumerate(zip(names, kinds))}
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
assert [value.name for value in session.get_inputs()] == names
assert [value.type for value in session.get_inputs()] == ["tensor(string)" if k == "category" else "tensor(double)" for k in kinds]
outputs = [value.name for value in session.get_outputs()]
started = time.perf_counter()
prediction, probability, log_odds = session.run(None, rows)
seconds = time.perf_counter() - started
assert prediction.dtype == numpy.int64 and probability.dtype == log_odds.dtype == numpy.float64
expected = numpy.fromfile(folder + "/probability", dtype="<f8")
expected_log_odds = numpy.fromfile(folder + "/log_odds", dtype="<f8")
threshold = float(sys.argv[2])
answered = ~numpy.isnan(expected)
assert (numpy.isnan(probability) == ~answered).all() and (numpy.isnan(log_odds) == ~answered).all()
assert (prediction[~answered] == -1).all()
probability, expected = probability[answered], expected[answered]
certain = abs(expected - threshold) > 1e-12
assert (prediction[answered] == (expected >= threshold))[certain].all()
few = {name: values[:200] for name, values in rows.items()}
with numpy.errstate(all="ignore"):
    reference = onnx.reference.ReferenceEvaluator(path).run(None, few)[1]
numpy.testing.assert_allclose(reference, session.run(None, few)[1], rtol=0, atol=1e-12)
print(json.dumps({
    "outputs": outputs, "rows": len(expected), "refused": int((~answered).sum()),
    "difference": float(abs(probability - expected).max()),
    "different_log_odds": int((log_odds[answered] != expected_log_odds[answered]).sum()),
    "leave": float(prediction[answered].mean()), "seconds": seconds,
}))
"#;

/// Pseudorandom numbers: splitmix64 (Steele, Lea & Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn uniform(&mut self) -> f64 {
        self.below(1 << 53) as f64 / (1u64 << 53) as f64
    }

    /// A value of a predictor: mostly ordinary, sometimes missing, unseen, tiny, or far from all others.
    fn value(&mut self, predictor: &Predictor, effect: &Effect) -> Option<Value> {
        if self.below(10) == 0 {
            return None;
        }
        if let Effect::Category(effect) = effect {
            return match self.below(8) {
                0 => some(format!("unseen {}", self.below(50)).as_str()),
                _ => some(effect.levels[self.below(effect.levels.len() as u64) as usize].name.as_str()),
            };
        }
        let ordinary = match predictor.transform {
            Transform::None => self.uniform() * 100.0,
            Transform::Log1p => (self.uniform() * 12.0).exp() - 0.999,
        };
        let sign = if self.below(2) == 0 || predictor.kind == Kind::Count { 1.0 } else { -1.0 };
        let number = match (self.below(12), predictor.transform) {
            (0, _) => self.uniform() * LARGEST_COUNT,
            (1, _) => 2f64.powi(self.below(200) as i32 - 150),
            (2, Transform::Log1p) => sign * 2f64.powi(-(self.below(60) as i32)) * self.uniform(),
            (3, Transform::Log1p) if predictor.kind == Kind::Number => -1.0 + 2f64.powi(-(self.below(53) as i32)),
            (_, Transform::None) => sign * ordinary,
            _ => ordinary,
        };
        some(number)
    }
}

/// Writes the package of the model and the rows into a folder, and compares the answers. A row whose last entry is
/// false is one that the service refuses. Returns what the script prints.
fn compare(model: &Model, rows: &[(Vec<Option<Value>>, bool)]) -> Option<Json> {
    if !can_import("numpy, onnx, onnxruntime") {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs_err::write(folder.path().join(name), bytes).unwrap();
    for (name, bytes) in package(model, &Checksum::of_bytes(b"model"), THRESHOLD) {
        write(name, &bytes);
    }
    let predictors = model.schema.predictors();
    let kinds: Vec<String> = predictors.iter().map(|predictor| predictor.kind.to_string()).collect();
    let names: Vec<&str> = predictors.iter().map(|predictor| predictor.name.as_str()).collect();
    write("columns.json", json!([names, kinds]).to_string().as_bytes());
    for (j, predictor) in predictors.iter().enumerate() {
        let column = rows.iter().map(|(row, _)| row[j].as_ref());
        let bytes: Vec<u8> = if predictor.is_category() {
            let texts: Vec<&str> = column.map(|value| value.and_then(Value::level).unwrap_or_default()).collect();
            json!(texts).to_string().into_bytes()
        } else {
            numbers(column.map(|value| value.and_then(Value::number).unwrap_or(f64::NAN)))
        };
        write(&j.to_string(), &bytes);
    }
    let answers = |answer: &dyn Fn(&[Option<Value>]) -> f64| {
        numbers(rows.iter().map(|(row, is_answered)| if *is_answered { answer(row) } else { f64::NAN }))
    };
    write("probability", &answers(&|row| model.probability(row)));
    write("log_odds", &answers(&|row| model.log_odds(borrowed(row))));
    let found = python(COMPARE, &[folder.path().as_os_str(), THRESHOLD.to_string().as_ref()]);
    let size = fs_err::metadata(Path::new(folder.path()).join("model.onnx")).unwrap().len();
    println!("{} predictors, {size} bytes: {found}", predictors.len());
    Some(found)
}

fn numbers(numbers: impl Iterator<Item = f64>) -> Vec<u8> {
    numbers.flat_map(f64::to_le_bytes).collect()
}

/// Compares the answers for random rows.
fn agrees(model: &Model, rows: usize) -> Option<Json> {
    let mut random = Random(19);
    let mut row = || -> Vec<Option<Value>> {
        model.schema.predictors().iter().zip(&model.effects).map(|(p, effect)| random.value(p, effect)).collect()
    };
    let rows: Vec<_> = (0..rows).map(|_| (row(), true)).collect();
    let found = compare(model, &rows)?;
    assert_eq!((&found["rows"], &found["refused"]), (&json!(rows.len()), &json!(0)));
    assert!(found["difference"].as_f64().unwrap() < 1e-12, "{found}");
    let has_log1p = model.schema.predictors().iter().any(|predictor| predictor.transform == Transform::Log1p);
    assert!(has_log1p || found["different_log_odds"] == 0, "{found}");
    Some(found)
}

#[test]
fn the_default_columns_agree() {
    let names = ["lastmonth_activity", "lastyear_activity", "number_of_employees"];
    let counts = names.map(|name| json!({"name": name, "kind": "count"}));
    let columns = json!({"id": "corporation", "target": "exited", "predictors": counts});
    let model = model(&columns, vec![number(-0.01, 73.0), number(7e-5, 955.0), number(0.025, 14.0)]);
    let Some(found) = agrees(&model, ROWS) else { return };
    assert_eq!(found["outputs"], json!(["prediction", "probability", "log_odds"]));
    assert!((0.1..0.9).contains(&found["leave"].as_f64().unwrap()), "{found}");
}

#[test]
fn categories_and_logarithms_agree() {
    let columns = json!({
        "id": "customerID", "target": {"name": "Churn", "positive": "Yes", "negative": "No"},
        "predictors": [
            "tenure", {"name": "MonthlyCharges", "unit": "$"}, {"name": "TotalCharges", "transform": "log1p"},
            {"name": "Contract", "kind": "category"}, {"name": "calls", "kind": "count", "transform": "log1p"},
            {"name": "SeniorCitizen", "kind": "category"},
        ],
    });
    let effects = vec![
        number(-0.031, 29.0),
        number(0.0123, 70.35),
        number(0.47, 1397.5),
        category(&[("Month-to-month", 0.72), ("One year", -0.11), ("Two year", -0.9)]),
        number(-1.7, 2.0),
        category(&[("0", -0.2), ("1", 0.25)]),
    ];
    let Some(found) = agrees(&model(&columns, effects), ROWS) else { return };
    assert!((0.1..0.9).contains(&found["leave"].as_f64().unwrap()), "{found}");
}

#[test]
fn strong_effects_of_logarithms_near_minus_one_agree() {
    let columns = json!({"id": "k", "target": "left", "predictors": [
        {"name": "a", "transform": "log1p"}, {"name": "b", "transform": "log1p"}
    ]});
    agrees(&model(&columns, vec![number(-25.0, 0.5), number(24.0, 0.5)]), ROWS);
}

#[test]
fn awkward_names_and_levels_agree() {
    let long = "é".repeat(400);
    let columns = json!({"id": "k", "target": "left", "predictors": [
        {"name": "a \"b\"", "kind": "category"}, "probability", "prediction", "größe", {"name": "log_odds", "kind": "count"},
        {"name": "probability_", "transform": "log1p"}, "1.0", "sum", "NaN", "1.0 is missing", "/:.\\", "𝛼",
        {"name": "SELECT", "kind": "category"}, "SELECT level", "negative log-odds",
    ]});
    let mut effects: Vec<Effect> = (0..15).map(|j| number(0.01 * f64::from(j - 7), f64::from(j))).collect();
    effects[0] = category(&[(" one ", -0.4), ("two, \"years\"", 0.7), (&long, 0.9)]);
    effects[12] = category(&[("-", 1.5)]);
    let Some(found) = agrees(&model(&columns, effects), ROWS) else { return };
    assert_eq!(found["outputs"], json!(["prediction_", "probability__", "log_odds_"]));
}

#[test]
fn one_predictor_and_the_largest_models_agree() {
    let one = json!({"id": "k", "target": "left", "predictors": ["a"]});
    agrees(&model(&one, vec![number(0.5, 1.0)]), 1_000);
    let constant = json!({"id": "k", "target": "left", "predictors": ["a", {"name": "b", "kind": "category"}]});
    agrees(&model(&constant, vec![number(0.0, 1.0), category(&[("only", 0.0)])]), 1_000);

    let many: Vec<Json> = (0..100).map(|j| json!({"name": format!("n{j}"), "kind": "number"})).collect();
    let effects = (0..100).map(|j| number(f64::from(j % 7 - 3) * 0.013, f64::from(j))).collect();
    agrees(&model(&json!({"id": "k", "target": "left", "predictors": many}), effects), 20_000);

    let many: Vec<Json> = (0..5).map(|j| json!({"name": format!("c{j}"), "kind": "category"})).collect();
    let levels: Vec<String> = (0..100).map(|level| format!("level {level:03}")).collect();
    let levels: Vec<(&str, f64)> =
        levels.iter().enumerate().map(|(j, name)| (name.as_str(), (j as f64 * 0.7).sin())).collect();
    let effects = (0..5).map(|_| category(&levels)).collect();
    agrees(&model(&json!({"id": "k", "target": "left", "predictors": many}), effects), ROWS);
}

#[test]
fn numbers_that_the_service_refuses_have_no_prediction() {
    let columns = json!({"id": "k", "target": "left", "predictors": [
        {"name": "count", "kind": "count"}, "number", {"name": "log", "transform": "log1p"},
        {"name": "log count", "kind": "count", "transform": "log1p"},
    ]});
    let model = model(&columns, vec![number(1e-20, 1.0), number(1e-310, 2.0), number(0.1, 3.0), number(0.2, 4.0)]);
    let mut rows = Vec::new();
    let mut add = |j: usize, number: f64, is_answered: bool| {
        let mut row = vec![some(1.0); 4];
        row[j] = some(number);
        rows.push((row, is_answered));
    };
    for j in [0, 3] {
        for (number, is_answered) in [
            (-0.0, true),
            (LARGEST_COUNT, true),
            (-5e-324, false),
            (-1.0, false),
            (LARGEST_COUNT.next_up(), false),
            (f64::INFINITY, false),
            (f64::NEG_INFINITY, false),
        ] {
            add(j, number, is_answered);
        }
    }
    for (number, is_answered) in
        [(f64::MAX, true), (f64::MIN, true), (f64::INFINITY, false), (f64::NEG_INFINITY, false)]
    {
        add(1, number, is_answered);
    }
    for (number, is_answered) in [
        ((-1.0f64).next_up(), true),
        (f64::MAX, true),
        (f64::MIN_POSITIVE, true),
        (-f64::MIN_POSITIVE, true),
        (-1.0, false),
        ((-1.0f64).next_down(), false),
        (f64::INFINITY, false),
        (f64::NEG_INFINITY, false),
    ] {
        add(2, number, is_answered);
    }
    rows.push((vec![None; 4], true));
    let Some(found) = compare(&model, &rows) else { return };
    assert!(found["difference"].as_f64().unwrap() < 1e-12, "{found}");
    assert!(found["refused"].as_u64().unwrap() >= 16, "{found}");
}

/// Every spelling of a missing value, and the texts that Python gives to levels that look like numbers.
#[test]
fn spellings_of_missing_values_and_levels_are_recognised() {
    let columns = json!({"id": "k", "target": "left", "predictors": [{"name": "c", "kind": "category"}]});
    let model = model(&columns, vec![category(&[("007", 0.5), ("1", -0.9), ("true", 0.1), ("x", 1.7)])]);
    let missing = common::values::MISSING.map(|spelling| (spelling, None));
    let known = [("7", "007"), ("7.0", "007"), ("1.0", "1"), ("True", "true"), ("x", "x")];
    let unseen = ["X", "  x", "2", "NAN", "é"];
    if !can_import("numpy, onnx, onnxruntime") {
        return;
    }
    let script = r#"
import json, sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
texts = numpy.array(json.loads(sys.argv[2]) + [None, float("nan")], dtype=object)
print(json.dumps(session.run(["log_odds"], {"c": texts})[0].tolist()))
"#;
    let cases: Vec<(&str, Option<&str>)> =
        missing.into_iter().chain(known.map(|(text, level)| (text, Some(level)))).collect();
    let texts: Vec<&str> = cases.iter().map(|(text, _)| *text).chain(unseen).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let (_, bytes) =
        package(&model, &Checksum::of_bytes(b"m"), 0.5).into_iter().find(|(name, _)| *name == "model.onnx").unwrap();
    fs_err::write(&path, bytes).unwrap();
    let found = python(script, &[path.as_os_str(), json!(texts).to_string().as_ref()]);
    let log_odds = |level: Option<&str>| model.log_odds(borrowed(&[level.map(Value::from)]));
    let cases = cases.iter().map(|(_, level)| log_odds(*level)).chain(unseen.map(|text| log_odds(Some(text))));
    let expected: Vec<f64> = cases.chain([log_odds(None); 2]).collect(); // None and NaN
    assert_eq!(found, json!(expected), "{texts:?}");
}
