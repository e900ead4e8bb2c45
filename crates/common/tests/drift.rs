//! Simulations of the drift tests: how often they report drift without any, and how often they find what has drifted.
//!
//! CI runs some rounds; `cargo test --release -p common --test drift -- --ignored --nocapture` runs all of them and prints
//! the tables of fullprocess/README.md.

use common::config::DriftTest;
use common::files::checksum::Checksum;
use common::model::score::Score;
use common::production::drift::{DriftRule, Judgement};
use statistics::confusion::Confusion;

/// The generator SplitMix64 (Steele, Lea & Flood, Fast splittable pseudorandom number generators, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
}

fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// How clients leave: the log-odds are `intercept + slope · z`, and z is standard normal.
#[derive(Clone, Copy)]
struct Relation {
    intercept: f64,
    slope: f64,
}

impl Relation {
    /// Finds the intercept with which a share of `rate` of the clients leaves.
    fn of_rate(slope: f64, rate: f64) -> Self {
        let (mut low, mut high) = (-40.0, 40.0);
        for _ in 0..60 {
            let middle = Self { intercept: 0.5 * (low + high), slope };
            let left: f64 = standard_normal().map(|(z, weight)| weight * middle.probability(z)).sum();
            if left < rate { low = middle.intercept } else { high = middle.intercept }
        }
        Self { intercept: low, slope }
    }

    fn probability(self, z: f64) -> f64 {
        logistic(self.intercept + self.slope * z)
    }
}

