//! Compares the results of this crate with those of numpy, SciPy and scikit-learn for the same numbers;
//! `golden/make.py` creates the reference values.

use std::fmt::Debug;

use serde::Deserialize;
use statistics::confusion::Confusion;
use statistics::distribution::Distribution;
use statistics::interval::{self, Trials, exits, predict};
use statistics::odds::{Grid, odds_ratio, value_below};
use statistics::ranking::{self, Pair, Ranking};
use statistics::shift::{self, Method, holm, stability_of_counts, two_samples};
use statistics::sketch::Sketch;
use statistics::stratified::{Events, Stratum, rate_difference};
use statistics::trend::Limits;

/// Reads the reference values of one kind of case.
fn golden<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let read = || serde_json::from_value(serde_json::from_str::<serde_json::Value>(GOLDEN)?[name].take());
    read().unwrap_or_else(|error| panic!("{name} in golden.json: {error}"))
}

const GOLDEN: &str = include_str!("../golden/golden.json");

/// Checks equality to 1e-9, relative for values larger than 1.
fn close(ours: f64, theirs: f64, what: impl Debug) {
    assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0), "{what:?}: {ours}, theirs {theirs}");
}

fn all_close(ours: impl IntoIterator<Item = f64>, theirs: &[f64], what: impl Debug) {
    let ours: Vec<f64> = ours.into_iter().collect();
    assert_eq!(ours.len(), theirs.len(), "{what:?}");
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        close(ours, *theirs, &what);
    }
}

#[derive(Deserialize)]
struct RankingCase {
    name: String,
    probability: Vec<f64>,
    left: Vec<u8>,
    auc: f64,
    average_precision: f64,
    brier: f64,
    false_positive_rate: Vec<f64>,
    true_positive_rate: Vec<f64>,
    precision: Vec<f64>,
    recall: Vec<f64>,
    bins: usize,
    observed: Vec<f64>,
    predicted: Vec<f64>,
}

#[test]
fn rankings() {
    for case in golden::<Vec<RankingCase>>("rankings") {
        let name = &case.name;
        let pairs: Vec<Pair> = case.probability.iter().zip(&case.left).map(|(p, left)| (*p, *left == 1)).collect();
        let ranking = Ranking::new(&pairs).unwrap();
        close(ranking.auc(), case.auc, name);
        close(ranking.average_precision(), case.average_precision, name);
        close(ranking::brier(&pairs).unwrap(), case.brier, name);
        let roc = ranking.roc();
        all_close(roc.iter().map(|point| point.false_positive_rate), &case.false_positive_rate, name);
        all_close(roc.iter().map(|point| point.true_positive_rate), &case.true_positive_rate, name);
        let curve = ranking.precision_recall();
        all_close(curve.iter().map(|point| point.precision), &case.precision, name);
        all_close(curve.iter().map(|point| point.recall), &case.recall, name);
        let bins = ranking::calibration(&pairs, case.bins).unwrap();
        all_close(bins.iter().map(|bin| bin.observed), &case.observed, name);
        all_close(bins.iter().map(|bin| bin.predicted), &case.predicted, name);
    }
}

#[derive(Deserialize)]
struct TableCase {
    counts: [u64; 4],
    f1: f64,
    low: Option<f64>,
    high: Option<f64>,
}

#[test]
fn f1_and_its_interval() {
    for case in golden::<Vec<TableCase>>("tables") {
        let [true_positives, false_positives, false_negatives, true_negatives] = case.counts;
        let table = Confusion { true_positives, false_positives, false_negatives, true_negatives };
        close(table.f1(), case.f1, case.counts);
        let ours = interval::f1(&table).map(|interval| [interval.low, interval.high]);
        assert_eq!(ours.is_some(), case.low.is_some(), "{:?}", case.counts);
        if let (Some(ours), Some(low), Some(high)) = (ours, case.low, case.high) {
            all_close(ours, &[low, high], case.counts);
        }
    }
}

#[derive(Deserialize)]
struct ProportionCase {
    successes: u64,
    trials: u64,
    low: f64,
    high: f64,
}

#[test]
fn proportions() {
    for case in golden::<Vec<ProportionCase>>("proportions") {
        let ours = interval::proportion(case.successes, case.trials).unwrap();
        all_close([ours.low, ours.high], &[case.low, case.high], (case.successes, case.trials));
    }
}

#[derive(Deserialize)]
struct ExitsCase {
    probabilities: Vec<f64>,
    expected: f64,
    standard_deviation: f64,
    low: u64,
    high: u64,
}

