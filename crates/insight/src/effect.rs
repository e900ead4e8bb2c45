//! Whether the calls help: leaving among called clients against leaving among held-out clients of similar risk.

use serde::Serialize;
use statistics::interval::Interval;
use statistics::stratified::{Events, RateDifference, Stratum, rate_difference};
use utoipa::ToSchema;

use crate::wording::{count, grouped};

/// Largest number of bands of similar risk.
const MOST_BANDS: usize = 5;
/// Number of held-out clients for which there is one more band.
const HELD_OUT_PER_BAND: usize = 10;
/// Half the width of the interval, as a share of clients, up to which "no effect" is said rather than "cannot tell yet".
const SMALL: f64 = 0.05;
/// Largest p-value of a claim.
const LEVEL: f64 = 0.05;

/// A client's risk before the call (or before it would have been called), and whether the client left afterwards.
pub type Followed = (f64, bool);

/// The clients of one group that are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Group {
    /// Number of clients in the group.
    pub clients: u64,
    /// Number of these clients that left.
    pub left: u64,
}

/// The conclusion about the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No client is held out, so no conclusion is possible, whatever happened to the called clients.
    NoHoldOut,
    /// There are not enough clients yet.
    CannotTell,
    /// The effect is at most small: the interval lies within 5 points around none.
    NoEffect,
    /// Called clients leave less often.
    FewerLeave,
    /// Called clients leave more often.
    MoreLeave,
}

/// The effect of calls on leaving.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Effect {
    /// Clients that were to be called.
    pub called: Group,
    /// The held-out clients.
    pub held_out: Group,
    /// Share of called clients that left minus that of held-out clients of similar risk; `None` if nothing is comparable.
    pub difference: Option<f64>,
    /// Lower end of the difference's 95 % interval.
    pub low: Option<f64>,
    /// Upper end of the difference's 95 % interval.
    pub high: Option<f64>,
    /// The conclusion from the interval and the exact test.
    pub verdict: Verdict,
}

impl Effect {
    /// Compares `called` with `held_out` clients within bands of similar risk ([`rate_difference`]).
    ///
    /// The bands have about as many called clients each; there is one for every ten held-out clients, at most five.
    /// Clients riskier or less risky than every client of the other group are left out. An effect is claimed only if the
    /// exact test rejects at 5 % that calls change nothing *and* the interval excludes 0. Both hold for clients who were
    /// held out by lot: [`common::config::Holdout`] uses a hash of the id.
    pub fn of(called: &[Followed], held_out: &[Followed]) -> Self {
        let group = |clients: &[Followed]| Group { clients: clients.len() as u64, left: left(clients) };
        let found = rate_difference(&strata(called, held_out));
        let interval = found.map(|found| found.interval);
        Self {
            called: group(called),
            held_out: group(held_out),
            difference: found.map(|found| found.difference),
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            verdict: match found {
                _ if held_out.is_empty() => Verdict::NoHoldOut,
                None => Verdict::CannotTell,
                Some(found) => verdict(&found),
            },
        }
    }

    /// What the report says, in one or two sentences.
    pub fn sentences(&self) -> Vec<String> {
        let groups = format!(
            "Of {}, {} left; of {} of similar risk, {}.",
            count(self.called.clients, "called client"),
            grouped(self.called.left),
            count(self.held_out.clients, "held-out client"),
            grouped(self.held_out.left)
        );
        let (Some(difference), Some(low), Some(high)) = (self.difference, self.low, self.high) else {
            return vec![match self.verdict {
                Verdict::NoHoldOut => "Whether the calls help cannot be told, because no client is held out from being \
                                       called. Set call_holdout to a share of clients, such as 0.1."
                    .to_owned(),
                _ => "Whether the calls help cannot be told yet: there are no called and held-out clients of similar risk \
                      whose outcome is known."
                    .to_owned(),
            }];
        };
        let claim = match self.verdict {
            Verdict::FewerLeave => {
                format!(
                    "Calls lower leaving by {} points ({} to {}).",
                    points(-difference),
                    points(-high),
                    points(-low)
                )
            }
            Verdict::MoreLeave => format!(
                "Called clients leave more often than held-out ones, by {} points ({} to {}).",
                points(difference),
                points(low),
                points(high)
            ),
            Verdict::NoEffect => {
                format!("No effect of the calls is seen: leaving changes by {}.", range(low, high))
            }
            Verdict::NoHoldOut | Verdict::CannotTell => {
                format!("Whether the calls help cannot be told yet: leaving may change by {}.", range(low, high))
            }
        };
        vec![claim, groups]
    }
}

fn verdict(found: &RateDifference) -> Verdict {
    let Interval { low, high } = found.interval;
    match found.p_value <= LEVEL {
        true if high < 0.0 => Verdict::FewerLeave,
        true if low > 0.0 => Verdict::MoreLeave,
        _ if low >= -SMALL && high <= SMALL => Verdict::NoEffect,
        _ => Verdict::CannotTell,
    }
}

