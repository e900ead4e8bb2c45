//! Comparison of two classifiers, the challenger and the champion, on the same clients.
//!
//! Most clients are classified alike by both, so the difference of two scores is much more certain than each score. It
//! depends only on the clients that the classifiers treat differently, which is why these counts are joint.

mod top;

use serde::{Deserialize, Serialize};

pub use self::top::Top;
use crate::confusion::Confusion;
use crate::interval::Interval;

/// Numbers of clients with the same outcome, by the models that predicted that they leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicted {
    /// Clients of whom both models predicted that they leave.
    pub both: u64,
    /// Clients of whom only the challenger predicted that they leave.
    pub only_challenger: u64,
    /// Clients of whom only the champion predicted that they leave.
    pub only_champion: u64,
    /// Clients of whom neither model predicted that they leave.
    pub neither: u64,
}

/// The joint counts of two models on the same clients. Their margins are the confusion counts of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joint {
    /// Counts of the clients that left.
    pub left: Predicted,
    /// Counts of the clients that stayed.
    pub stayed: Predicted,
}

/// A model of a pair.
type Side = fn(&Predicted) -> u64;

/// Number of clients that the challenger, or the champion, predicts to leave.
const SIDES: [Side; 2] = [|of| of.both + of.only_challenger, |of| of.both + of.only_champion];

impl Joint {
    /// Adds one client to the counts: the predictions of both models and whether the client left.
    pub fn add(&mut self, challenger: bool, champion: bool, left: bool) {
        let predicted = if left { &mut self.left } else { &mut self.stayed };
        *match (challenger, champion) {
            (true, true) => &mut predicted.both,
            (true, false) => &mut predicted.only_challenger,
            (false, true) => &mut predicted.only_champion,
            (false, false) => &mut predicted.neither,
        } += 1;
    }

    /// Returns the confusion counts of the challenger.
    pub fn challenger(&self) -> Confusion {
        self.confusion(SIDES[0])
    }

    /// Returns the confusion counts of the champion.
    pub fn champion(&self) -> Confusion {
        self.confusion(SIDES[1])
    }

    fn confusion(&self, side: Side) -> Confusion {
        let (true_positives, false_positives) = (side(&self.left), side(&self.stayed));
        Confusion {
            true_positives,
            false_positives,
            false_negatives: self.left.n() - true_positives,
            true_negatives: self.stayed.n() - false_positives,
        }
    }

    /// Returns the number of clients that the models predict differently.
    pub fn discordant(&self) -> u64 {
        [self.left, self.stayed].iter().map(|of| of.only_challenger + of.only_champion).sum()
    }
}

impl Predicted {
    /// Returns the number of clients.
    pub fn n(&self) -> u64 {
        self.both + self.only_challenger + self.only_champion + self.neither
    }

    /// Returns the counts as numbers, with one more client in each of the two discordant counts.
    fn adjusted(&self) -> [f64; 4] {
        [self.both, self.only_challenger + 1, self.only_champion + 1, self.neither].map(|count| count as f64)
    }
}

/// Whether the challenger and the champion predict that a client leaves, for each count of [`Predicted`].
const PREDICTIONS: [[f64; 2]; 4] = [[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]];

/// Number of standard errors on either side of the difference. It is slightly more than 1.96, so that the interval of
/// two equally good models is above 0 in fewer than 2.5 % of the cases, also where the normal approximation is rough.
const STANDARD_ERRORS: f64 = 2.05;

