//! The statistics behind the figures that the system reports: how well a model ranks, how uncertain a score is, what
//! score to expect before labels arrive, whether clients or scores have changed, and how much each predictor contributes
//! to a client's probability.
//!
//! The crate consists of pure functions: no files, no clock, no threads. These rules hold in every module:
//!
//! - `None` means that the question has no answer (no row, only one class, a variance of zero); each function documents
//!   when.
//! - Every function that draws random numbers takes a `seed`; the same seed gives the same answer.
//! - A missing value is `None`; a value that is not finite counts as missing.
//! - Intervals have a nominal coverage of 95 %.
//!
//! `golden/make.py` creates the reference values of scikit-learn and SciPy for the tests of this crate, and
//! `golden/make_nannyml.py` those of NannyML.

#![warn(missing_docs)]

pub mod calibration;
pub mod conditional;
pub mod confusion;
pub mod distribution;
pub mod expected;
pub mod interval;
pub mod levels;
pub mod moments;
pub mod odds;
pub mod paired;
pub mod ranking;
pub mod segments;
pub mod shift;
pub mod sketch;
pub mod stratified;
pub mod trend;

mod quantile;
mod random;
mod special;
