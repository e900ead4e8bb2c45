//! The call list: the current clients, ordered by their risk under the live model, with the reasons for it.
//!
//! A client's newest row is its last one in the compiled dataset, whose rows are in the order of the file names. A
//! logistic regression is linear in the log-odds, so the reasons are exact: the contribution of a predictor is the
//! difference between the log-odds of the client's value and of the average value, and the contributions and the
//! average client's log-odds add up to the client's own log-odds. Only values are stored; `wording` describes them.
//!
//! Exact contributions are for engineers. For people, [`CallList::story`] says what is unusual about a client.

mod answer;
pub mod csv;
pub(crate) mod reasons;
pub(crate) mod story;
mod usual;

use anyhow::Result;
use common::config::Threshold;
use common::model::effect::{CategoryEffect, Effect, NumberEffect};
use common::model::{Model, probability};
use common::schema::{Kind, Schema};
use common::values::{Predictors, Value};
use dataset::{Client, Clients};
use statistics::odds::{Grid, value_below};
use statistics::sketch::Sketch;

pub use self::answer::Answer;
pub use self::reasons::{Change, Reason, Remedy};
use self::usual::Usual;
use crate::wording;

/// A list may be cut off only beyond this many clients, because a cluster may have more clients than anyone reads.
const MOST_CLIENTS: usize = 100_000;

/// The current clients, highest risk first.
#[derive(Clone, Debug)]
pub struct CallList {
    /// Id of the release whose model is used.
    pub release: String,
    model: Model,
    usual: Usual,
    /// The probability from which a client is predicted to leave.
    pub threshold: Threshold,
    /// Number of current clients.
    pub clients: usize,
    /// Number of rows without an id, so that their clients cannot be called.
    pub without_name: u64,
    /// The clients by descending risk; clients with the same risk are ordered by name.
    pub calls: Vec<Call>,
}

/// An entry of the call list: a current client.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Position in the list, starting at 1.
    pub rank: usize,
    /// The client's id.
    pub id: String,
    /// The probability of leaving.
    pub risk: f64,
    /// The risk for the client's previous row; `None` if the client has only one row.
    pub previous_risk: Option<f64>,
    /// The predictors of the client's newest row; `None` for a missing value.
    pub predictors: Predictors,
}

impl Call {
    /// The change of the risk since the client's previous row; `None` if there is no previous row.
    pub fn change(&self) -> Option<f64> {
        self.previous_risk.map(|previous| self.risk - previous)
    }
}

impl CallList {
    /// Creates the list of the current `clients` with the model of `release`. It contains all of them, or at least the
    /// `capacity` clients of the highest risk.
    ///
    /// Excludes clients known to have left; includes those whose status is unknown.
    pub fn of(
        clients: &dyn Clients,
        release: &str,
        model: &Model,
        threshold: Threshold,
        capacity: usize,
    ) -> Result<Self> {
        let newest = clients.newest(model, capacity.max(MOST_CLIENTS))?;
        let mut calls: Vec<Call> = newest
            .clients
            .into_iter()
            .map(|Client { id, predictors, previous }| Call {
                rank: 0,
                id,
                risk: model.probability(&predictors),
                previous_risk: previous.map(|previous| model.probability(&previous)),
                predictors,
            })
            .collect();
        calls.sort_unstable_by(|a, b| b.risk.total_cmp(&a.risk).then_with(|| a.id.cmp(&b.id)));
        for (index, call) in calls.iter_mut().enumerate() {
            call.rank = index + 1;
        }
        Ok(Self {
            clients: newest.total as usize,
            without_name: newest.without_name,
            calls,
            ..Self::without_clients(release, model, threshold)
        })
    }

    /// Creates a list without clients, which can explain the risk of clients that are in no list.
    pub fn without_clients(release: &str, model: &Model, threshold: Threshold) -> Self {
        Self {
            release: release.to_owned(),
            model: model.clone(),
            usual: Usual::of(model),
            threshold,
            clients: 0,
            without_name: 0,
            calls: Vec::new(),
        }
    }

    /// Whether the list contains every current client. With a cluster it may be cut off.
    pub fn is_whole(&self) -> bool {
        self.calls.len() == self.clients
    }

    /// The columns of the model.
    pub fn schema(&self) -> &Schema {
        &self.model.schema
    }

    /// The contributions of all predictors to a client's risk, in the order of the schema.
    pub fn shares(&self, call: &Call) -> Vec<Reason> {
        self.shares_against(&self.model.averages(), call)
    }

