//! The call list: the current clients, ordered by their risk under the live model, with the reasons for it.
//!
//! A client's newest row is its last one in the compiled dataset, whose rows are in the order of the file names. A
//! logistic regression is linear in the log-odds, so the reasons are exact: the contribution of predictor j is βⱼ(xⱼ −
//! x̄ⱼ), and the contributions and the average client's log-odds add up to the client's own log-odds. Only numbers are
//! stored; `wording` describes them.

mod answer;
pub mod csv;
pub(crate) mod reasons;

use anyhow::{Context, Result};
use common::config::Threshold;
use common::model::Model;
use common::model::schema::{PREDICTORS, Predictors};
use dataset::{Client, Clients};
use statistics::interval::{Exits, exits};
use statistics::odds;

pub use self::answer::Answer;
pub use self::reasons::{Change, Reason, Remedy};
use crate::wording;

/// A list may be cut off only beyond this many clients, because a cluster may have more clients than anyone reads.
const MOST_CLIENTS: usize = 100_000;

/// The current clients, highest risk first.
#[derive(Clone, Debug)]
pub struct CallList {
    /// Id of the release whose model is used.
    pub release: String,
    model: Model,
    /// The probability from which a client is predicted to leave.
    pub threshold: Threshold,
    /// Number of calls that can be made in a day.
    pub capacity: usize,
    /// Number of current clients.
    pub clients: usize,
    /// Number of today's calls.
    pub called: usize,
    /// Expected number of exits among today's calls, with its interval.
    pub expected: Exits,
    /// Expected number of exits if as many clients were called at random.
    pub at_random: f64,
    /// Number of rows that name no corporation, so that they cannot be called.
    pub without_name: u64,
    /// The clients by descending risk; clients with the same risk are ordered by name.
    pub calls: Vec<Call>,
}

/// An entry of the call list: a current client.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Position in the list, starting at 1.
    pub rank: usize,
    /// The client's name.
    pub corporation: String,
    /// Whether the client is one of today's calls.
    pub today: bool,
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
    /// Creates the list of the current `clients` with the model of `release`; the first `capacity` clients are today's
    /// calls.
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
            .map(|Client { corporation, predictors, previous }| Call {
                rank: 0,
                corporation,
                today: false,
                risk: model.probability(&predictors),
                previous_risk: previous.map(|previous| model.probability(&previous)),
                predictors,
            })
            .collect();
        calls.sort_unstable_by(|a, b| b.risk.total_cmp(&a.risk).then_with(|| a.corporation.cmp(&b.corporation)));
        for (index, call) in calls.iter_mut().enumerate() {
            (call.rank, call.today) = (index + 1, index < capacity);
        }
        let called = capacity.min(calls.len());
        let risks: Vec<f64> = calls[..called].iter().map(|call| call.risk).collect();
        Ok(Self {
            release: release.to_owned(),
            model: model.clone(),
            threshold,
            capacity,
            clients: newest.total as usize,
            called,
            expected: exits(&risks).context("a risk is no probability")?,
            at_random: called as f64 * newest.risk / newest.total.max(1) as f64,
            without_name: newest.without_name,
            calls,
        })
    }

    /// Whether the list contains every current client. With a cluster it may be cut off.
    pub fn is_whole(&self) -> bool {
        self.calls.len() == self.clients
    }

    /// The contributions of all predictors to a client's risk, in the order of [`PREDICTORS`].
    pub fn shares(&self, call: &Call) -> [Reason; 3] {
        let averages = self.model.averages();
        let values = self.model.imputed(&call.predictors);
        let log_odds = odds::contributions(&self.model.coefficients, &values, &averages);
        std::array::from_fn(|j| Reason {
            predictor: PREDICTORS[j],
            value: values[j],
            imputed: call.predictors[j].is_none(),
            average: averages[j],
            log_odds: log_odds[j],
            odds_factor: log_odds[j].exp(),
            risk_at_average: self.risk_with(&values, j, averages[j]),
        })
    }

    /// The same contributions, the largest absolute one first.
    pub fn reasons(&self, call: &Call) -> impl Iterator<Item = Reason> + use<> {
        let mut reasons = self.shares(call);
        reasons.sort_by(|a, b| b.log_odds.abs().total_cmp(&a.log_odds.abs()));
        reasons.into_iter()
    }

    /// Finds the smallest change of one predictor, measured in its standard deviations, that would lower the risk below
    /// the threshold.
    pub fn remedy(&self, call: &Call) -> Remedy {
        let threshold = self.threshold.value();
        if call.risk < threshold {
            return Remedy::NotNeeded;
        }
        let values = self.model.imputed(&call.predictors);
        let deviations = self.model.standard_deviations();
        let changes = (0..PREDICTORS.len()).filter_map(|j| {
            let risk = |value| self.risk_with(&values, j, value);
            let to = odds::value_below(values[j], self.model.coefficients[j], threshold, risk)?;
            let unit = if deviations[j] > 0.0 { deviations[j] } else { 1.0 };
            Some(((to - values[j]).abs() / unit, Change { predictor: PREDICTORS[j], from: values[j], to }))
        });
        match changes.min_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((_, change)) => Remedy::Change(change),
            None => Remedy::Nothing,
        }
    }

    /// The sentences for [`Self::reasons`], in the same order.
    pub fn reasons_in_words(&self, call: &Call) -> impl Iterator<Item = String> + use<> {
        let risk = call.risk;
        self.reasons(call).map(move |reason| wording::reason(&reason, risk))
    }

    /// The sentences for the two strongest reasons that change the risk in whole percent; for the strongest reason if
    /// none of them does.
    pub fn main_reasons_in_words(&self, call: &Call) -> Vec<String> {
        let mut reasons: Vec<Reason> = self.reasons(call).collect();
        let strongest = reasons[0];
        reasons.retain(|reason| wording::changes_the_risk(reason, call.risk));
        reasons.truncate(2);
        if reasons.is_empty() {
            reasons.push(strongest);
        }
        reasons.iter().map(|reason| wording::reason(reason, call.risk)).collect()
    }

    /// The words for [`Self::remedy`].
    pub fn remedy_in_words(&self, call: &Call) -> String {
        wording::remedy(&self.remedy(call), self.threshold.value())
    }

    /// The risk of a client with these predictors, but with another `value` of predictor `j`.
    fn risk_with(&self, predictors: &[f64; 3], j: usize, value: f64) -> f64 {
        let mut changed = *predictors;
        changed[j] = value;
        self.model.probability(&changed.map(Some))
    }
}
