//! Distributions, quantiles and statistics of columns of numbers in memory, without sorting or copying a whole column.
//!
//! Numbers within a small range are counted in a table (`dense`), and those of which few are distinct in a hash table
//! (`few`). Otherwise the range is divided, by counting, into parts of few values (`parts`); only the parts that
//! contain a needed rank are collected and sorted (`sorted`). Tables and collected values take at most about one byte
//! per row and 64 MiB, and the results do not depend on the number of threads.

mod answer;
mod dense;
mod few;
mod known;
mod number;
mod parts;
mod sorted;
mod summary;

use statistics::distribution::Distribution;
use statistics::sketch::Sketch;

use crate::ColumnStatistics;
#[cfg(doc)]
use crate::MOST_VALUES;
use known::Known;

/// The numbers of a column, in the narrowest type that holds all of them exactly. All are finite, and none is −0.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// Integers from 0 to 255.
    U8(&'a [u8]),
    /// Integers from 0 to 65,535.
    U16(&'a [u16]),
    /// Integers of 32 bits with a sign.
    I32(&'a [i32]),
    /// Numbers of 64 bits, of any size and with decimals.
    F64(&'a [f64]),
}

/// A column of numbers, or some of its rows.
///
/// The methods use rayon's current thread pool.
#[derive(Clone, Copy, Debug)]
pub struct NumberColumn<'a> {
    /// The number of each row; any number where it is unknown.
    pub numbers: Numbers<'a>,
    /// Whether the number of each row is known: bit i % 8 of byte i / 8, as in Arrow; `None` if all are.
    pub known: Option<&'a [u8]>,
    /// The rows that belong to the column, as a bitmap of the same form; `None` if all do.
    pub within: Option<&'a [u8]>,
}

/// Evaluates an expression with `$known` as the [`Known`] of a column, whatever the type of its numbers.
macro_rules! of_any_type {
    ($column:expr, $known:ident => $result:expr) => {{
        let masks = [$column.known, $column.within];
        match $column.numbers {
            Numbers::U8(values) => {
                let $known = Known::new(values, masks);
                $result
            }
            Numbers::U16(values) => {
                let $known = Known::new(values, masks);
                $result
            }
            Numbers::I32(values) => {
                let $known = Known::new(values, masks);
                $result
            }
            Numbers::F64(values) => {
                let $known = Known::new(values, masks);
                $result
            }
        }
    }};
}

impl<'a> NumberColumn<'a> {
    /// Returns a column of all rows.
    pub fn new(numbers: Numbers<'a>, known: Option<&'a [u8]>) -> Self {
        Self { numbers, known, within: None }
    }

    /// Returns the column of only the given rows, as a bitmap; `None` for all.
    pub fn within(self, rows: Option<&'a [u8]>) -> Self {
        Self { within: rows, ..self }
    }

    /// Returns the number of missing values.
    pub fn missing(&self) -> u64 {
        of_any_type!(self, known => known.missing())
    }

    /// Counts every distinct value, like [`Distribution::of`]. The result takes 16 bytes per distinct value.
    pub fn distribution(&self) -> Distribution {
        of_any_type!(self, known => summary::distribution(&known))
    }

    /// Summarises the values, like [`Sketch::of`]: the same sketch, except that the last digits of mean and standard
    /// deviation may differ if there are more than [`MOST_VALUES`] distinct values. `None` if no value is known.
    pub fn sketch(&self) -> Option<Sketch> {
        of_any_type!(self, known => summary::sketch(&known))
    }

    /// Returns the median, like [`Distribution::median`]. `None` if no value is known.
    pub fn median(&self) -> Option<f64> {
        of_any_type!(self, known => summary::median(&known))
    }

    /// Computes the statistics of the known values, as pandas defines them, for the column named `column`. A standard
    /// deviation above `f64::MAX` is given as `f64::MAX`.
    pub fn statistics(&self, column: &str) -> ColumnStatistics {
        of_any_type!(self, known => summary::statistics(&known, column.to_owned()))
    }
}

#[cfg(test)]
mod tests;
