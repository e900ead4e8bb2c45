//! A client's story: what is unusual about the client, what the risk would be otherwise, and what would help.

use common::model::effect::Effect;
use common::model::probability;
use common::values::Value;

use super::usual::{Cluster, Standardised};
use super::{Call, CallList, Change, Remedy};
use crate::wording::{self, changes_visibly};

/// Largest number of reasons in a story.
const MOST_REASONS: usize = 2;
/// Largest number of predictors that one reason names.
const MOST_NAMED: usize = 2;
/// Smallest change of the log-odds that is a reason.
const LEAST: f64 = 0.2;
/// Change of the log-odds that is a reason although the risk in whole percent stays the same, because it is nearly 0 or 1.
const LARGE: f64 = 1.0;
/// A single predictor is described instead of its cluster if it makes up at least this share of what the whole cluster adds
/// to the log-odds, or if its usual value alone would be enough.
const MOST: f64 = 0.7;
/// Predictors of a cluster are nearly equally strong if they have this share of the strongest one.
const NEARLY: f64 = 0.6;

/// Something unusual about a client that changes its risk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reason {
    /// The predictors that are named, the most important one first.
    pub named: Vec<Unusual>,
    /// Whether further predictors are replaced with usual values, because they usually change with those that are named.
    pub has_companions: bool,
    /// The other predictors that were taken into account for the usual value of a single one.
    pub given: Vec<usize>,
    /// The risk before this reason is removed: the client's risk, or that without the reason before.
    pub risk: f64,
    /// The risk with the usual values.
    pub otherwise: f64,
    /// The nearest value of a single number at which the client's risk is below the threshold.
    pub enough: Option<f64>,
}

/// A predictor with the client's value and the usual one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unusual {
    pub predictor: usize,
    pub now: Value,
    pub usual: Value,
}

/// What may become a reason: a predictor of a cluster, or the whole cluster.
struct Candidate<'c> {
    cluster: &'c Cluster,
    single: Option<usize>,
    /// The client's values with the usual ones.
    next: Vec<Value>,
    /// How much it adds to the log-odds in the direction in which the client differs: the smaller one of its contribution
    /// and what the usual values change.
    strength: f64,
}

/// A client in the search for reasons.
struct Search {
    /// The client's values, of which those that were told have been replaced.
    values: Vec<Value>,
    standardised: Standardised,
    /// The predictors that can be named: not missing, not unknown to the model and not told.
    is_open: Vec<bool>,
    /// The predictors that have been told.
    told: Vec<usize>,
    /// 1 if the client's risk is high, −1 if it is low.
    sign: f64,
}

impl CallList {
    /// What a client manager should know about a client, in a few sentences: what is unusual, what the risk would be with a
    /// usual value, and what would lower it below the threshold.
    ///
    /// Strongly correlated predictors are compared with each other or told together, so the sentences do not add up to the
    /// risk as [`Self::shares`] do.
    pub fn story(&self, call: &Call) -> Vec<String> {
        let (schema, threshold) = (self.schema(), self.threshold.value());
        let values = self.model.imputed(&call.predictors);
        let missing: Vec<(usize, &Value)> =
            (0..values.len()).filter(|j| call.predictors[*j].is_none()).map(|j| (j, &values[j])).collect();
        let mut sentences = Vec::from_iter(wording::story::missing(schema, &missing));
        let unseen = (0..values.len()).filter(|j| self.is_unseen(*j, &values[*j]));
        sentences.extend(unseen.map(|j| wording::story::unseen(schema, j, &values[j])));
        // A value that was assumed may look unusual next to the others. It may be the only reason.
        let completed = self.completed(call, &values);
        let risk = probability(self.log_odds(&completed));
        if let ([(j, _)], true) = (&missing[..], changes_visibly(call.risk, risk)) {
            sentences.extend(wording::story::completed(schema, *j, &completed[*j], risk));
        }

        let average = probability(self.usual.average_log_odds());
        let is_assumed = call.risk >= threshold && risk < threshold;
        let reasons = if is_assumed { Vec::new() } else { self.unusual(call, completed, average) };
        let reason = |(i, reason)| wording::story::reason(schema, reason, i == 0, threshold);
        sentences.extend(reasons.iter().enumerate().map(reason));
        if reasons.is_empty() && sentences.is_empty() {
            sentences.push(wording::story::nothing_unusual(call.risk, average));
        }
        let is_enough = |reason: &Reason| reason.enough.is_some() || reason.otherwise < threshold;
        if risk >= threshold && !reasons.first().is_some_and(is_enough) {
            match self.remedy(call) {
                Remedy::Change(Change { predictor, from, to }) => {
                    sentences.extend(wording::story::remedy(schema, &predictor, &from, &to, threshold));
                }
                Remedy::Nothing if !reasons.iter().any(is_enough) => {
                    sentences.push(wording::story::no_remedy(threshold));
                }
                Remedy::Nothing | Remedy::NotNeeded => {}
            }
        }
        sentences
    }