#[test]
fn numbers_of_exits() {
    for case in golden::<Vec<ExitsCase>>("exits") {
        let ours = exits(&case.probabilities).unwrap();
        all_close([ours.expected, ours.standard_deviation], &[case.expected, case.standard_deviation], "moments");
        assert_eq!((ours.low, ours.high), (case.low, case.high));
    }
}

#[derive(Deserialize)]
struct SketchCase {
    name: String,
    values: Vec<f64>,
    mean: f64,
    standard_deviation: f64,
    edges: Vec<f64>,
    counts: Vec<u64>,
    quantiles: Vec<f64>,
}

#[test]
fn sketches() {
    for case in golden::<Vec<SketchCase>>("sketches") {
        let ours = Sketch::of(case.values.iter().copied().map(Some)).unwrap();
        all_close([ours.mean, ours.standard_deviation], &[case.mean, case.standard_deviation], &case.name);
        assert_eq!(
            (ours.edges, ours.counts, ours.quantiles),
            (case.edges, case.counts, case.quantiles),
            "{}",
            case.name
        );
    }
}

#[derive(Deserialize)]
struct StabilityCase {
    training: Vec<u64>,
    new: Vec<u64>,
    index: f64,
    p_value: Option<f64>,
    cutoff: Option<f64>,
}

#[test]
fn stability() {
    for case in golden::<Vec<StabilityCase>>("stability") {
        let ours = stability_of_counts(&case.training, &case.new, 1).unwrap();
        close(ours.index, case.index, &case.new);
        match (case.p_value, case.cutoff) {
            (Some(p_value), Some(cutoff)) => {
                assert_eq!(ours.method, Method::ChiSquare);
                all_close([ours.p_value, ours.cutoff], &[p_value, cutoff], &case.new);
            }
            _ => assert_eq!(ours.method, Method::Permutation),
        }
    }
}

#[derive(Deserialize)]
struct ChiSquareCase {
    training: Vec<u64>,
    new: Vec<u64>,
    statistic: f64,
    cramers_v: f64,
    distance: f64,
    p_value: Option<f64>,
    exact: Option<f64>,
}

#[test]
fn chi_square() {
    for case in golden::<Vec<ChiSquareCase>>("chi_square") {
        let ours = shift::chi_square(&case.training, &case.new, 1).unwrap();
        let theirs = [case.statistic, case.cramers_v, case.distance];
        all_close([ours.statistic, ours.cramers_v, ours.distance], &theirs, &case.new);
        match case.p_value {
            Some(p_value) => {
                assert_eq!(ours.method, Method::ChiSquare);
                assert!((ours.p_value - p_value).abs() <= 1e-9 * p_value + 1e-200, "{ours:?} {p_value}");
            }
            None => assert_eq!(ours.method, Method::Permutation),
        }
        if let Some(exact) = case.exact {
            let error = (exact * (1.0 - exact) / 2000.0).sqrt();
            assert!((ours.p_value - exact).abs() < 4.0 * error + 0.001, "{ours:?} {exact}");
        }
    }
}

#[derive(Deserialize)]
struct TwoSamplesCase {
    a: Vec<f64>,
    b: Vec<f64>,
    distance: f64,
    asymptotic: f64,
    exact: Option<f64>,
}

#[test]
fn kolmogorov_smirnov() {
    for case in golden::<Vec<TwoSamplesCase>>("two_samples") {
        let [a, b] = [&case.a, &case.b].map(|values| Distribution::of(values.iter().copied().map(Some)));
        let ours = two_samples(&a, &b, 1).unwrap();
        let sizes = (case.a.len(), case.b.len());
        close(ours.statistic, case.distance, sizes);
        match ours.method {
            Method::Permutation => {
                let Some(exact) = case.exact else { continue };
                let error = (exact * (1.0 - exact) / 2000.0).sqrt();
                assert!((ours.p_value - exact).abs() < 4.0 * error + 0.001, "{sizes:?}: {ours:?} {exact}");
            }
            _ => assert!((ours.p_value - case.asymptotic).abs() < 2e-4, "{sizes:?}: {ours:?} {}", case.asymptotic),
        }
    }
}

#[derive(Deserialize)]
struct HolmCase {
    p_values: Vec<f64>,
    adjusted: Vec<f64>,
}

#[test]
fn holm_is_closed_testing() {
    for case in golden::<Vec<HolmCase>>("holm") {
        all_close(holm(&case.p_values), &case.adjusted, &case.p_values);
    }
}

#[derive(Deserialize)]
struct TrendCase {
    scores: Vec<f64>,
    two_standard_deviations: f64,
    first_quartile: f64,
    third_quartile: f64,
    fence: f64,
}

