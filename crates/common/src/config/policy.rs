//! Settings of training and of the decisions that `fullprocess` makes.

use serde::{Deserialize, Deserializer, Serialize};

use crate::config::values::checked;
use crate::files::checksum::Checksum;

/// The test that decides whether the live model has drifted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftTest {
    /// The F1 on the new rows is lower than the recorded F1.
    #[default]
    Raw,
    /// The F1 is lower than the recorded F1 by more than chance explains ([`statistics::interval::f1_difference`]).
    Interval,
    /// The F1 is below a limit computed from the past scores ([`statistics::trend::Limits`]).
    History,
}

impl DriftTest {
    /// All tests, the default first.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Interval, Self::History];

    /// Returns the name that the config uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Interval => "interval",
            Self::History => "history",
        }
    }
}

/// The rule that decides when a new model replaces the live one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promotion {
    /// Replace the live model whenever it has drifted.
    #[default]
    OnDrift,
    /// Replace the live model only if the new one is not worse on the same test rows and is better than predicting that
    /// everyone exits.
    IfBetter,
    /// Replace the live model only if the new one is better on the same test rows by more than chance explains
    /// ([`statistics::paired::f1_difference`]) and better than predicting that everyone exits.
    IfSurelyBetter,
}

impl Promotion {
    /// All rules, the default first.
    pub const ALL: [Self; 3] = [Self::OnDrift, Self::IfBetter, Self::IfSurelyBetter];

    /// Returns the name that the config uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnDrift => "on_drift",
            Self::IfBetter => "if_better",
            Self::IfSurelyBetter => "if_surely_better",
        }
    }
}

/// What follows if rows of the test data are also in the training data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOverlap {
    /// A warning is printed, and the run goes on.
    #[default]
    Warn,
    /// Scoring fails, so the model is not deployed.
    Refuse,
}

/// The share of clients that are never called, from 0 to 0.5; by default 0.
///
/// Whether a client is held out depends only on its id, so it stays the same from day to day, in every program and on
/// every machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Holdout(f64);

impl Holdout {
    /// Creates a share; `None` unless 0 ≤ `share` ≤ 0.5.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=0.5).contains(&share).then_some(Self(share))
    }

    /// Returns the share as a number.
    pub fn share(self) -> f64 {
        self.0
    }

    /// Whether the client `id` is held out: the first eight bytes of the SHA-256 of its id, as a big-endian number
    /// divided by 2^64, are below the share.
    pub fn contains(self, id: &str) -> bool {
        if self.0 == 0.0 {
            return false; // saves a checksum for each client
        }
        let checksum = Checksum::of_bytes(id.as_bytes());
        let first = u64::from_str_radix(&checksum.as_str()[..16], 16).unwrap_or(u64::MAX);
        (first as f64) < self.0 * 2f64.powi(64)
    }
}

impl<'de> Deserialize<'de> for Holdout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer, "a share from 0 to 0.5", Self::new)
    }
}

/// A decision threshold: a probability strictly between 0 and 1; by default 0.5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Threshold(f64);

impl Threshold {
    /// Creates a threshold; `None` unless 0 < `value` < 1.
    pub fn new(value: f64) -> Option<Self> {
        (value > 0.0 && value < 1.0).then_some(Self(value))
    }

    /// Returns the threshold as a number.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl Default for Threshold {
    fn default() -> Self {
        Self(0.5)
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer, "a probability between 0 and 1", Self::new)
    }
}

/// Inverse L2 penalty strength C as in scikit-learn, positive and finite; larger means weaker regularisation. By
/// default 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regularization(f64);

impl Regularization {
    /// Creates a regularisation; `None` unless `c` and 1 / `c` are positive and finite.
    pub fn new(c: f64) -> Option<Self> {
        (c > 0.0 && c.is_finite() && (1.0 / c).is_finite()).then_some(Self(c))
    }

    /// Returns C as a number.
    pub fn c(self) -> f64 {
        self.0
    }
}

impl Default for Regularization {
    fn default() -> Self {
        Self(1.0)
    }
}

impl<'de> Deserialize<'de> for Regularization {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer, "a positive number", Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_name_is_the_one_that_the_config_uses() {
        for test in DriftTest::ALL {
            assert_eq!(DriftTest::deserialize(json!(test.as_str())).unwrap(), test);
        }
        for rule in Promotion::ALL {
            assert_eq!(Promotion::deserialize(json!(rule.as_str())).unwrap(), rule);
        }
        assert_eq!((DriftTest::ALL[0], Promotion::ALL[0]), (DriftTest::default(), Promotion::default()));
        // serde's error lists all names.
        let known = |error: serde_json::Error| error.to_string().matches('`').count() / 2 - 1;
        assert_eq!(known(DriftTest::deserialize(json!("?")).unwrap_err()), DriftTest::ALL.len());
        assert_eq!(known(Promotion::deserialize(json!("?")).unwrap_err()), Promotion::ALL.len());
    }
}
