//! Whether the clients of new rows are like those that a model was trained on, and what it makes of the difference.
//!
//! Each predictor is asked alone, by two tests; together they raise a false alarm in at most 5 of 100 cases. With many
//! rows a shift is certain long before it matters, so shifts are ranked by what they do to the predicted risk.

use serde::{Deserialize, Serialize};
use statistics::distribution::Distribution;
use statistics::shift::{holm, kolmogorov_smirnov, stability};
use statistics::sketch::Sketch;

use crate::model::Model;
use crate::schema::{PREDICTORS, Predictors};

/// The draws are the same each time.
const SEED: u64 = 0;

/// A shift that moves the average client's risk by less than this is called harmless: one percentage point.
pub const HARMLESS: f64 = 0.01;

/// One predictor in new rows against the training data of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictorShift {
    /// The predictor's name.
    pub predictor: String,
    /// Population stability index, at least 0.
    pub stability_index: f64,
    /// What the index exceeds with a probability of 5 % where nothing has shifted; it depends on the number of rows.
    pub stability_cutoff: f64,
    /// Kolmogorov–Smirnov distance, from 0 to 1; `None` where no new value is known.
    pub distance: Option<f64>,
    /// The probability of such an index or distance where nothing has shifted, Holm-corrected over both tests of all
    /// predictors.
    pub p_value: f64,
    /// By how much the shift moves the risk of a client who is average in the other predictors: the mean over the new
    /// values minus the mean over the training values, as a probability.
    pub risk_change: f64,
    /// In a word.
    pub verdict: ShiftVerdict,
}

/// What a shift amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftVerdict {
    /// No more than chance explains, at 5 %.
    NotShifted,
    /// Certain, but it hardly moves the risk.
    Harmless,
    /// Certain, and it moves the risk.
    Shifted,
}

impl ShiftVerdict {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotShifted => "not shifted",
            Self::Harmless => "harmless",
            Self::Shifted => "shifted",
        }
    }
}

/// Every predictor of new rows, whose values are `new`, against the training data of `model`; the one that moves the risk
/// most first. Empty where there is no row, or the model's file does not hold its training data.
pub fn shifts(model: &Model, new: &[Distribution; 3]) -> Vec<PredictorShift> {
    let Some(sketches) = &model.sketches else { return Vec::new() };
    let mut p_values = Vec::new();
    let mut shifts = Vec::new();
    for (j, (sketch, values)) in sketches.iter().zip(new).enumerate() {
        let Some(stability) = stability(sketch, values, SEED) else { return Vec::new() };
        let distance = kolmogorov_smirnov(sketch, values, SEED);
        p_values.extend([stability.p_value, distance.map_or(1.0, |distance| distance.p_value)]);
        shifts.push(PredictorShift {
            predictor: PREDICTORS[j].to_owned(),
            stability_index: stability.index,
            stability_cutoff: stability.cutoff,
            distance: distance.map(|distance| distance.distance),
            p_value: 1.0,
            risk_change: risk_change(model, j, sketch, values),
            verdict: ShiftVerdict::NotShifted,
        });
    }
    for (shift, p_values) in shifts.iter_mut().zip(holm(&p_values).chunks_exact(2)) {
        shift.p_value = p_values[0].min(p_values[1]);
        shift.verdict = match (shift.p_value < 0.05, shift.risk_change.abs() < HARMLESS) {
            (false, _) => ShiftVerdict::NotShifted,
            (true, true) => ShiftVerdict::Harmless,
            (true, false) => ShiftVerdict::Shifted,
        };
    }
    shifts.sort_by(|a, b| b.risk_change.abs().total_cmp(&a.risk_change.abs()));
    shifts
}

/// A missing value counts as the model counts it.
fn risk_change(model: &Model, j: usize, sketch: &Sketch, new: &Distribution) -> f64 {
    let mut client: Predictors = model.averages().map(Some);
    let mut risk = |value: Option<f64>| {
        client[j] = value;
        model.probability(&client)
    };
    let of_known: f64 = new.values.iter().map(|(value, count)| risk(Some(*value)) * *count as f64).sum();
    let mean_new = (of_known + risk(None) * new.missing as f64) / (new.n() + new.missing) as f64;
    let known = sketch.quantiles.iter().map(|value| risk(Some(*value))).sum::<f64>() / sketch.quantiles.len() as f64;
    let missing = sketch.missing as f64 / (sketch.n + sketch.missing) as f64;
    mean_new - (known * (1.0 - missing) + risk(None) * missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 1,000 clients that have 0 to 99 of everything; only the last month's activity moves the risk much.
    fn model() -> Model {
        let sketch = || Sketch::of((0..1000).map(|i| Some(f64::from(i % 100)))).unwrap();
        let sketches = Some([sketch(), sketch(), sketch()]);
        Model { coefficients: [-0.05, 1e-6, 0.0], intercept: 1.0, sketches, ..crate::model::tests::model() }
    }

    fn rows(shift: [f64; 3]) -> [Distribution; 3] {
        shift.map(|shift| Distribution::of((0..500).map(|i| Some(f64::from(i % 100) + shift))))
    }

    #[test]
    fn the_same_distribution_has_not_shifted() {
        for shift in shifts(&model(), &rows([0.0; 3])) {
            assert_eq!((shift.verdict, shift.stability_index), (ShiftVerdict::NotShifted, 0.0), "{shift:?}");
            assert!(shift.risk_change.abs() < 1e-3, "{shift:?}");
        }
    }

    #[test]
    fn a_shift_that_moves_no_risk_is_harmless_and_comes_after_one_that_does() {
        let shifts = shifts(&model(), &rows([-20.0, 60.0, 0.0]));
        assert_eq!(shifts[0].predictor, "lastmonth_activity");
        assert_eq!((shifts[0].verdict, shifts[1].verdict), (ShiftVerdict::Shifted, ShiftVerdict::Harmless));
        assert_eq!(shifts[2].verdict, ShiftVerdict::NotShifted);
        assert!(shifts[0].risk_change > 0.1 && shifts[1].stability_index > shifts[0].stability_index, "{shifts:?}");
    }

    #[test]
    fn few_rows_a_constant_and_missing_values_have_an_answer() {
        let few = [Some(50.0), None, Some(1e9)].map(|value| Distribution::of([value; 5]));
        let shifts = shifts(&model(), &few);
        assert_eq!(shifts.len(), 3);
        let missing = shifts.iter().find(|shift| shift.predictor == "lastyear_activity").unwrap();
        assert_eq!(missing.distance, None);
        assert!(shifts.iter().all(|shift| shift.stability_index.is_finite() && (0.0..=1.0).contains(&shift.p_value)));
        assert!(super::shifts(&model(), &Default::default()).is_empty());
        assert!(super::shifts(&Model { sketches: None, ..model() }, &few).is_empty());
    }
}
