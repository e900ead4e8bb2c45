//! How sure the system may be of what it reports: how well a model ranks, how far a score may be off, whether clients
//! or scores have changed, and what moves one client's probability.
//!
//! Pure functions: no file, no clock, no thread. What holds in every module:
//!
//! - `None` means that the question has no answer (no row, one class, a variance of nothing); each function says when.
//! - Whatever draws at random takes a `seed`; the same seed gives the same answer.
//! - A missing value is `None`; a value that is not finite counts as missing.
//! - Intervals cover 95 %.
//!
//! `golden/make.py` makes the reference answers of scikit-learn and SciPy that the tests hold this crate to.

#![warn(missing_docs)]

pub mod confusion;
pub mod distribution;
pub mod interval;
pub mod odds;
pub mod ranking;
pub mod shift;
pub mod sketch;
pub mod trend;

mod quantile;
mod random;
mod special;
