//! Reading the numbers of a column as `f64`, whatever their type is.

use std::ops::Range;

use rayon::prelude::*;

use crate::local::counting::{NumberColumn, Numbers};

/// Evaluates an expression with the slice of numbers, whatever their type is.
macro_rules! of_slice {
    ($numbers:expr, $slice:ident => $result:expr) => {
        match $numbers {
            Numbers::U8($slice) => $result,
            Numbers::U16($slice) => $result,
            Numbers::I32($slice) => $result,
            Numbers::F64($slice) => $result,
        }
    };
}

impl Numbers<'_> {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        of_slice!(self, numbers => numbers.len())
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of a row.
    pub fn get(&self, row: usize) -> f64 {
        match self {
            Self::U8(numbers) => f64::from(numbers[row]),
            Self::U16(numbers) => f64::from(numbers[row]),
            Self::I32(numbers) => f64::from(numbers[row]),
            Self::F64(numbers) => numbers[row],
        }
    }

    /// Calls `put` with each place in `to` and the number of the row that belongs to it, from the first row of `rows`
    /// on.
    pub fn each<T>(&self, rows: Range<usize>, to: &mut [T], put: impl Fn(&mut T, f64)) {
        fn each<A: Copy, T>(numbers: &[A], to: &mut [T], put: impl Fn(&mut T, A)) {
            to.iter_mut().zip(numbers).for_each(|(to, number)| put(to, *number));
        }
        match self {
            Self::U8(numbers) => each(&numbers[rows], to, |to, number| put(to, number.into())),
            Self::U16(numbers) => each(&numbers[rows], to, |to, number| put(to, number.into())),
            Self::I32(numbers) => each(&numbers[rows], to, |to, number| put(to, number.into())),
            Self::F64(numbers) => each(&numbers[rows], to, put),
        }
    }

    /// Returns a function of every number.
    pub fn map(&self, function: impl Fn(f64) -> f64 + Sync) -> Vec<f64> {
        (0..self.len()).into_par_iter().map(|row| function(self.get(row))).collect()
    }
}

impl NumberColumn<'_> {
    /// Returns the number of a row; `None` if it is missing.
    pub fn get(&self, row: usize) -> Option<f64> {
        self.known.is_none_or(|known| is_set(known, row)).then(|| self.numbers.get(row))
    }

    /// Returns the number of each row; `None` where it is missing.
    pub fn iter(&self) -> impl Iterator<Item = Option<f64>> {
        (0..self.numbers.len()).map(|row| self.get(row))
    }
}

/// Returns bit `row` of a bitmap as Arrow has it.
pub fn is_set(bits: &[u8], row: usize) -> bool {
    bits[row / 8] >> (row % 8) & 1 == 1
}