    /// Returns the values with missing ones replaced by what the other values of their cluster let expect, if these are known.
    fn completed(&self, call: &Call, values: &[Value]) -> Vec<Value> {
        let mut completed = values.to_vec();
        let is_missing = |j: &usize| call.predictors[*j].is_none();
        for cluster in self.usual.clusters().iter().filter(|cluster| cluster.members.len() > 1) {
            let missing: Vec<usize> = cluster.members.iter().copied().filter(is_missing).collect();
            if let [only] = missing[..] {
                let client = self.usual.standardise(&self.model, values);
                completed[only] = self.usual.expected(&self.model, &client, only);
            }
        }
        completed
    }

    /// Finds the reasons, the strongest one first. After each one, its values are replaced with the usual ones, so nothing is
    /// told twice. A second one is only looked for if the risk is still at least the threshold.
    fn unusual(&self, call: &Call, values: Vec<Value>, average: f64) -> Vec<Reason> {
        let threshold = self.threshold.value();
        let risk = probability(self.log_odds(&values));
        let is_open = |j: usize| call.predictors[j].is_some() && !self.is_unseen(j, &values[j]);
        let mut search = Search {
            standardised: self.usual.standardise(&self.model, &values),
            is_open: (0..values.len()).map(is_open).collect(),
            told: Vec::new(),
            sign: if risk >= threshold || risk > average { 1.0 } else { -1.0 },
            values,
        };
        let mut reasons: Vec<Reason> = Vec::new();
        while reasons.len() < MOST_REASONS {
            let candidates = self.usual.clusters().iter().filter_map(|cluster| self.candidate(&search, cluster));
            let Some(best) = candidates.max_by(|a, b| a.strength.total_cmp(&b.strength)) else { break };
            let mut reason = self.reason(&search, &best, call);
            if let ([only], true) = (&reason.named[..], reasons.is_empty() && !reason.has_companions) {
                reason.enough = self.enough(&search.values, only.predictor);
            }
            search.told.extend(reason.named.iter().map(|unusual| unusual.predictor));
            search.told.iter().for_each(|j| search.is_open[*j] = false);
            search.standardised = self.usual.standardise(&self.model, &best.next);
            search.values = best.next;
            let is_explained = reason.otherwise < threshold;
            reasons.push(reason);
            if is_explained {
                break;
            }
        }
        reasons
    }

