//! The sections of the report, in the order of the reader's questions.

mod calls;
mod data;
mod effect;
mod estimate;
mod front;
mod model;
mod promotion;
mod segments;

use crate::evidence::Evidence;
use crate::figures::Figures;
use crate::section::Section;

pub use self::calls::calls;
pub use self::front::{front, other_calls};

/// Everything about the live model and its data. Today's calls are a section of their own: see [`calls`].
pub fn sections(evidence: &Evidence, figures: &Figures) -> Vec<Section> {
    vec![
        model::model(evidence),
        model::quality(evidence, figures),
        segments::segments(evidence),
        promotion::promotion(evidence),
        model::drift(evidence),
        estimate::estimate(evidence),
        effect::effect(evidence),
        data::data(evidence),
        data::trends(figures),
        data::dependencies(evidence),
    ]
}