#[test]
fn trends() {
    for case in golden::<Vec<TrendCase>>("trends") {
        let ours = Limits::of(&case.scores).unwrap();
        let theirs = [case.two_standard_deviations, case.first_quartile, case.third_quartile, case.fence];
        all_close(
            [ours.two_standard_deviations, ours.first_quartile, ours.third_quartile, ours.fence],
            &theirs,
            "limits",
        );
    }
}

#[derive(Deserialize)]
struct OddsCase {
    coefficients: [f64; 3],
    intercept: f64,
    standard_errors: [f64; 3],
    units: [f64; 3],
    ratios: [f64; 3],
    low: [f64; 3],
    high: [f64; 3],
    clients: Vec<[f64; 3]>,
    probabilities: Vec<f64>,
    log_odds: Vec<f64>,
}

#[test]
fn odds() {
    let case: OddsCase = golden("odds");
    for j in 0..3 {
        let ours = odds_ratio(case.coefficients[j], case.standard_errors[j], case.units[j]);
        all_close([ours.ratio, ours.interval.low, ours.interval.high], &[case.ratios[j], case.low[j], case.high[j]], j);
    }
    for (i, client) in case.clients.iter().enumerate() {
        for j in 0..3 {
            let probability = |value: f64| {
                let mut changed = *client;
                changed[j] = value;
                let z: f64 = case.coefficients.iter().zip(changed).map(|(b, x)| b * x).sum::<f64>() + case.intercept;
                1.0 / (1.0 + (-z).exp())
            };
            close(probability(client[j]), case.probabilities[i], client);
            // The real value at which the log-odds are 0, rounded away from the threshold.
            let crossing = client[j] - case.log_odds[i] / case.coefficients[j];
            let rounded = if case.coefficients[j] > 0.0 { crossing.floor() } else { crossing.ceil() };
            let expected = if case.log_odds[i] < 0.0 { client[j] } else { rounded };
            let ours = value_below(client[j], case.coefficients[j], 0.5, Grid::COUNTS, probability);
            assert_eq!(ours, (expected >= 0.0).then_some(expected), "{client:?} {j}");
        }
    }
}

#[derive(Deserialize)]
struct PredictionCase {
    successes: u64,
    trials: u64,
    future: u64,
    expected: f64,
    low: u64,
    high: u64,
}

#[test]
fn predictions() {
    for case in golden::<Vec<PredictionCase>>("predictions") {
        let PredictionCase { successes, trials, future, .. } = case;
        let ours = predict(&[Trials { successes, past: trials, future }]).unwrap();
        close(ours.expected, case.expected, (case.successes, case.trials));
        assert_eq!((ours.low, ours.high), (case.low, case.high), "{} of {}", case.successes, case.trials);
    }
}

#[derive(Deserialize)]
struct StratifiedCase {
    strata: Vec<[u64; 4]>,
    difference: f64,
    p_value: f64,
}

#[test]
fn differences_within_strata() {
    for case in golden::<Vec<StratifiedCase>>("stratified") {
        let stratum = |[events, of, others, of_others]: &[u64; 4]| -> Stratum {
            [Events { events: *events, of: *of }, Events { events: *others, of: *of_others }]
        };
        let ours = rate_difference(&case.strata.iter().map(stratum).collect::<Vec<_>>()).unwrap();
        all_close([ours.difference, ours.p_value], &[case.difference, case.p_value], &case.strata);
    }
}

/// What a release does: store sketches as JSON, and compare new clients with them.
#[test]
fn sketches_that_were_stored_find_the_predictor_that_shifted() {
    let case = golden::<Vec<SketchCase>>("sketches").swap_remove(0);
    let values: Vec<Option<f64>> = case.values.iter().copied().map(Some).collect();
    let stored = serde_json::to_string(&Sketch::of(values.iter().copied()).unwrap()).unwrap();
    let sketch: Sketch = serde_json::from_str(&stored).unwrap();
    let halved = Distribution::of(values.iter().map(|value| value.map(|value| value / 2.0)));
    let values = Distribution::of(values);
    let p_values = [&values, &halved].map(|new| shift::kolmogorov_smirnov(&sketch, new, 1).unwrap().p_value);
    let adjusted = holm(&p_values);
    assert!(adjusted[0] > 0.9 && adjusted[1] < 1e-6, "{adjusted:?}");
    assert_eq!(shift::stability(&sketch, &values, 1).unwrap().index, 0.0);
    assert!(shift::stability(&sketch, &halved, 1).unwrap().p_value < 1e-6);
}