/// Counts both groups in bands of risk.
fn strata(called: &[Followed], held_out: &[Followed]) -> Vec<Stratum> {
    let range = |clients: &[Followed]| {
        let risks = || clients.iter().map(|(risk, _)| *risk);
        risks().reduce(f64::min).zip(risks().reduce(f64::max))
    };
    let (Some(one), Some(other)) = (range(called), range(held_out)) else { return Vec::new() };
    let common = one.0.max(other.0)..=one.1.min(other.1);
    let within = |clients: &[Followed]| -> Vec<Followed> {
        clients.iter().filter(|(risk, _)| common.contains(risk)).copied().collect()
    };
    let (mut called, held_out) = (within(called), within(held_out));
    called.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let bands = (held_out.len() / HELD_OUT_PER_BAND).clamp(1, MOST_BANDS);
    // The lowest risk of each band but the first one.
    let edges: Vec<f64> =
        (1..bands).filter_map(|band| called.get(band * called.len() / bands)).map(|call| call.0).collect();
    let mut strata = vec![Stratum::default(); bands];
    for (group, clients) in [&called, &held_out].into_iter().enumerate() {
        for (risk, left) in clients {
            let counted = &mut strata[edges.partition_point(|edge| edge <= risk)][group];
            *counted = Events { events: counted.events + u64::from(*left), of: counted.of + 1 };
        }
    }
    strata
}

fn left(clients: &[Followed]) -> u64 {
    clients.iter().filter(|(_, left)| *left).count() as u64
}

/// A share in whole percentage points.
fn points(share: f64) -> String {
    match (100.0 * share).round() as i64 {
        points if points < 0 => format!("\u{2212}{}", -points),
        points => points.to_string(),
    }
}

/// An interval in points, with signs.
fn range(low: f64, high: f64) -> String {
    let signed = |share: f64| if share >= 0.005 { format!("+{}", points(share)) } else { points(share) };
    format!("{} to {} points", signed(low), signed(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns `clients` clients of one risk, `left` of whom left.
    fn followed(risk: f64, clients: usize, left: usize) -> Vec<Followed> {
        (0..clients).map(|i| (risk, i < left)).collect()
    }

    #[test]
    fn a_large_effect_is_claimed_in_points() {
        let called = [followed(0.8, 400, 220), followed(0.4, 400, 100)].concat();
        let held_out = [followed(0.8, 80, 58), followed(0.4, 80, 32)].concat();
        let effect = Effect::of(&called, &held_out);
        assert_eq!(effect.verdict, Verdict::FewerLeave);
        assert!((effect.difference.unwrap() + 0.1625).abs() < 1e-12, "{effect:?}");
        let [claim, groups] = &effect.sentences()[..] else { panic!("{effect:?}") };
        assert!(claim.starts_with("Calls lower leaving by 16 points ("), "{claim}");
        assert_eq!(groups, "Of 800 called clients, 320 left; of 160 held-out clients of similar risk, 90.");
        let harmful = Effect::of(&held_out, &called);
        assert_eq!(harmful.verdict, Verdict::MoreLeave);
        assert!(harmful.sentences()[0].contains("more often than held-out ones, by 16 points"), "{harmful:?}");
    }

    #[test]
    fn different_risks_are_no_effect() {
        // The held-out clients are mostly of low risk: compared as a whole, calls would seem to do harm.
        let called = [followed(0.8, 900, 720), followed(0.1, 100, 10)].concat();
        let held_out = [followed(0.8, 100, 80), followed(0.1, 900, 90)].concat();
        let effect = Effect::of(&called, &held_out);
        assert!(effect.difference.unwrap().abs() < 0.02 && effect.low.unwrap() < 0.0, "{effect:?}");
        assert!(effect.high.unwrap() > 0.0 && effect.verdict == Verdict::CannotTell, "{effect:?}");
    }

    #[test]
    fn nothing_is_claimed_without_a_hold_out_or_with_few_clients() {
        let called = followed(0.9, 500, 1);
        let alone = Effect::of(&called, &[]);
        assert_eq!((alone.verdict, alone.difference), (Verdict::NoHoldOut, None));
        assert!(alone.sentences()[0].contains("no client is held out"));
        let few = Effect::of(&called[..4], &followed(0.9, 2, 2));
        assert_eq!(few.verdict, Verdict::CannotTell);
        assert!(
            few.sentences()[0].starts_with("Whether the calls help cannot be told yet: leaving may change by "),
            "{few:?}"
        );
        let apart = Effect::of(&called, &followed(0.2, 40, 1));
        assert_eq!((apart.verdict, apart.difference), (Verdict::CannotTell, None));
        assert!(apart.sentences()[0].contains("no called and held-out clients of similar risk"), "{apart:?}");
        assert_eq!(Effect::of(&[], &called).verdict, Verdict::CannotTell);
    }

    #[test]
    fn a_narrow_interval_around_nothing_is_no_effect() {
        let effect = Effect::of(&followed(0.5, 20_000, 10_000), &followed(0.5, 5000, 2500));
        assert_eq!(effect.verdict, Verdict::NoEffect);
        assert_eq!(effect.sentences()[0], "No effect of the calls is seen: leaving changes by \u{2212}2 to +2 points.");
    }
}
