//! Whom to call first, and why: the current clients by their risk under the live model.
//!
//! A client's newest row is its last one in the compiled data, which stand in the order of the files' names. A logistic
//! regression is linear in the log-odds, so the reasons are exact: each predictor's share is βⱼ(xⱼ − x̄ⱼ), and the shares
//! and the average client's log-odds sum to the client's own. Only numbers are kept; words are made where they are read.

pub mod csv;
mod words;

use anyhow::{Context, Result};
use common::config::Threshold;
use common::model::Model;
use common::schema::{PREDICTORS, Predictors};
use engine::{Client, Clients};
use serde::Serialize;
use statistics::interval::{Exits, exits};
use statistics::odds;
use utoipa::ToSchema;

pub use self::words::neutralised;

/// So many clients a list holds at the least, if there are that many; a cluster may have more than anybody reads.
const MOST_CLIENTS: usize = 100_000;

/// The current clients, highest risk first.
#[derive(Clone, Debug)]
pub struct CallList {
    /// The release that judges.
    pub release: String,
    /// Its model.
    model: Model,
    /// The probability from which a client counts as leaving.
    pub threshold: Threshold,
    /// Calls that can be made in a day.
    pub capacity: usize,
    /// How many current clients there are.
    pub clients: usize,
    /// How many of them are today's calls.
    pub called: usize,
    /// How many of the called will leave.
    pub expected: Exits,
    /// How many would of as many called at random.
    pub at_random: f64,
    /// Rows that name no corporation and so cannot be called.
    pub without_name: u64,
    /// The clients, highest risk first; those of equal risk by name.
    pub calls: Vec<Call>,
}

/// A current client.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// From 1.
    pub rank: usize,
    /// Who.
    pub corporation: String,
    /// Whether it is one of today's calls.
    pub today: bool,
    /// The probability of leaving.
    pub risk: f64,
    /// The same by the client's row before, where it has one.
    pub previous_risk: Option<f64>,
    /// Its newest row.
    pub predictors: Predictors,
}

/// One predictor's share in a client's risk. Its `Display` says it in plain words.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Reason {
    /// The predictor.
    pub predictor: &'static str,
    /// The client's value; where it is missing, the training median that stands in for it.
    pub value: f64,
    /// Whether it is missing.
    pub filled: bool,
    /// The average client's.
    pub average: f64,
    /// By how much it moves the log-odds of leaving away from the average client's.
    pub log_odds: f64,
    /// The same as a factor of the odds.
    pub odds_factor: f64,
}

/// The smallest change that would bring a client under the threshold. Its `Display` says it in plain words.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Change {
    /// Of this predictor alone.
    pub predictor: &'static str,
    /// From its value now.
    pub from: f64,
    /// To this one.
    pub to: f64,
}

/// What would help a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Help {
    /// Its risk is under the threshold already.
    NotNeeded,
    /// This change.
    Change(Change),
    /// No change of one predictor alone is enough.
    Nothing,
}

impl Call {
    /// By how much the risk has changed since the client's row before.
    pub fn change(&self) -> Option<f64> {
        self.previous_risk.map(|previous| self.risk - previous)
    }
}

impl CallList {
    /// The current `clients` as the model of `release` judges them; the first `capacity` are today's calls.
    ///
    /// Who is known to have left is not in it; who may have left is.
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
        for (place, call) in calls.iter_mut().enumerate() {
            (call.rank, call.today) = (place + 1, place < capacity);
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

    /// Whether the list holds every current client. A cluster may have more of them.
    pub fn is_whole(&self) -> bool {
        self.calls.len() == self.clients
    }

    /// The log-odds of leaving of the average client.
    pub fn average_log_odds(&self) -> f64 {
        self.model.log_odds(&self.model.averages())
    }

    /// Why a client's risk is what it is, in the order of the predictors.
    pub fn shares(&self, call: &Call) -> [Reason; 3] {
        let averages = self.model.averages();
        let values = self.model.filled(&call.predictors);
        let log_odds = odds::contributions(&self.model.coefficients, &values, &averages);
        std::array::from_fn(|j| Reason {
            predictor: PREDICTORS[j],
            value: values[j],
            filled: call.predictors[j].is_none(),
            average: averages[j],
            log_odds: log_odds[j],
            odds_factor: log_odds[j].exp(),
        })
    }

    /// The same, the strongest first.
    pub fn reasons(&self, call: &Call) -> impl Iterator<Item = Reason> + use<> {
        let mut reasons = self.shares(call);
        reasons.sort_by(|a, b| b.log_odds.abs().total_cmp(&a.log_odds.abs()));
        reasons.into_iter()
    }

    /// The smallest change of one predictor, in its standard deviations, that would bring the risk under the threshold.
    pub fn what_would_help(&self, call: &Call) -> Help {
        let threshold = self.threshold.value();
        if call.risk < threshold {
            return Help::NotNeeded;
        }
        let values = self.model.filled(&call.predictors);
        let deviations = self.model.deviations();
        let changes = (0..PREDICTORS.len()).filter_map(|j| {
            let risk = |value| {
                let mut changed = values;
                changed[j] = value;
                self.model.probability(&changed.map(Some))
            };
            let to = odds::value_below(values[j], self.model.coefficients[j], threshold, risk)?;
            let unit = if deviations[j] > 0.0 { deviations[j] } else { 1.0 };
            Some(((to - values[j]).abs() / unit, Change { predictor: PREDICTORS[j], from: values[j], to }))
        });
        match changes.min_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((_, change)) => Help::Change(change),
            None => Help::Nothing,
        }
    }

    /// The first `limit` clients as the API answers them.
    pub fn answer(&self, limit: usize) -> Answer {
        let calls = self.calls.iter().take(limit).map(|call| AnsweredCall {
            rank: call.rank,
            corporation: call.corporation.clone(),
            call: call.today,
            risk: call.risk,
            previous_risk: call.previous_risk,
            change: call.change(),
            reasons: self.reasons(call).map(|reason| Worded { text: reason.to_string(), what: reason }).collect(),
            what_would_help: match self.what_would_help(call) {
                Help::Change(change) => Some(Worded { text: Help::Change(change).to_string(), what: change }),
                Help::NotNeeded | Help::Nothing => None,
            },
        });
        let Exits { expected, low, high, .. } = self.expected;
        Answer {
            model: self.release.clone(),
            threshold: self.threshold.value(),
            clients: self.clients,
            capacity: self.capacity,
            called: self.called,
            without_name: self.without_name,
            expected_exits: ExpectedExits { expected, low, high, at_random: self.at_random },
            calls: calls.collect(),
        }
    }
}

/// What `GET /calllist` answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallList)]
pub struct Answer {
    model: String,
    threshold: f64,
    clients: usize,
    capacity: usize,
    called: usize,
    without_name: u64,
    expected_exits: ExpectedExits,
    calls: Vec<AnsweredCall>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ExpectedExits {
    expected: f64,
    low: u64,
    high: u64,
    at_random: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct AnsweredCall {
    rank: usize,
    corporation: String,
    call: bool,
    risk: f64,
    previous_risk: Option<f64>,
    change: Option<f64>,
    reasons: Vec<Worded<Reason>>,
    what_would_help: Option<Worded<Change>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Worded<T> {
    #[serde(flatten)]
    what: T,
    text: String,
}

#[cfg(test)]
mod tests;