/// A grid of the standard normal distribution with its weights, whose sum is 1.
fn standard_normal() -> impl Iterator<Item = (f64, f64)> {
    const STEP: f64 = 0.005;
    let density = |z: f64| (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
    (-1600..1600).map(move |i| (f64::from(i) + 0.5) * STEP).map(move |z| (z, STEP * density(z)))
}

/// The probabilities of a true positive, a false positive and a false negative, with the threshold 0.5.
#[derive(Clone, Copy)]
struct Cells([f64; 3]);

impl Cells {
    /// The model has learned `learned`, and the clients leave as in `now`.
    fn of(learned: Relation, now: Relation) -> Self {
        let mut cells = [0.0; 3];
        for (z, weight) in standard_normal() {
            let (leaves, warned) = (weight * now.probability(z), learned.probability(z) >= 0.5);
            cells[if warned { 0 } else { 2 }] += leaves;
            cells[1] += if warned { weight - leaves } else { 0.0 };
        }
        Self(cells)
    }

    /// A share of the leavers that were found before is no longer found.
    fn with_lower_recall(self, lost: f64) -> Self {
        let Self([found, false_alarms, missed]) = self;
        Self([(1.0 - lost) * found, false_alarms, missed + lost * found])
    }

    fn draw(self, rows: u64, random: &mut Random) -> Confusion {
        let Self([a, b, c]) = self;
        let mut counts = Confusion::default();
        for _ in 0..rows {
            let at = random.uniform();
            if at < a {
                counts.true_positives += 1;
            } else if at < a + b {
                counts.false_positives += 1;
            } else if at < a + b + c {
                counts.false_negatives += 1;
            } else {
                counts.true_negatives += 1;
            }
        }
        counts
    }
}

const TESTS: [DriftTest; 3] = [DriftTest::Raw, DriftTest::Interval, DriftTest::History];
const RATES: [f64; 3] = [0.05, 0.2, 0.5];
const DELIVERIES: [u64; 3] = [200, 1000, 10_000];

/// Effect of one standard deviation of z on the log-odds, which gives an F1 of 0.41, 0.64 and 0.81 at the three rates.
const SLOPE: f64 = 2.5;

/// Number of earlier deliveries without drift, which the test `history` uses.
const EARLIER: usize = 20;

/// Shares of the judged deliveries that each of [`TESTS`] calls drift, and the share of deliveries that are judged.
fn alarms(before: Cells, now: Cells, test_rows: u64, rows: u64, rounds: u32) -> ([f64; 3], f64) {
    let mut random = Random(test_rows * 31 + rows + (1e6 * now.0[0]) as u64);
    let (mut found, mut judged) = ([0; 3], 0);
    for _ in 0..rounds {
        let test = before.draw(test_rows, &mut random);
        let recorded = Score {
            model_sha256: Checksum::of_bytes(b"m"),
            f1: test.f1(),
            n: test.n(),
            confusion: test,
            threshold: 0.5,
            calibration: None,
            leaks: Default::default(),
        };
        let past: Vec<f64> = (0..EARLIER).map(|_| before.draw(rows, &mut random).f1()).chain([test.f1()]).collect();
        let new = now.draw(rows, &mut random);
        let judgements = TESTS.map(|test| DriftRule { test, min_positives: 5 }.check(&recorded, &new, &past).judgement);
        judged += u32::from(judgements[0] != Judgement::CannotBeJudged);
        for (found, judgement) in found.iter_mut().zip(judgements) {
            *found += u32::from(judgement == Judgement::Drifted);
        }
    }
    (found.map(|found| f64::from(found) / f64::from(judged.max(1))), f64::from(judged) / f64::from(rounds))
}

/// Checks the share of false alarms of the test `interval` in so many deliveries.
fn false_alarms(rounds: u32, most: f64) {
    println!("test rows   rate    rows  judged     raw  interval  history");
    for test_rows in [500, 2000, 10_000] {
        for rate in RATES {
            let relation = Relation::of_rate(SLOPE, rate);
            let cells = Cells::of(relation, relation);
            for rows in DELIVERIES {
                let ([raw, interval, history], judged) = alarms(cells, cells, test_rows, rows, rounds);
                println!(
                    "{test_rows:>9}  {rate:>5.2}  {rows:>6}  {judged:>6.3}  {raw:>6.3}  {interval:>8.3}  {history:>7.3}"
                );
                assert!(interval <= most, "{interval} of the deliveries are called drift, at most {most} are allowed");
            }
        }
    }
}

/// Checks the share of drifted deliveries that are found.
fn power(rounds: u32) {
    println!("shift                                rate    rows     raw  interval  history");
    for rate in RATES {
        let learned = Relation::of_rate(SLOPE, rate);
        let before = Cells::of(learned, learned);
        let odds = |factor: f64| Relation { intercept: learned.intercept + factor.ln(), ..learned };
        let shifts = [
            ("relation weakened by half", Cells::of(learned, Relation::of_rate(0.5 * SLOPE, rate))),
            ("odds of leaving halved", Cells::of(learned, odds(0.5))),
            ("odds of leaving doubled", Cells::of(learned, odds(2.0))),
            ("a fifth of the found leavers missed", before.with_lower_recall(0.2)),
            ("half of the found leavers missed", before.with_lower_recall(0.5)),
        ];
        for (name, now) in shifts {
            for rows in DELIVERIES {
                let ([raw, interval, history], _) = alarms(before, now, 2000, rows, rounds);
                println!("{name:<35}  {rate:>5.2}  {rows:>6}  {raw:>6.3}  {interval:>8.3}  {history:>7.3}");
                let is_plain = rows == 10_000 && (name.starts_with("relation") || name.starts_with("half"));
                assert!(!is_plain || rate < 0.2 || interval > 0.95, "{name} {rate}: {interval}");
            }
        }
    }
}

#[test]
fn the_interval_is_seldom_alarmed_without_reason() {
    false_alarms(200, 0.05 + 4.0 * f64::sqrt(0.05 * 0.95 / 200.0));
}

#[test]
fn a_large_drift_is_found() {
    power(50);
}

#[test]
#[ignore = "takes a minute"]
fn false_alarms_and_power_in_many_rounds() {
    false_alarms(1000, 0.05);
    power(1000);
}
