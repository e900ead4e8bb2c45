//! Writes a model as ONNX: a graph that any runtime of the Open Neural Network Exchange format can execute.
//!
//! Each predictor is an input with one value per row: doubles, in which NaN is a missing value, or texts, in which the
//! empty text and all other spellings in [`MISSING`] are one. A text that is neither a level nor one of Python's
//! [spellings] of a level counts as an unseen level.
//!
//! The graph computes in double precision what [`Model::log_odds`] and [`probability`](crate::model::probability)
//! compute, with the same operations in the same order. So the log-odds are the same to the last bit, except for
//! `log1p`, which ONNX does not have (see [`log1p`]), and the probability differs only by the rounding of the runtime's
//! exponential. Where the service refuses a number because it is outside its kind, log-odds and probability are NaN and
//! the prediction is −1.

mod graph;
mod proto;
mod protobuf;

use std::borrow::Cow;
use std::collections::HashSet;

use crate::files::checksum::Checksum;
use crate::model::Model;
use crate::model::effect::{CategoryEffect, Effect, NumberEffect};
use crate::model::onnx::graph::Graph;
use crate::model::onnx::proto::{Attribute, Element};
use crate::model::spellings::spellings;
use crate::schema::{Kind, LARGEST_COUNT, Predictor, Schema, Transform};
use crate::values::MISSING;

const NO_PREDICTION: i64 = -1;

/// Names of the outputs. An underscore follows the name of an output that a predictor has.
pub(super) struct Outputs<'a> {
    /// 1 for a client that is predicted to leave, otherwise 0; integers.
    pub(super) prediction: Cow<'a, str>,
    /// Probability of leaving; doubles.
    pub(super) probability: Cow<'a, str>,
    /// Log-odds of leaving; doubles.
    pub(super) log_odds: Cow<'a, str>,
}

impl Outputs<'_> {
    pub(super) fn of(schema: &Schema) -> Self {
        let [prediction, probability, log_odds] =
            ["prediction", "probability", "log_odds"].map(|name| schema.free_name(name));
        Self { prediction, probability, log_odds }
    }
}

/// Returns the content of model.onnx. Clients are predicted to leave from the probability `threshold`. `model_sha256`
/// is the checksum of the model's own file. The same model always gives the same bytes.
pub(super) fn onnx(model: &Model, model_sha256: &Checksum, threshold: f64) -> Vec<u8> {
    let predictors = model.schema.predictors();
    let Outputs { prediction, probability, log_odds } = Outputs::of(&model.schema);
    let reserved = predictors.iter().map(|predictor| predictor.name.as_str());
    let mut graph = Graph::new(reserved.chain([&*prediction, &*probability, &*log_odds]));

    let mut sum: Option<String> = None;
    for (predictor, effect) in predictors.iter().zip(&model.effects) {
        let contribution = match effect {
            Effect::Number(effect) => number(&mut graph, predictor, effect),
            Effect::Category(effect) => category(&mut graph, predictor, effect),
        };
        sum = Some(match sum {
            None => contribution,
            Some(sum) => graph.apply("Add", &[&sum, &contribution], &format!("sum up to {}", predictor.name)),
        });
    }
    let sum = sum.unwrap_or_else(|| graph.number(0.0));
    let intercept = graph.number(model.intercept);
    graph.output("Add", &[&sum, &intercept], &[], &log_odds);
    logistic(&mut graph, &log_odds, &probability);
    label(&mut graph, &probability, threshold, &prediction);

    let inputs = predictors.iter().map(|predictor| {
        let element = if predictor.is_category() { Element::Text } else { Element::Double };
        proto::value(&predictor.name, element, &description(predictor))
    });
    let outputs = [
        (&prediction, Element::Integer, "1 if the client is predicted to leave, otherwise 0; -1 without a probability"),
        (&probability, Element::Double, "probability of leaving; NaN if a number is outside its kind"),
        (&log_odds, Element::Double, "log-odds of leaving; NaN if a number is outside its kind"),
    ];
    let outputs = outputs.into_iter().map(|(name, element, description)| proto::value(name, element, description));
    proto::model(
        graph.finish(inputs, outputs),
        "Attrition risk of clients. A missing value (NaN, empty text) is imputed; an unseen level has no effect.",
        &[("model_sha256", model_sha256.as_str().to_owned()), ("threshold", threshold.to_string())],
    )
}

