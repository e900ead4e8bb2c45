//! Stub, replaced.
use crate::newton::Spread;
use anyhow::Result;
use common::config::Regularization;
use dataset::TrainingRows;
pub fn starts(_: &dyn TrainingRows, _: &Spread, _: Regularization) -> Result<Vec<Vec<f64>>> {
    unimplemented!()
}
