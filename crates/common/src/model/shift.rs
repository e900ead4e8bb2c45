//! Tests whether the clients of new rows differ from those on which a model was trained, and measures how much this
//! changes the model's predictions.
//!
//! Each predictor is tested separately, with two tests. Together, all tests raise a false alarm in at most 5 % of
//! cases. With many rows a shift is statistically certain long before it matters, so shifts are ranked by how much they
//! change the predicted risk.

use serde::{Deserialize, Serialize};
use statistics::shift::{Stability, chi_square, holm, kolmogorov_smirnov, stability, stability_of_counts};

use crate::model::Model;
use crate::model::effect::{Effect, NumberEffect};
use crate::values::{ColumnDistribution, Value};

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
    /// KS statistic of a number, from 0 to 1; `None` for a category or if no new value is known.
    pub ks_statistic: Option<f64>,
    /// Chi-square statistic of a category, at least 0; `None` for a number or if no new value is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chi_square: Option<f64>,
    /// Probability of such an index and such a statistic if nothing has shifted: the smaller p-value of the two,
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

/// Compares every predictor of new rows, whose values are `new` in the order of the model's columns, with the training
/// data of `model`. The predictor that changes the risk most comes first. Empty if there is no row, or if the model file
/// does not describe its training data.
pub fn shifts(model: &Model, new: &[ColumnDistribution]) -> Vec<PredictorShift> {
    let mut p_values = Vec::new();
    let mut shifts = Vec::new();
    for (j, (effect, values)) in model.effects.iter().zip(new).enumerate() {
        let Some(found) = Found::of(effect, values) else { return Vec::new() };
        p_values.extend([found.stability.p_value, found.p_value]);
        shifts.push(PredictorShift {
            predictor: model.schema.predictors()[j].name.clone(),
            stability_index: found.stability.index,
            stability_cutoff: found.stability.cutoff,
            ks_statistic: found.ks_statistic,
            chi_square: found.chi_square,
            p_value: 1.0,
            risk_change: risk_change(model, j, values),
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

/// The results of the two tests of one predictor.
struct Found {
    stability: Stability,
    ks_statistic: Option<f64>,
    chi_square: Option<f64>,
    /// The p-value of the second test, KS or chi-square.
    p_value: f64,
}

impl Found {
    /// `None` if there is no new row, or if the training data are not described.
    fn of(effect: &Effect, new: &ColumnDistribution) -> Option<Self> {
        match (effect, new) {
            (Effect::Number(number), ColumnDistribution::Numbers(values)) => {
                let sketch = number.sketch.as_ref()?;
                let ks_test = kolmogorov_smirnov(sketch, values, SEED);
                Some(Self {
                    stability: stability(sketch, values, SEED)?,
                    ks_statistic: ks_test.map(|test| test.statistic),
                    chi_square: None,
                    p_value: ks_test.map_or(1.0, |test| test.p_value),
                })
            }
            (Effect::Category(category), ColumnDistribution::Levels(levels)) => {
                let (training, new) = (category.summary.training_tally(), category.tally(levels));
                let test = chi_square(&training, &new, SEED);
                Some(Self {
                    stability: stability_of_counts(&training, &new, SEED)?,
                    ks_statistic: None,
                    chi_square: test.map(|test| test.statistic),
                    p_value: test.map_or(1.0, |test| test.p_value),
                })
            }
            _ => None,
        }
    }
}

/// Computes [`PredictorShift::risk_change`]. A missing value is imputed as the model imputes it.
fn risk_change(model: &Model, j: usize, new: &ColumnDistribution) -> f64 {
    let mut client: Vec<Option<Value>> = model.averages().into_iter().map(Some).collect();
    let mut risk = |value: Option<Value>| {
        client[j] = value;
        model.probability(&client)
    };
    let of_missing = risk(None);
    match (&model.effects[j], new) {
        (Effect::Number(NumberEffect { sketch: Some(sketch), .. }), ColumnDistribution::Numbers(new)) => {
            let mut risk = |value: f64| risk(Some(Value::Number(value)));
            let of_known: f64 = new.values.iter().map(|(value, count)| risk(*value) * *count as f64).sum();
            let mean_new = (of_known + of_missing * new.missing as f64) / (new.n() + new.missing) as f64;
            let known = sketch.quantiles.iter().map(|value| risk(*value)).sum::<f64>() / sketch.quantiles.len() as f64;
            let missing = sketch.missing as f64 / (sketch.n + sketch.missing) as f64;
            mean_new - (known * (1.0 - missing) + of_missing * missing)
        }
        (Effect::Category(category), ColumnDistribution::Levels(new)) => {
            let mut risks: Vec<f64> =
                category.levels.iter().map(|level| risk(Some(level.name.as_str().into()))).collect();
            // All unseen levels have the same risk, and no learned level is empty.
            risks.extend([risk(Some("".into())), of_missing]);
            let mean = |counts: &[u64]| {
                let sum: f64 = risks.iter().zip(counts).map(|(risk, count)| risk * *count as f64).sum();
                sum / counts.iter().sum::<u64>().max(1) as f64
            };
            mean(&category.tally(new)) - mean(&category.summary.training_tally())
        }
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{with_category, with_numbers};
    use statistics::distribution::Distribution;
    use statistics::levels::LevelCounts;
    use statistics::sketch::Sketch;

    /// A model of 1,000 clients whose predictors have the values 0 to 99. Only the first predictor changes the risk
    /// noticeably.
    fn model() -> Model {
        let sketch = Sketch::of((0..1000).map(|i| Some(f64::from(i % 100))));
        Model { intercept: 1.0, ..with_numbers([-0.05, 1e-6, 0.0].map(|b| (b, 50.0, sketch.clone()))) }
    }

    fn rows(shift: [f64; 3]) -> [ColumnDistribution; 3] {
        let values = |shift: f64| Distribution::of((0..500).map(|i| Some(f64::from(i % 100) + shift)));
        shift.map(|shift| ColumnDistribution::Numbers(values(shift)))
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
        let few = [Some(50.0), None, Some(1e9)].map(|value| ColumnDistribution::Numbers(Distribution::of([value; 5])));
        let shifts = shifts(&model(), &few);
        assert_eq!(shifts.len(), 3);
        let missing = shifts.iter().find(|shift| shift.predictor == "lastyear_activity").unwrap();
        assert_eq!(missing.ks_statistic, None);
        assert!(shifts.iter().all(|shift| shift.stability_index.is_finite() && (0.0..=1.0).contains(&shift.p_value)));
        let nothing = || ColumnDistribution::Numbers(Distribution::default());
        assert!(super::shifts(&model(), &[nothing(), nothing(), nothing()]).is_empty());
        assert!(super::shifts(&with_numbers([(0.0, 0.0, None), (0.0, 0.0, None), (0.0, 0.0, None)]), &few).is_empty());
    }

    #[test]
    fn categories_are_tested_by_their_shares() {
        let model = with_category();
        let mixed = |counts: [(&str, u64); 3]| {
            let counts = counts.map(|(level, count)| (level.to_owned(), count)).into();
            let number = Distribution::of((0..1000).map(|i| Some(f64::from(i % 100))));
            [ColumnDistribution::Numbers(number), ColumnDistribution::Levels(LevelCounts { counts, missing: 0 })]
        };
        let find =
            |shifts: Vec<PredictorShift>| shifts.into_iter().find(|shift| shift.predictor == "Contract").unwrap();
        let same = find(shifts(&model, &mixed([("Month-to-month", 600), ("Two year", 400), ("none", 0)])));
        assert_eq!((same.verdict, same.chi_square, same.ks_statistic), (ShiftVerdict::NotShifted, Some(0.0), None));
        let moved = find(shifts(&model, &mixed([("Month-to-month", 300), ("Two year", 700), ("none", 0)])));
        assert_eq!(moved.verdict, ShiftVerdict::Shifted);
        let expected = 0.3 * (risk_of(&model, "Two year") - risk_of(&model, "Month-to-month"));
        assert!((moved.risk_change - expected).abs() < 1e-12, "{moved:?}");
        let unseen = find(shifts(&model, &mixed([("Month-to-month", 600), ("Two year", 200), ("weekly", 200)])));
        assert!(unseen.p_value < 1e-6 && unseen.stability_index > moved.stability_index, "{unseen:?}");
    }

    fn risk_of(model: &Model, level: &str) -> f64 {
        let average = model.averages().into_iter().next();
        model.probability(&[average, Some(level.into())])
    }
}