    /// Returns the candidate of one cluster: its strongest predictor with the value that the others let expect, or the whole
    /// cluster with the average client's values. After a predictor of the cluster has been told, it is the whole cluster.
    fn candidate<'c>(&self, search: &Search, cluster: &'c Cluster) -> Option<Candidate<'c>> {
        let Search { standardised, is_open, told, sign, values } = search;
        let members = &cluster.members;
        let strength = |j: &usize| sign * self.usual.contribution(standardised, *j);
        let open = || members.iter().filter(|j| is_open[**j]);
        let largest = open().map(strength).fold(LEAST, f64::max);
        // The order of the columns decides between nearly equal ones, so that the config can prefer one.
        let single = open().find(|j| strength(j) >= NEARLY * largest).copied();
        let together: f64 = members.iter().map(|j| sign * self.usual.contribution_from_average(standardised, *j)).sum();
        let is_new = !members.iter().any(|j| told.contains(j));
        let single = single.filter(|_| is_new || members.len() == 1).and_then(|j| {
            let candidate = self.if_reason(search, cluster, Some(j), strength(&j), self.with_usual(search, j)?)?;
            let [before, after] = [values, &candidate.next].map(|values| probability(self.log_odds(values)));
            let is_enough = before >= self.threshold.value() && after < self.threshold.value();
            (members.len() == 1 || strength(&j) >= MOST * together || is_enough).then_some(candidate)
        });
        let whole = || {
            let can_be_named = open().next().is_some() && members.len() > 1;
            let next = can_be_named.then(|| self.with_average(values, cluster))?;
            self.if_reason(search, cluster, None, together, next)
        };
        single.or_else(whole)
    }

    /// Returns the replacement of the client's values with `next` if it changes the risk enough.
    fn if_reason<'c>(
        &self,
        search: &Search,
        cluster: &'c Cluster,
        single: Option<usize>,
        contribution: f64,
        next: Vec<Value>,
    ) -> Option<Candidate<'c>> {
        let [before, after] = [&search.values, &next].map(|values| self.log_odds(values));
        let gain = search.sign * (before - after);
        let is_visible = changes_visibly(probability(before), probability(after));
        let is_named = cluster.members.iter().any(|j| search.is_open[*j] && next[*j] != search.values[*j]);
        let strength = contribution.min(gain);
        let is_reason = strength >= LEAST && is_named && (is_visible || (search.sign > 0.0 && gain >= LARGE));
        is_reason.then_some(Candidate { cluster, single, next, strength })
    }

    /// Returns the client's values with the usual value of predictor `j`. `None` if the value is the usual one.
    ///
    /// A level is replaced with the expected one if that changes the risk as wanted; otherwise with the most frequent level
    /// that lowers the risk below the threshold, or else with the most frequent level that changes the risk as wanted.
    fn with_usual(&self, search: &Search, j: usize) -> Option<Vec<Value>> {
        let values = &search.values;
        let mut next = values.clone();
        next[j] = self.usual.expected(&self.model, &search.standardised, j);
        if let Effect::Category(category) = &self.model.effects[j] {
            let gain = |to: &Value| -search.sign * self.model.log_odds_change(j, &values[j], to);
            if gain(&next[j]) < LEAST {
                let enough = || self.helpful_level(values, j, category).filter(|to| gain(to) >= LEAST);
                let levels = category.levels.iter().zip(&category.summary.counts);
                let helpful = levels.map(|(level, count)| (*count, Value::Level(level.name.clone())));
                let helpful = helpful.filter(|(_, to)| gain(to) >= LEAST);
                let most_frequent = || helpful.reduce(|best, next| if next.0 > best.0 { next } else { best });
                next[j] = enough().or_else(|| Some(most_frequent()?.1))?;
            }
        }
        (next[j] != values[j]).then_some(next)
    }

    /// Returns the client's values with those of the average client in a whole cluster.
    fn with_average(&self, values: &[Value], cluster: &Cluster) -> Vec<Value> {
        let mut next = values.to_vec();
        cluster.members.iter().for_each(|j| next[*j] = self.usual.average(&self.model, *j));
        next
    }

    /// Describes a candidate with the values before and after, and the risks.
    fn reason(&self, search: &Search, candidate: &Candidate, call: &Call) -> Reason {
        let (Candidate { next, .. }, Search { values, standardised: client, is_open, .. }) = (candidate, search);
        let differs = |j: &usize| next[*j] != values[*j];
        let mut named: Vec<usize> = match candidate.single {
            Some(j) => vec![j],
            None => candidate.cluster.members.iter().copied().filter(|j| is_open[*j] && differs(j)).collect(),
        };
        let size = |j: &usize| self.usual.contribution_from_average(client, *j).abs();
        named.sort_by(|a, b| size(b).total_cmp(&size(a)));
        named.truncate(MOST_NAMED);
        let others = candidate.cluster.members.iter().copied().filter(|j| !named.contains(j));
        let unusual = |j: &usize| {
            let now = call.predictors[*j].clone().unwrap_or_else(|| values[*j].clone());
            Unusual { predictor: *j, now, usual: next[*j].clone() }
        };
        Reason {
            has_companions: others.clone().any(|j| differs(&j)),
            given: if candidate.single.is_some() { others.collect() } else { Vec::new() },
            named: named.iter().map(unusual).collect(),
            risk: probability(self.log_odds(values)),
            otherwise: probability(self.log_odds(next)),
            enough: None,
        }
    }

    /// Returns the value of a number that would be enough alone; `None` for a category, or if the risk is already below the
    /// threshold.
    fn enough(&self, values: &[Value], j: usize) -> Option<f64> {
        let Effect::Number(effect) = &self.model.effects[j] else { return None };
        let is_needed = probability(self.log_odds(values)) >= self.threshold.value();
        is_needed.then(|| self.helpful_number(values, j, effect))?.and_then(|(_, to)| to.number())
    }

    fn log_odds(&self, values: &[Value]) -> f64 {
        self.model.log_odds(values.iter().map(|value| Some(value.borrowed())))
    }

    fn is_unseen(&self, j: usize, value: &Value) -> bool {
        self.model.effects[j].is_unseen(Some(value.borrowed()))
    }
}