/// Describes an input for people.
fn description(Predictor { label, unit, .. }: &Predictor) -> String {
    match unit {
        Some(unit) => format!("{label} ({unit})"),
        None => label.clone(),
    }
}

/// Adds the contribution of a number to the log-odds.
fn number(graph: &mut Graph, predictor: &Predictor, effect: &NumberEffect) -> String {
    let name = predictor.name.as_str();
    let (median, none) = (graph.number(effect.median), graph.number(f64::NAN));
    let missing = graph.apply("IsNaN", &[name], &format!("{name} is missing"));
    let imputed = graph.apply("Where", &[&missing, &median, name], &format!("{name} imputed"));
    let refused = refused(graph, predictor, &imputed);
    let checked = graph.apply("Where", &[&refused, &none, &imputed], &format!("{name} checked"));
    let transformed = match predictor.transform {
        Transform::None => checked,
        Transform::Log1p => log1p(graph, &checked, name),
    };
    let coefficient = graph.number(effect.coefficient);
    graph.apply("Mul", &[&transformed, &coefficient], &format!("{name} contribution"))
}

/// Adds whether the number `x` of a predictor is outside its kind, so that the service refuses it.
fn refused(graph: &mut Graph, Predictor { name, kind, transform, .. }: &Predictor, x: &str) -> String {
    let (first, second) = match (kind, transform) {
        (Kind::Count, _) => {
            let (zero, largest) = (graph.number(0.0), graph.number(LARGEST_COUNT));
            let negative = graph.apply("Less", &[x, &zero], &format!("{name} is negative"));
            (negative, graph.apply("Less", &[&largest, x], &format!("{name} is too large")))
        }
        (_, Transform::None) => return graph.apply("IsInf", &[x], &format!("{name} is infinite")),
        (_, Transform::Log1p) => {
            let (least, infinite) = (graph.number(-1.0), graph.number(f64::INFINITY));
            let above = graph.apply("Less", &[&least, x], &format!("{name} is above -1"));
            let not_above = graph.apply("Not", &[&above], &format!("{name} is not above -1"));
            (not_above, graph.apply("Equal", &[x, &infinite], &format!("{name} is infinite")))
        }
    };
    graph.apply("Or", &[&first, &second], &format!("{name} is outside its kind"))
}

/// Adds ln(1 + x) of a number above −1, to a relative error of a few units in the last place.
///
/// With u = 1 + x rounded, ln(u) · x / (u − 1) cancels the error of that rounding, and x itself is the result if u is 1
/// (W. Kahan; proof in Goldberg, What every computer scientist should know about floating-point arithmetic, ACM
/// Computing Surveys 23, 1991, theorem 4). The quotient is computed first, because the product could overflow.
fn log1p(graph: &mut Graph, x: &str, name: &str) -> String {
    let (one, zero) = (graph.number(1.0), graph.number(0.0));
    let above = graph.apply("Add", &[x, &one], &format!("{name} plus 1"));
    let back = graph.apply("Sub", &[&above, &one], &format!("{name} rounded"));
    let quotient = graph.apply("Div", &[x, &back], &format!("{name} correction"));
    let logarithm = graph.apply("Log", &[&above], &format!("{name} logarithm"));
    let product = graph.apply("Mul", &[&logarithm, &quotient], &format!("{name} corrected"));
    let tiny = graph.apply("Equal", &[&back, &zero], &format!("{name} is tiny"));
    graph.apply("Where", &[&tiny, x, &product], &format!("{name} log1p"))
}

