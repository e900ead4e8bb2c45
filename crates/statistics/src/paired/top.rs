//! The clients of the highest risk according to each of two models: whom the managers would call.

use serde::{Deserialize, Serialize};

use crate::interval::{self, Interval};
use crate::special::NORMAL_97_5;

/// The leavers among the `clients` clients of the highest risk, for two models on the same clients.
///
/// If several clients at the border have the same risk, each counts as the share that fits: a fraction, which is the mean
/// over all ways to choose among them. So the numbers do not depend on the order of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Top {
    /// Number of clients that are chosen by each model.
    pub clients: u64,
    /// Number of leavers that both models choose.
    pub left_both: f64,
    /// Number of leavers that only the challenger chooses.
    pub left_only_challenger: f64,
    /// Number of leavers that only the champion chooses.
    pub left_only_champion: f64,
    /// Number of clients that only the challenger chooses, which is also the number that only the champion chooses.
    pub exchanged: f64,
}

impl Top {
    /// Chooses the `clients` clients of the highest risk by each model. `rows` are the risk by the challenger, the risk
    /// by the champion, and whether the client left. `None` if there are no more rows than are chosen, or none is chosen,
    /// because then there is nothing to choose.
    pub fn of(rows: &[(f64, f64, bool)], clients: u64) -> Option<Self> {
        let most = usize::try_from(clients).ok().filter(|most| (1..rows.len()).contains(most))?;
        let challenger = Border::of(rows.iter().map(|row| row.0), most);
        let champion = Border::of(rows.iter().map(|row| row.1), most);
        let mut top =
            Self { clients, left_both: 0.0, left_only_challenger: 0.0, left_only_champion: 0.0, exchanged: 0.0 };
        for (one, other, left) in rows {
            let (one, other) = (challenger.share(*one), champion.share(*other));
            top.exchanged += (one - other).max(0.0);
            if *left {
                top.left_both += one.min(other);
                top.left_only_challenger += (one - other).max(0.0);
                top.left_only_champion += (other - one).max(0.0);
            }
        }
        // Rounding of fractions must not give more leavers than clients.
        top.exchanged = top.exchanged.max(top.left_only_challenger).max(top.left_only_champion);
        Some(top)
    }

    /// Returns the share of the leavers among the clients that the challenger chooses.
    pub fn challenger(&self) -> f64 {
        (self.left_both + self.left_only_challenger) / self.clients as f64
    }

    /// Returns the share of the leavers among the clients that the champion chooses.
    pub fn champion(&self) -> f64 {
        (self.left_both + self.left_only_champion) / self.clients as f64
    }

    /// Returns the interval of the challenger's share minus the champion's: exactly 0 if both choose the same clients.
    ///
    /// Clients that both choose do not matter. The others are two groups of different clients and of the same size,
    /// whose outcomes are independent given the predictors. So this is the difference of two independent proportions
    /// (Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine 17,
    /// 1998, method 10), times the share of the exchanged clients. Fractions make the interval wider than necessary.
    pub fn difference(&self) -> Interval {
        if self.exchanged <= 0.0 {
            return Interval { low: 0.0, high: 0.0 };
        }
        let of = |left: f64| {
            let rate = (left / self.exchanged).min(1.0); // sums of fractions are rounded
            (rate, interval::wilson(NORMAL_97_5, rate, self.exchanged))
        };
        let ((one, of_one), (other, of_other)) = (of(self.left_only_challenger), of(self.left_only_champion));
        let (difference, share) = (one - other, self.exchanged / self.clients as f64);
        Interval {
            low: share * (difference - (one - of_one.low).hypot(of_other.high - other)),
            high: share * (difference + (of_one.high - one).hypot(other - of_other.low)),
        }
    }
}

/// The risk from which clients are chosen.
struct Border {
    risk: f64,
    /// Share of each client with exactly this risk that is chosen.
    share: f64,
}

