//! Replaced by the kernel of any number of terms.

use crate::Sample;
use crate::basis::Basis;
use crate::design::Design;
use crate::likelihood::Sums;

/// The training rows.
pub struct Rows<'a> {
    /// Design.
    pub design: &'a Design,
    /// Numbers.
    pub numbers: Vec<&'a [f64]>,
    /// Levels.
    pub levels: Vec<&'a [u32]>,
    /// Target.
    pub target: &'a [f64],
}

impl Rows<'_> {
    /// Sums.
    pub fn sums(&self, _: &Basis, _: &[f64]) -> Sums {
        unimplemented!()
    }
    /// Sample.
    pub fn sample(&self, _: usize) -> Sample {
        unimplemented!()
    }
}
