//! The effect of one predictor on the risk, with what is known about its values in the training data.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use statistics::levels::{LevelCounts, LevelSummary};
use statistics::sketch::Sketch;

use crate::schema::{MOST_LEVELS, Predictor, Transform};
use crate::values::{Value, ValueRef};

/// The effect of one predictor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// Effect of a count or a number.
    Number(NumberEffect),
    /// Effect of a category.
    Category(CategoryEffect),
}

/// The effect of a number: its coefficient times the transformed number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberEffect {
    /// Change of the log-odds of leaving per unit of the transformed number.
    pub coefficient: f64,
    /// Standard error of the coefficient.
    pub standard_error: f64,
    /// Median in the training rows, which is imputed for a missing value.
    pub median: f64,
    /// Summary of the values in the dataset on which the model was trained; `None` in a model file of version 1.
    pub sketch: Option<Sketch>,
}

/// The effect of a category: the coefficient of the level, 0 for a level that no training row had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryEffect {
    /// The levels in the training rows, sorted bytewise by name.
    pub levels: Vec<LevelEffect>,
    /// Index of the most frequent level in the training rows, which is imputed for a missing value.
    pub most_frequent: usize,
    /// Number of rows with each level in the dataset on which the model was trained.
    pub summary: LevelSummary,
}

/// The effect of one level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelEffect {
    /// The level as it is in the data.
    pub name: String,
    /// Contribution to the log-odds of leaving.
    pub coefficient: f64,
    /// Standard error of the coefficient.
    pub standard_error: f64,
}

/// A term of the regression: a number, or one level of a category.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a> {
    /// The predictor to which the term belongs.
    pub predictor: &'a Predictor,
    /// The level of a category; `None` for a number.
    pub level: Option<&'a str>,
    /// Change of the log-odds of leaving per unit of the transformed number, or for this level.
    pub coefficient: f64,
    /// Standard error of the coefficient.
    pub standard_error: f64,
}

impl<'a> Term<'a> {
    /// Returns the name: that of the column, for a level followed by `=` and the level.
    pub fn name(&self) -> Cow<'a, str> {
        match self.level {
            None => Cow::Borrowed(&self.predictor.name),
            Some(level) => Cow::Owned(format!("{}={level}", self.predictor.name)),
        }
    }
}

impl NumberEffect {
    /// Returns the mean in the training data, or the median if the model file holds no mean.
    pub fn average(&self) -> Value {
        Value::Number(self.sketch.as_ref().map_or(self.median, |sketch| sketch.mean))
    }
}

impl Effect {
    /// Returns the contribution of a value to the log-odds; a missing value is imputed.
    pub fn contribution(&self, value: Option<ValueRef>, transform: Transform) -> f64 {
        match self {
            Self::Number(NumberEffect { coefficient, median, .. }) => {
                let number = value.and_then(ValueRef::number).unwrap_or(*median);
                coefficient * transform.apply(number)
            }
            Self::Category(category) => match value.and_then(ValueRef::level) {
                Some(level) => category.level(level).map_or(0.0, |level| level.coefficient),
                None => category.imputed().coefficient,
            },
        }
    }

    /// Returns the value that is imputed for a missing one.
    pub fn imputed(&self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number.median),
            Self::Category(category) => Value::Level(category.imputed().name.clone()),
        }
    }

    /// Returns the average client's value.
    pub fn average(&self) -> Value {
        match self {
            Self::Number(number) => number.average(),
            Self::Category(_) => self.imputed(),
        }
    }

    /// Whether the value is a level that no training row had.
    pub fn is_unseen(&self, value: Option<ValueRef>) -> bool {
        match (self, value.and_then(ValueRef::level)) {
            (Self::Category(category), Some(level)) => category.level(level).is_none(),
            _ => false,
        }
    }

    /// Returns the number of columns of the regression: 1 for a number; for a category one fewer than levels.
    pub fn columns(&self) -> usize {
        match self {
            Self::Number(_) => 1,
            Self::Category(category) => category.levels.len().saturating_sub(1),
        }
    }

    /// Whether the predictor is a category.
    pub fn is_category(&self) -> bool {
        matches!(self, Self::Category(_))
    }

    /// Whether the numbers are consistent with each other. Used to check a model that was read from a file.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::Number(number) => number.median.is_finite() && number.sketch.as_ref().is_none_or(Sketch::is_sound),
            Self::Category(CategoryEffect { levels, most_frequent, summary }) => {
                (1..=MOST_LEVELS).contains(&levels.len())
                    && *most_frequent < levels.len()
                    && levels.windows(2).all(|pair| pair[0].name < pair[1].name)
                    && summary.is_sound(levels.len())
            }
        }
    }
}

impl CategoryEffect {
    /// Returns the effect of a level; `None` if no training row had it.
    pub fn level(&self, name: &str) -> Option<&LevelEffect> {
        self.position(name).map(|index| &self.levels[index])
    }

    /// Returns the index of a level; `None` if no training row had it.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.levels.binary_search_by(|level| level.name.as_str().cmp(name)).ok()
    }

    /// Counts new rows by level; the last two entries are the unseen levels and the missing values.
    pub fn tally(&self, new: &LevelCounts) -> Vec<u64> {
        let names: Vec<String> = self.levels.iter().map(|level| level.name.clone()).collect();
        self.summary.tally(&names, new)
    }

    /// Returns the level that is imputed for a missing value.
    pub fn imputed(&self) -> &LevelEffect {
        &self.levels[self.most_frequent]
    }
}