impl Border {
    /// Finds the border of the `most` highest risks; `most` is at least 1 and at most the number of risks.
    fn of(risks: impl Iterator<Item = f64>, most: usize) -> Self {
        let mut risks: Vec<f64> = risks.collect();
        let (_, risk, _) = risks.select_nth_unstable_by(most - 1, |a, b| b.total_cmp(a));
        let risk = *risk;
        let above = risks.iter().filter(|other| **other > risk).count();
        let tied = risks.iter().filter(|other| **other == risk).count();
        Self { risk, share: (most - above) as f64 / tied.max(1) as f64 }
    }

    fn share(&self, risk: f64) -> f64 {
        match risk {
            risk if risk > self.risk => 1.0,
            risk if risk == self.risk => self.share,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn the_shares_are_the_mean_over_all_choices_among_ties() {
        // The challenger chooses a and one of b, c, d; the champion chooses c and d.
        let rows = [(0.9, 0.1, true), (0.5, 0.2, true), (0.5, 0.8, false), (0.5, 0.7, true), (0.1, 0.6, true)];
        let top = Top::of(&rows, 2).unwrap();
        assert!((top.challenger() - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-15 && top.champion() == 0.5, "{top:?}");
        let reversed: Vec<_> = rows.iter().rev().copied().collect();
        let again = Top::of(&reversed, 2).unwrap();
        assert!(
            (again.challenger() - top.challenger()).abs() < 1e-15 && (again.exchanged - top.exchanged).abs() < 1e-15
        );
        let exchanged: Vec<_> = rows.iter().map(|(one, other, left)| (*other, *one, *left)).collect();
        let mirrored = Top::of(&exchanged, 2).unwrap().difference();
        let difference = top.difference();
        assert!((mirrored.low + difference.high).abs() < 1e-12 && (mirrored.high + difference.low).abs() < 1e-12);
    }

    #[test]
    fn the_same_choice_is_no_difference_and_a_choice_of_all_is_none() {
        let rows = [(0.9, 0.7, true), (0.8, 0.6, false), (0.1, 0.2, true)];
        assert_eq!(Top::of(&rows, 2).unwrap().difference(), Interval { low: 0.0, high: 0.0 });
        assert_eq!([0, 3, 4, u64::MAX].map(|clients| Top::of(&rows, clients)), [None; 4]);
        assert_eq!(Top::of(&[], 1), None);
        let all_tied = [(0.5, 0.5, true), (0.5, 0.5, false), (0.5, 0.5, false)];
        let top = Top::of(&all_tied, 1).unwrap();
        assert_eq!((top.exchanged, top.difference().high), (0.0, 0.0));
        assert!((top.challenger() - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn the_interval_covers_given_the_predictors() {
        for (clients, calls, noise) in [(300, 20, 0.1), (300, 20, 0.5), (2000, 50, 0.3), (10_000, 500, 0.2)] {
            let mut random = Random::new(clients as u64 + calls);
            let (mut covered, rounds) = (0, 1000);
            for _ in 0..rounds {
                let truth: Vec<f64> = (0..clients).map(|_| random.uniform().powi(2)).collect();
                let mut risk = |p: &f64| p + noise * (random.uniform() - 0.5);
                let risks: Vec<(f64, f64)> = truth.iter().map(|p| (risk(p), risk(p))).collect();
                let mut rows: Vec<(f64, f64, bool)> = risks.iter().map(|(one, other)| (*one, *other, true)).collect();
                let [one, other] = [|row: &(f64, f64, bool)| row.0, |row: &(f64, f64, bool)| row.1].map(|of| {
                    let border = Border::of(rows.iter().map(of), calls as usize);
                    rows.iter().zip(&truth).map(|(row, p)| border.share(of(row)) * p).sum::<f64>()
                });
                rows.iter_mut().zip(&truth).for_each(|(row, p)| row.2 = random.uniform() < *p);
                let interval = Top::of(&rows, calls).unwrap().difference();
                covered += u32::from(interval.contains((one - other) / calls as f64));
            }
            assert!(covered >= 925, "{clients} {calls}: {covered}"); // 0.95 minus 3.6 standard deviations
        }
    }
}
