//! The headline: how many of today's calls are expected to leave, by what happened to test clients that were rated as
//! high. The model's own probabilities promise nothing here, because they may be wrong.

use serde::Serialize;
use statistics::interval::{Prediction, Trials, exits, predict};
use statistics::ranking::Pair;
use utoipa::ToSchema;

use crate::wording::{about, count, grouped};

/// Below this number of comparable test clients, the sentence says "only".
const FEW: u64 = 20;
/// Smallest number of test clients in each of several bands of risk.
const PER_BAND: usize = 10;
/// Mean probability from which a model's probabilities are called "its highest".
const HIGH: f64 = 0.9;
/// With more calls there is one band, because the time for several grows with the square of the number of calls.
const MOST_CALLS_IN_BANDS: usize = 10_000;

/// The number of today's calls that are expected to leave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Headline {
    /// Number of clients to call.
    pub called: u64,
    /// Expected number of them that leave. Without a comparable test client it is [`Self::at_random`].
    pub expected: f64,
    /// Lower end of the number's 95 % interval.
    pub low: u64,
    /// Upper end of the number's 95 % interval.
    pub high: u64,
    /// Expected number that leave if as many clients are called at random.
    pub at_random: f64,
    /// Number of comparable test clients: those whose risk lies between the lowest and the highest risk among the clients
    /// to call.
    pub comparable: u64,
    /// Number of these test clients that left.
    pub left: u64,
    /// Number of these test clients that the model expected to leave, the sum of their probabilities.
    pub model_expected: f64,
    /// Whether that sum and [`Self::left`] differ by more than chance explains: the number that left is outside the 95 %
    /// interval of the model.
    pub model_is_off: bool,
}

impl Headline {
    /// Predicts how many of the clients with the risks `called` leave, from the predicted risks and the outcomes of the
    /// `test` clients.
    ///
    /// The shares of test clients as risky that left give the number and its interval, within bands of similar risk if there
    /// are enough test clients ([`predict`]). So the interval holds if test clients and current clients come from the same
    /// population. It does not need the model's probabilities to be right, and the clients to call need not be the riskiest
    /// ones: some may pause, or be ranked by value.
    ///
    /// `None` if there is no call, there is no test client, or a risk is no probability.
    pub fn of(called: &[f64], test: &[Pair]) -> Option<Self> {
        let mut risks = called.iter().chain(test.iter().map(|(risk, _)| risk));
        if test.is_empty() || !risks.all(|risk| (0.0..=1.0).contains(risk)) {
            return None;
        }
        let (lowest, highest) = (called.iter().copied().reduce(f64::min)?, called.iter().copied().reduce(f64::max)?);
        let within = test.iter().filter(|(risk, _)| (lowest..=highest).contains(risk));
        let comparable: Vec<Pair> = within.copied().collect();
        let model = exits(&comparable.iter().map(|(risk, _)| *risk).collect::<Vec<_>>())?;
        let left = |pairs: &[Pair]| pairs.iter().filter(|(_, left)| *left).count() as u64;
        let at_random = called.len() as f64 * left(test) as f64 / test.len() as f64;
        let Prediction { expected, low, high } = predict(&bands(called, &comparable))?;
        Some(Self {
            called: called.len() as u64,
            expected: if comparable.is_empty() { at_random } else { expected },
            low,
            high,
            at_random,
            comparable: comparable.len() as u64,
            left: left(&comparable),
            model_expected: model.expected + 0.0, // an empty sum is −0
            model_is_off: !(model.low..=model.high).contains(&left(&comparable)),
        })
    }

    /// The headline for client managers, in two or three sentences.
    pub fn sentences(&self) -> Vec<String> {
        let Self { called, low, high, comparable, left, .. } = *self;
        let at_random =
            format!("Of {} called at random, {} would leave.", count(called, "client"), about(self.at_random));
        if comparable == 0 {
            let unknown = format!(
                "No test client is as risky as the {} to call today, so it is unknown how many of them will leave.",
                count(called, "client")
            );
            return vec![unknown, at_random];
        }
        let only = if comparable < FEW { "only " } else { "" };
        let expected = format!(
            "Of the {} to call today, {} are expected to leave ({} to {}): of {only}{} as risky as these, {} left.",
            count(called, "client"),
            about(self.expected),
            grouped(low),
            grouped(high),
            count(comparable, "test client"),
            grouped(left)
        );
        let mut sentences = vec![expected, at_random];
        if self.model_is_off {
            sentences.push(format!(
                "The model expected {} of those {} to leave: its {}probabilities are too {}.",
                grouped(self.model_expected.round() as u64),
                grouped(comparable),
                if self.model_expected >= HIGH * comparable as f64 { "highest " } else { "" },
                if self.model_expected > left as f64 { "high" } else { "low" }
            ));
        }
        sentences
    }
}