/// Adds the contribution of a category to the log-odds: the index of the level, and its coefficient.
fn category(graph: &mut Graph, predictor: &Predictor, effect: &CategoryEffect) -> String {
    let name = predictor.name.as_str();
    let unseen = effect.levels.len();
    let levels = effect.levels.iter().map(|level| level.name.clone());
    let missing = MISSING.iter().map(|spelling| ((*spelling).to_owned(), effect.most_frequent));
    let python = spellings(effect).into_iter();
    let python = python.map(|(form, level)| (form, effect.position(level).unwrap_or(unseen)));
    let mut seen = HashSet::new();
    let keys = levels.zip(0..).chain(missing).chain(python).filter(|(text, _)| seen.insert(text.clone()));
    let (texts, indices): (Vec<String>, Vec<i64>) = keys.map(|(text, index)| (text, index as i64)).unzip();
    let index = graph.apply_with(
        "ai.onnx.ml.LabelEncoder",
        &[name],
        &[
            ("keys_strings", Attribute::Texts(texts.iter().map(String::as_str).collect())),
            ("values_int64s", Attribute::Integers(indices)),
            ("default_int64", Attribute::Integer(unseen as i64)),
        ],
        &format!("{name} level"),
    );
    let coefficients: Vec<f64> = effect.levels.iter().map(|level| level.coefficient).chain([0.0]).collect();
    let coefficients = graph.numbers(&coefficients, &format!("{name} coefficients"));
    graph.apply("Gather", &[&coefficients, &index], &format!("{name} contribution"))
}

/// Adds the probability that belongs to log-odds.
fn logistic(graph: &mut Graph, log_odds: &str, probability: &str) {
    let one = graph.number(1.0);
    let negative = graph.apply("Neg", &[log_odds], "negative log-odds");
    let exponential = graph.apply("Exp", &[&negative], "odds against");
    let sum = graph.apply("Add", &[&exponential, &one], "odds against plus 1");
    graph.output("Div", &[&one, &sum], &[], probability);
}

/// Adds the prediction: 1 from `threshold`, otherwise 0, and −1 where the probability is NaN.
fn label(graph: &mut Graph, probability: &str, threshold: f64, prediction: &str) {
    let (threshold, none) = (graph.number(threshold), graph.integer(NO_PREDICTION));
    let below = graph.apply("Less", &[probability, &threshold], "stays");
    let leaves = graph.apply("Not", &[&below], "leaves");
    let integer = [("to", Attribute::Integer(Element::Integer as i64))];
    let label = graph.apply_with("Cast", &[&leaves], &integer, "label");
    let refused = graph.apply("IsNaN", &[probability], "no probability");
    graph.output("Where", &[&refused, &none, &label], &[], prediction);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{model, with_category};

    fn encoded(model: &Model) -> Vec<u8> {
        onnx(model, &Checksum::of_bytes(b"model"), 0.5)
    }

    /// The bytes must not depend on the machine, the time, or the order of a hash table. `tests/python/onnx.rs` executes
    /// such files.
    #[test]
    fn the_same_model_gives_the_same_bytes() {
        for (model, expected) in [(model(), "3ee71a7a3965"), (with_category(), "2e56fa270346")] {
            assert_eq!(encoded(&model), encoded(&model));
            assert_eq!(Checksum::of_bytes(&encoded(&model)).short(), expected);
        }
    }

    #[test]
    fn the_threshold_and_the_model_are_named() {
        let bytes = onnx(&model(), &Checksum::of_bytes(b"x"), 0.25);
        let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(contains("model_sha256") && contains(Checksum::of_bytes(b"x").as_str()) && contains("0.25"));
    }

    #[test]
    fn the_logarithm_without_log1p_is_as_good() {
        // The operations of `log1p`, with those of this processor.
        let log1p = |x: f64| {
            let (above, back) = (x + 1.0, (x + 1.0) - 1.0);
            if back == 0.0 { x } else { above.ln() * (x / back) }
        };
        let sizes = (-1074..1023).flat_map(|exponent| [1.0, 1.1, 1.3, 1.7, 1.999].map(|m| m * 2f64.powi(exponent)));
        let numbers = sizes.flat_map(|size| [size, -size, size - 1.0, size.next_up(), f64::MAX - size]);
        let mut checked = 0;
        for x in numbers.filter(|x| *x > -1.0 && x.is_finite()) {
            let (found, exact) = (log1p(x), x.ln_1p());
            assert!((found - exact).abs() <= 8.0 * f64::EPSILON * exact.abs(), "{x}: {found} is not {exact}");
            checked += 1;
        }
        assert!(checked > 30_000, "{checked}");
    }
}