/// Returns the interval of the challenger's F1 minus the champion's, for clients that were drawn independently.
///
/// Each client contributes (2·TP − F1 · (predicted + left)) / Σ (predicted + left) to the error of F1 = 2·TP / Σ
/// (predicted + left), so the variance of the difference is the sum of the squared differences of the two
/// contributions (delta method; Efron & Tibshirani, An Introduction to the Bootstrap, 1993, §22.6). Few discordant clients
/// would make this variance too small, and none would make it 0. Therefore one client is added to each of the four
/// discordant counts, as Bonett & Price (Adjusted Wald confidence interval for a difference of binomial proportions
/// based on paired data, Journal of Educational and Behavioral Statistics 37, 2012) do for proportions. So models that
/// agree on every client have a narrow interval around 0: they may differ on other clients.
///
/// `None` if no client left: then F1 measures nothing.
pub fn f1_difference(joint: &Joint) -> Option<Interval> {
    if joint.left.n() == 0 {
        return None;
    }
    let cells = [(1.0, joint.left.adjusted()), (0.0, joint.stayed.adjusted())];
    let cells =
        || cells.iter().flat_map(|(left, counts)| counts.iter().zip(PREDICTIONS).map(move |cell| (*left, cell)));
    let sum = |term: &dyn Fn(f64, [f64; 2]) -> f64| -> f64 {
        cells().map(|(left, (count, predicted))| count * term(left, predicted)).sum()
    };
    let models = [0, 1].map(|model| {
        let whole = sum(&|left, predicted| predicted[model] + left);
        (sum(&|left, predicted| 2.0 * left * predicted[model]) / whole, whole)
    });
    let contribution = |left: f64, predicted: [f64; 2], model: usize| {
        let (f1, whole) = models[model];
        (2.0 * left * predicted[model] - f1 * (predicted[model] + left)) / whole
    };
    let variance =
        sum(&|left, predicted| (contribution(left, predicted, 0) - contribution(left, predicted, 1)).powi(2));
    let (centre, margin) = (models[0].0 - models[1].0, STANDARD_ERRORS * variance.sqrt());
    let difference = joint.challenger().f1() - joint.champion().f1();
    Some(Interval {
        low: (centre - margin).min(difference).max(-1.0),
        high: (centre + margin).max(difference).min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joint(left: [u64; 4], stayed: [u64; 4]) -> Joint {
        let predicted = |[both, only_challenger, only_champion, neither]: [u64; 4]| Predicted {
            both,
            only_challenger,
            only_champion,
            neither,
        };
        Joint { left: predicted(left), stayed: predicted(stayed) }
    }

    #[test]
    fn the_margins_are_the_confusion_counts() {
        let mut counted = Joint::default();
        let (mut challenger, mut champion) = (Confusion::default(), Confusion::default());
        for client in 0..1000u64 {
            let [one, other, left] = [client % 3 == 0, client % 5 < 2, client % 7 < 3];
            counted.add(one, other, left);
            challenger.add(one, left);
            champion.add(other, left);
        }
        assert_eq!((counted.challenger(), counted.champion()), (challenger, champion));
        assert_eq!(counted.discordant(), (0..1000).filter(|i| (i % 3 == 0) != (i % 5 < 2)).count() as u64);
    }

    /// The variance of many clients by its definition: each cell is moved a little (finite differences).
    #[test]
    fn many_clients_give_the_interval_of_the_delta_method() {
        let counts = joint([400_000, 60_000, 30_000, 110_000], [90_000, 20_000, 40_000, 2_000_000]);
        let cells = |of: &Joint| {
            [of.left, of.stayed].map(|of| [of.both, of.only_challenger, of.only_champion, of.neither].map(|n| n as f64))
        };
        let f1 = |cells: &[[f64; 4]; 2], other: usize| {
            let tp = cells[0][0] + cells[0][1 + other];
            let predicted = tp + cells[1][0] + cells[1][1 + other];
            2.0 * tp / (predicted + cells[0].iter().sum::<f64>())
        };
        let difference = |cells: &[[f64; 4]; 2]| f1(cells, 0) - f1(cells, 1);
        let (start, mut variance) = (cells(&counts), 0.0);
        for (row, cell) in [0, 1].into_iter().flat_map(|row| (0..4).map(move |cell| (row, cell))) {
            let mut moved = start;
            moved[row][cell] += 1.0;
            variance += start[row][cell] * (difference(&moved) - difference(&start)).powi(2);
        }
        let found = f1_difference(&counts).unwrap();
        let half = (found.high - found.low) / 2.0;
        assert!((half / (STANDARD_ERRORS * variance.sqrt()) - 1.0).abs() < 1e-3, "{half} {}", variance.sqrt());
        assert!((found.low.midpoint(found.high) - difference(&start)).abs() < 1e-4);
    }

    #[test]
    fn exchanged_models_have_the_mirrored_interval() {
        let one = f1_difference(&joint([30, 12, 3, 9], [5, 2, 8, 300])).unwrap();
        let other = f1_difference(&joint([30, 3, 12, 9], [5, 8, 2, 300])).unwrap();
        assert!((one.low + other.high).abs() < 1e-15 && (one.high + other.low).abs() < 1e-15);
        assert!(one.low > 0.0, "{one:?}");
    }

    #[test]
    fn models_that_agree_may_differ_on_other_clients() {
        let width = |n: u64| {
            let interval = f1_difference(&joint([30 * n, 0, 0, 20 * n], [10 * n, 0, 0, 140 * n])).unwrap();
            assert!(interval.low < 0.0 && interval.low == -interval.high, "{interval:?}");
            interval.high
        };
        assert!(width(1) < 0.06 && width(10) < width(1) / 9.0 && width(10_000) < 1e-5);
    }

    #[test]
    fn small_tables_have_finite_intervals_that_contain_the_difference() {
        let counts = [0, 1, 2, 9];
        let all = || counts.iter().flat_map(|a| counts.iter().map(move |b| (*a, *b)));
        for ((a, b), (c, d)) in all().flat_map(|one| all().map(move |other| (one, other))) {
            for table in
                [joint([a, b, c, d], [b, c, d, a]), joint([a, b, c, d], [0; 4]), joint([0, a, b, 0], [c, d, 0, 9])]
            {
                let interval = f1_difference(&table);
                assert_eq!(interval.is_some(), table.left.n() > 0);
                let Some(interval) = interval else { continue };
                let difference = table.challenger().f1() - table.champion().f1();
                assert!(interval.contains(difference) && interval.low >= -1.0 && interval.high <= 1.0, "{table:?}");
            }
        }
        // Four clients are no proof.
        assert!(f1_difference(&joint([0, 4, 0, 0], [0, 0, 0, 20])).unwrap().low < 0.0);
    }
}