/// Counts test clients (past trials) and clients to call (future trials) in bands of risk. The bands begin at tenths of
/// the one or the other, and each has at least [`PER_BAND`] test clients if there is more than one.
fn bands(called: &[f64], comparable: &[Pair]) -> Vec<Trials> {
    let sorted = |mut risks: Vec<f64>| {
        risks.sort_unstable_by(f64::total_cmp);
        risks
    };
    let (calls, tested) = (sorted(called.to_vec()), sorted(comparable.iter().map(|(risk, _)| *risk).collect()));
    let below = |edge: f64| tested.partition_point(|risk| *risk < edge);
    let tenths =
        |risks: &[f64]| -> Vec<f64> { (1..10).filter_map(|i| risks.get(i * risks.len() / 10)).copied().collect() };
    // The lowest risk of each band but the first one.
    let mut edges: Vec<f64> = Vec::new();
    for edge in sorted([tenths(&calls), tenths(&tested)].concat()) {
        let inside = below(edge) - edges.last().map_or(0, |edge| below(*edge));
        if calls.len() <= MOST_CALLS_IN_BANDS && inside.min(tested.len() - below(edge)) >= PER_BAND {
            edges.push(edge);
        }
    }
    let band = |risk: f64| edges.partition_point(|edge| *edge <= risk);
    let mut counted = vec![Trials::default(); edges.len() + 1];
    for (risk, left) in comparable {
        let trials = &mut counted[band(*risk)];
        (trials.past, trials.successes) = (trials.past + 1, trials.successes + u64::from(*left));
    }
    called.iter().for_each(|risk| counted[band(*risk)].future += 1);
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns `clients` test clients of one risk, `left` of whom left.
    fn tested(risk: f64, clients: usize, left: usize) -> Vec<Pair> {
        (0..clients).map(|i| (risk, i < left)).collect()
    }

    #[test]
    fn test_clients_as_risky_decide_and_the_models_error_is_named() {
        let test = [tested(0.99, 100, 86), tested(0.1, 400, 4)].concat();
        let headline = Headline::of(&[0.99; 50], &test).unwrap();
        assert_eq!((headline.comparable, headline.left, headline.at_random), (100, 86, 9.0));
        assert!((headline.expected - 50.0 * 86.5 / 101.0).abs() < 1e-12);
        assert_eq!((headline.low, headline.high), (36, 48));
        assert_eq!(
            headline.sentences(),
            [
                "Of the 50 clients to call today, about 43 are expected to leave (36 to 48): of 100 test clients as risky as \
                 these, 86 left.",
                "Of 50 clients called at random, about 9 would leave.",
                "The model expected 99 of those 100 to leave: its highest probabilities are too high.",
            ]
        );
        let calibrated = Headline::of(&[0.86; 50], &tested(0.86, 100, 86)).unwrap();
        assert!(!calibrated.model_is_off && calibrated.sentences().len() == 2);
        let too_low = Headline::of(&[0.6], &tested(0.6, 100, 86)).unwrap();
        assert!(too_low.sentences()[2].ends_with("its probabilities are too low."), "{too_low:?}");
    }

    #[test]
    fn bands_match_the_risks_of_the_calls() {
        // One call of the highest risk; the others have lower ones, because the riskiest clients were called yesterday.
        let test = [tested(0.95, 100, 90), tested(0.6, 100, 50), tested(0.5, 100, 40), tested(0.1, 400, 4)].concat();
        let called = [vec![0.95], vec![0.6; 20], vec![0.5; 20]].concat();
        let headline = Headline::of(&called, &test).unwrap();
        assert_eq!((headline.comparable, headline.left), (300, 180));
        assert!((headline.expected - 19.0).abs() < 0.5, "{headline:?}"); // 0.9 + 10 + 8, not 60 % of 41
    }

    #[test]
    fn few_or_no_comparable_clients_promise_little() {
        let few = Headline::of(&[0.95; 10], &tested(0.95, 2, 2)).unwrap();
        assert!(few.low <= 4 && few.high == 10 && few.sentences()[0].contains("of only 2 test clients"), "{few:?}");
        let none = Headline::of(&[0.9; 10], &tested(0.5, 40, 10)).unwrap();
        assert_eq!((none.low, none.high, none.expected, none.model_is_off), (0, 10, 2.5, false));
        assert_eq!(
            none.sentences(),
            [
                "No test client is as risky as the 10 clients to call today, so it is unknown how many of them will leave.",
                "Of 10 clients called at random, about 3 would leave."
            ]
        );
    }

    #[test]
    fn nobody_to_call_or_nothing_tested_is_no_headline() {
        assert_eq!(Headline::of(&[], &tested(0.5, 9, 1)), None);
        assert_eq!(Headline::of(&[0.5], &[]), None);
        assert_eq!(
            (Headline::of(&[f64::NAN], &tested(0.5, 9, 1)), Headline::of(&[0.5], &[(f64::INFINITY, true)])),
            (None, None)
        );
    }
}
