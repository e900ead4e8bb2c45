//! Stub, replaced.
use crate::objective::PenalisedLikelihood;
use anyhow::Result;
use dataset::TrainingRows;
use dataset::TrainingSummary;
use dataset::design::Design;

pub struct Spread {
    pub centre: Vec<f64>,
    pub standard_deviation: Vec<f64>,
}
pub struct Optimum {
    pub coefficients: Vec<f64>,
    pub intercept: f64,
    pub standard_errors: Vec<f64>,
    pub log_likelihood: f64,
    pub gradient_norm: f64,
    pub newton_decrement: f64,
    pub relative_error: f64,
    pub steps: u32,
}
pub fn minimise(_: &PenalisedLikelihood, _: &Design, _: &Spread, _: &[f64]) -> Result<Result<Optimum, String>> {
    unimplemented!()
}
impl Spread {
    pub fn of(_: &TrainingSummary, _: &[common::schema::Predictor]) -> Self {
        unimplemented!()
    }
}
pub fn _u(_: &dyn TrainingRows) {}