    /// The same for the `averages` of the model.
    fn shares_against(&self, averages: &[Value], call: &Call) -> Vec<Reason> {
        let values = self.model.imputed(&call.predictors);
        let reason = |(j, average): (usize, &Value)| {
            let log_odds = self.model.log_odds_change(j, average, &values[j]);
            Reason {
                predictor: self.schema().predictors()[j].name.clone(),
                value: values[j].clone(),
                imputed: call.predictors[j].is_none(),
                log_odds,
                odds_factor: log_odds.exp(),
                risk_at_average: self.risk_with(&values, j, average),
                average: average.clone(),
            }
        };
        averages.iter().enumerate().map(reason).collect()
    }

    /// The same contributions, the largest absolute one first.
    pub fn reasons(&self, call: &Call) -> impl Iterator<Item = Reason> + use<> {
        let mut reasons = self.shares(call);
        Self::sort(&mut reasons);
        reasons.into_iter()
    }

    /// Sorts contributions, the largest absolute one first.
    fn sort(reasons: &mut [Reason]) {
        reasons.sort_by(|a, b| b.log_odds.abs().total_cmp(&a.log_odds.abs()));
    }

    /// Finds the smallest change of one predictor that would lower the risk below the threshold. The change of a number
    /// is measured in standard deviations, as far as strongly correlated predictors leave them unexplained; any change of a
    /// level counts as one.
    pub fn remedy(&self, call: &Call) -> Remedy {
        if call.risk < self.threshold.value() {
            return Remedy::NotNeeded;
        }
        let values = self.model.imputed(&call.predictors);
        let changes = self.model.effects.iter().enumerate().filter_map(|(j, effect)| {
            let (size, to) = match effect {
                Effect::Number(effect) => self.helpful_number(&values, j, effect)?,
                Effect::Category(effect) => (1.0, self.helpful_level(&values, j, effect)?),
            };
            let predictor = self.schema().predictors()[j].name.clone();
            Some((size, Change { predictor, from: values[j].clone(), to }))
        });
        match changes.min_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((_, change)) => Remedy::Change(change),
            None => Remedy::Nothing,
        }
    }

    /// Returns the nearest value of a number that is enough, and how far it is in standard deviations.
    fn helpful_number(&self, values: &[Value], j: usize, effect: &NumberEffect) -> Option<(f64, Value)> {
        let now = values[j].number()?;
        let risk = |value| self.risk_with(values, j, &Value::Number(value));
        let grid = grid(self.schema().predictors()[j].kind, effect.sketch.as_ref(), now);
        let to = value_below(now, effect.coefficient, self.threshold.value(), grid, risk)?;
        let deviation = effect.sketch.as_ref().map_or(0.0, |sketch| sketch.standard_deviation);
        let deviation = deviation * self.usual.unexplained(j);
        let unit = if deviation > 0.0 { deviation } else { 1.0 };
        Some(((to - now).abs() / unit, Value::Number(to)))
    }

    /// Returns the level that is enough and that most clients have.
    fn helpful_level(&self, values: &[Value], j: usize, effect: &CategoryEffect) -> Option<Value> {
        let levels = effect.levels.iter().zip(&effect.summary.counts);
        let enough = levels.filter_map(|(level, count)| {
            let value = Value::Level(level.name.clone());
            (self.risk_with(values, j, &value) < self.threshold.value()).then_some((*count, value))
        });
        // The first one of equally frequent levels.
        let most = enough.reduce(|best, next| if next.0 > best.0 { next } else { best });
        most.map(|(_, value)| value)
    }

    /// The sentences for [`Self::reasons`], in the same order.
    pub fn reasons_in_words(&self, call: &Call) -> impl Iterator<Item = String> {
        self.reasons(call).map(|reason| wording::reason(self.schema(), &reason, call.risk))
    }

    /// The words for [`Self::remedy`].
    pub fn remedy_in_words(&self, call: &Call) -> String {
        wording::remedy(self.schema(), &self.remedy(call), self.threshold.value())
    }

    /// The risk of a client with these predictors, but with another `value` of predictor `j`.
    fn risk_with(&self, predictors: &[Value], j: usize, value: &Value) -> f64 {
        let values = predictors.iter().enumerate().map(|(k, other)| if k == j { value } else { other });
        probability(self.model.log_odds(values.map(|value| Some(value.borrowed()))))
    }
}

/// Returns the values that a helpful change may have: those between the smallest and the largest one in the training data
/// and `now`; whole numbers if the training data have no others.
fn grid(kind: Kind, sketch: Option<&Sketch>, now: f64) -> Grid {
    let Some(sketch) = sketch else { return Grid::COUNTS };
    let is_whole = is_whole(kind, sketch);
    let grid = Grid::of_numbers(sketch.standard_deviation, sketch.min.min(now), sketch.max.max(now));
    if is_whole { Grid { per_unit: 1.0, ..grid } } else { grid }
}

/// Whether a number has only whole values in the training data.
fn is_whole(kind: Kind, sketch: &Sketch) -> bool {
    kind == Kind::Count || sketch.quantiles.iter().all(|value| value.fract() == 0.0)
}
