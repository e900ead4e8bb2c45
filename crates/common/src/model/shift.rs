//! Tests whether the clients of new rows differ from those on which a model was trained, and measures how much this
//! changes the model's predictions.
//!
//! Each predictor is tested separately, with two tests. Together, all tests raise a false alarm in at most 5 % of
//! cases. With many rows a shift is statistically certain long before it matters, so shifts are ranked by how much they
//! change the predicted risk.

use serde::{Deserialize, Serialize};
use statistics::distribution::Distribution;
use statistics::shift::{holm, kolmogorov_smirnov, stability};
use statistics::sketch::Sketch;

use crate::model::Model;
use crate::model::schema::{PREDICTORS, Predictors};

/// Fixed seed, so results are reproducible.
const SEED: u64 = 0;

/// Shifts that change the average client's risk by less than this are called harmless: one percentage point.
pub const HARMLESS: f64 = 0.01;

/// The shift of one predictor in new rows, compared with the training data of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictorShift {
    /// Name of the predictor.
    pub predictor: String,
    /// Population stability index (PSI), at least 0.
    pub stability_index: f64,
    /// Value that the index exceeds with a probability of 5 % if nothing has shifted. It depends on the number of rows.
    pub stability_cutoff: f64,
    /// KS statistic, from 0 to 1; `None` if no new value is known.
    pub ks_statistic: Option<f64>,
    /// Probability of such an index or KS statistic if nothing has shifted: the smaller p-value of the two,
    /// Holm-corrected over both tests of all predictors.
    pub p_value: f64,
    /// Change of the risk of a client who is average in the other predictors: the mean risk over the new values minus
    /// the mean risk over the training values, as a probability.
    pub risk_change: f64,
    /// Classification of the shift.
    pub verdict: ShiftVerdict,
}

/// The classification of a shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftVerdict {
    /// Not significant at 5 %: chance explains the difference.
    NotShifted,
    /// Significant, but the change of the risk is below [`HARMLESS`].
    Harmless,
    /// Significant, and the change of the risk is at least [`HARMLESS`].
    Shifted,
}

impl ShiftVerdict {
    /// Returns the verdict as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotShifted => "not shifted",
            Self::Harmless => "harmless",
            Self::Shifted => "shifted",
        }
    }
}

/// Compares every predictor of new rows, whose values are `new`, with the training data of `model`. The predictor that
/// changes the risk most comes first. Empty if there is no row, or if the model file does not describe its training
/// data.
pub fn shifts(model: &Model, new: &[Distribution; 3]) -> Vec<PredictorShift> {
    let Some(sketches) = &model.sketches else { return Vec::new() };
    let mut p_values = Vec::new();
    let mut shifts = Vec::new();
    for (j, (sketch, values)) in sketches.iter().zip(new).enumerate() {
        let Some(stability) = stability(sketch, values, SEED) else { return Vec::new() };
        let ks_test = kolmogorov_smirnov(sketch, values, SEED);
        p_values.extend([stability.p_value, ks_test.map_or(1.0, |ks_test| ks_test.p_value)]);
        shifts.push(PredictorShift {
            predictor: PREDICTORS[j].to_owned(),
            stability_index: stability.index,
            stability_cutoff: stability.cutoff,
            ks_statistic: ks_test.map(|test| test.statistic),
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

/// Computes [`PredictorShift::risk_change`]. A missing value is imputed as the model imputes it.
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

    /// A model of 1,000 clients whose predictors have the values 0 to 99. Only last month's activity changes the risk
    /// noticeably.
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
        assert_eq!(missing.ks_statistic, None);
        assert!(shifts.iter().all(|shift| shift.stability_index.is_finite() && (0.0..=1.0).contains(&shift.p_value)));
        assert!(super::shifts(&model(), &Default::default()).is_empty());
        assert!(super::shifts(&Model { sketches: None, ..model() }, &few).is_empty());
    }
}
