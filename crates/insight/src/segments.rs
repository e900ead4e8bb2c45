//! Where the model is weak: its results on the test clients within bands of each number and levels of each category.

use common::config::Threshold;
use common::model::Model;
use common::model::effect::Effect;
use common::values::{Value, ValueRef};
use statistics::segments::{Segment, Weakness, weaknesses};

use crate::wording;

/// The shares of the training values between which the bands of a number lie.
const CUTS: [f64; 3] = [0.25, 0.5, 0.75];

/// The results on the test clients, by segment.
#[derive(Clone, Debug)]
pub struct Segments {
    /// The segments of each predictor, in the order of the schema.
    groups: Vec<Group>,
}

/// The segments of one predictor.
#[derive(Clone, Debug)]
struct Group {
    /// Upper ends of the bands of a number, ascending; `None` for a category.
    cuts: Option<Vec<f64>>,
    /// The bands or levels. Two more follow: values that the training data did not have, and missing ones.
    segments: Vec<Segment>,
}

impl Segments {
    /// Creates the segments of the predictors of `model`, without any client. The bands of a number are quarters of its
    /// training values; equal values are always in one band.
    pub fn of(model: &Model) -> Self {
        let group = |effect: &Effect| match effect {
            Effect::Number(effect) => {
                let quantiles = effect.sketch.as_ref().map_or(&[][..], |sketch| &sketch.quantiles);
                let at = |share: f64| quantiles.get((share * quantiles.len() as f64) as usize).copied();
                let mut cuts: Vec<f64> = CUTS.iter().filter_map(|share| at(*share)).collect();
                cuts.dedup();
                cuts.retain(|cut| quantiles.last().is_some_and(|last| cut < last)); // nothing lies above the last one
                Group { segments: vec![Segment::default(); cuts.len() + 3], cuts: Some(cuts) }
            }
            Effect::Category(effect) => {
                Group { segments: vec![Segment::default(); effect.levels.len() + 2], cuts: None }
            }
        };
        Self { groups: model.effects.iter().map(group).collect() }
    }

    /// Adds a test client with the predicted `risk`.
    pub fn add(&mut self, model: &Model, threshold: Threshold, predictors: &[Option<ValueRef>], risk: f64, left: bool) {
        for ((group, effect), value) in self.groups.iter_mut().zip(&model.effects).zip(predictors) {
            let missing = group.segments.len() - 1;
            let index = match (effect, &group.cuts, value) {
                (Effect::Number(_), Some(cuts), Some(ValueRef::Number(number))) => {
                    cuts.partition_point(|cut| cut < number)
                }
                (Effect::Category(category), _, Some(ValueRef::Level(level))) => {
                    category.position(level).unwrap_or(missing - 1)
                }
                _ => missing,
            };
            if let Some(segment) = group.segments.get_mut(index) {
                segment.add(risk, risk >= threshold.value(), left);
            }
        }
    }

    /// Returns the number of segments that contain a client.
    pub fn occupied(&self) -> usize {
        self.groups.iter().flat_map(|group| &group.segments).filter(|segment| segment.confusion.n() > 0).count()
    }

    /// Returns the weaknesses that chance does not explain, the most certain first, each with its segment.
    pub fn weaknesses(&self) -> Vec<(Weakness, &Segment)> {
        let groups: Vec<_> = self.groups.iter().map(|group| group.segments.clone()).collect();
        let found = weaknesses(&groups).into_iter();
        found.map(|weakness| (weakness, &self.groups[weakness.group].segments[weakness.segment])).collect()
    }

    /// Describes a segment: "last month's activity up to 60".
    pub fn name(&self, model: &Model, group: usize, segment: usize) -> String {
        let (predictor, effect, group) =
            (&model.schema.predictors()[group], &model.effects[group], &self.groups[group]);
        let label = wording::capitalised(&predictor.label);
        if segment + 1 == group.segments.len() {
            return format!("{label} missing");
        }
        match (effect, &group.cuts) {
            (Effect::Category(category), _) => match category.levels.get(segment) {
                Some(level) => format!("{label}: {}", level.name),
                None => format!("{label}: a level without training rows"),
            },
            (_, Some(cuts)) => {
                let cut = |index: usize| wording::value(predictor, &Value::Number(cuts[index]));
                match segment {
                    0 if cuts.is_empty() => format!("{label} known"),
                    0 => format!("{label} up to {}", cut(0)),
                    last if last >= cuts.len() => format!("{label} above {}", cut(cuts.len() - 1)),
                    middle => format!("{label} above {}, up to {}", cut(middle - 1), cut(middle)),
                }
            }
            _ => label,
        }
    }
}
