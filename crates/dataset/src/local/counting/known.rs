//! The known values of a column, in blocks of rows that threads read in parallel.

use std::ops::Range;
use std::sync::OnceLock;

use rayon::prelude::*;
use statistics::moments::Summable;

use super::number::Number;

/// Number of rows that one task reads at least. Sums are added per chunk, so they do not depend on the number of
/// threads.
const CHUNK: usize = 1 << 16;

/// Largest number of values in a block.
pub const BLOCK: usize = 1024;

/// Number of independent sums and extremes, which the processor computes at once.
const LANES: usize = 8;

/// Number of pieces per thread, so a thread that is delayed leaves pieces to others.
const PIECES_PER_THREAD: usize = 4;

/// Copies the keys of a block of values that are kept to the start of `keys` and returns their number. There is no
/// branch that the processor could mispredict.
#[inline]
pub fn keys_of<T: Number>(values: &[T], keys: &mut [T::Key; BLOCK], is_kept: impl Fn(u64) -> bool) -> usize {
    let mut n = 0;
    for value in values {
        let key = value.key();
        keys[n % BLOCK] = key; // the next key replaces it if it is not kept
        n += usize::from(is_kept(key.into()));
    }
    n
}

/// The known values of the selected rows of a column.
#[derive(Debug)]
pub struct Known<'a, T> {
    values: &'a [T],
    masks: [Option<&'a [u8]>; 2],
    n: u64,
    missing: u64,
    /// The smallest and the largest value, when they have been found.
    extremes: OnceLock<Option<(T, T)>>,
}

impl<'a, T: Number> Known<'a, T> {
    /// Returns the known values of a column, from the bitmaps of the known values and of the selected rows.
    pub fn new(values: &'a [T], masks: [Option<&'a [u8]>; 2]) -> Self {
        let mut known = Self { values, masks, n: 0, missing: 0, extremes: OnceLock::new() };
        let selected = known.ones([masks[1], None]);
        known.n = known.ones(masks);
        known.missing = selected - known.n;
        known
    }

    /// Returns the number of missing values.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Returns the number of rows, selected or not.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Calls `each` with the known values of some rows, one block after the other. `rows` starts at a multiple of 64.
    pub fn blocks(&self, rows: Range<usize>, mut each: impl FnMut(&[T])) {
        let values = &self.values[rows.clone()];
        if self.masks.iter().all(Option::is_none) {
            return values.chunks(BLOCK).for_each(each);
        }
        let mut known = [T::default(); BLOCK];
        for (block, values) in values.chunks(BLOCK).enumerate() {
            let mut n = 0;
            for (i, values) in values.chunks(64).enumerate() {
                let mut word = word(self.masks, (rows.start + block * BLOCK) / 64 + i);
                if word == u64::MAX && values.len() == 64 {
                    known[n..n + 64].copy_from_slice(values);
                    n += 64;
                    continue;
                }
                word &= u64::MAX >> (64 - values.len());
                while word != 0 {
                    known[n] = values[word.trailing_zeros() as usize];
                    n += 1;
                    word &= word - 1;
                }
            }
            each(&known[..n]);
        }
    }

    /// Returns the results of `of` for all chunks of rows, in the order of the rows.
    fn map_chunks<R: Send>(&self, of: impl Fn(Range<usize>) -> R + Send + Sync) -> Vec<R> {
        self.chunks().map(of).collect()
    }

    /// Returns all chunks of rows.
    pub fn chunks(&self) -> impl IndexedParallelIterator<Item = Range<usize>> {
        let len = self.len();
        (0..len.div_ceil(CHUNK)).into_par_iter().map(move |i| i * CHUNK..len.min((i + 1) * CHUNK))
    }

    /// Divides the rows into at most `most` pieces of consecutive rows, a few for each thread. No piece has more rows
    /// than a `u32` counts, so there may be more pieces of extremely many rows.
    pub fn pieces(&self, most: usize) -> Vec<Range<usize>> {
        let pieces = (PIECES_PER_THREAD * rayon::current_num_threads()).min(most).max(1);
        let size = self.len().div_ceil(pieces).next_multiple_of(CHUNK).clamp(CHUNK, 1 << 31);
        (0..self.len()).step_by(size).map(|start| start..self.len().min(start + size)).collect()
    }

    /// Returns the smallest and the largest key of the known values; `None` if no value is known.
    pub fn keys(&self) -> Option<(u64, u64)> {
        let (low, high) = self.extremes()?;
        Some((low.key().into(), high.key().into()))
    }

    /// Returns the smallest and the largest value, which the first call finds. Must not be called by parallel tasks
    /// that share the column.
    fn extremes(&self) -> Option<(T, T)> {
        *self.extremes.get_or_init(|| self.find_extremes())
    }

    fn find_extremes(&self) -> Option<(T, T)> {
        let of_chunk = |rows: Range<usize>| {
            let mut extremes: Option<([T; LANES], [T; LANES])> = None;
            self.blocks(rows, |values| {
                let Some(first) = values.first() else { return };
                let (low, high) = extremes.get_or_insert(([*first; LANES], [*first; LANES]));
                let mut include = |lane: usize, value: T| {
                    low[lane] = if value < low[lane] { value } else { low[lane] };
                    high[lane] = if value > high[lane] { value } else { high[lane] };
                };
                let (lanes, rest) = values.as_chunks::<LANES>();
                lanes.iter().for_each(|values| (0..LANES).for_each(|lane| include(lane, values[lane])));
                rest.iter().for_each(|value| include(0, *value));
            });
            extremes.map(|(low, high)| (extreme(low, |a, b| a < b), extreme(high, |a, b| a > b)))
        };
        self.map_chunks(of_chunk)
            .into_iter()
            .flatten()
            .reduce(|(low, high), (l, h)| (if l < low { l } else { low }, if h > high { h } else { high }))
    }

    /// Returns the keys of the known values among `most` evenly spaced rows.
    pub fn sample(&self, most: usize) -> Vec<u64> {
        let is_set = |mask: &[u8], row: usize| mask.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1);
        let rows = (0..self.len()).step_by(self.len().div_ceil(most).max(1));
        let known = rows.filter(|row| self.masks.iter().flatten().all(|mask| is_set(mask, *row)));
        known.map(|row| self.values[row].key().into()).collect()
    }

    /// Returns what is below and above a key.
    pub fn around(&self, key: u64) -> Around {
        let of_chunk = |rows| {
            let mut around = Around::default();
            self.blocks(rows, |values| {
                for value in values {
                    let value = value.key().into();
                    let (is_below, is_above) = (value < key, value > key);
                    around.below += u64::from(is_below);
                    around.above += u64::from(is_above);
                    around.largest_below = around.largest_below.max(if is_below { value } else { 0 });
                    around.smallest_above = around.smallest_above.min(if is_above { value } else { u64::MAX });
                }
            });
            around
        };
        self.map_chunks(of_chunk).into_iter().fold(Around::default(), |a, b| Around {
            below: a.below + b.below,
            above: a.above + b.above,
            largest_below: a.largest_below.max(b.largest_below),
            smallest_above: a.smallest_above.min(b.smallest_above),
        })
    }

    /// Counts the rows whose bits are set in all `masks`.
    fn ones(&self, masks: [Option<&[u8]>; 2]) -> u64 {
        if masks.iter().all(Option::is_none) {
            return self.len() as u64;
        }
        let ones = |rows: Range<usize>| {
            let words = rows.clone().step_by(64).map(|row| (row, word(masks, row / 64)));
            words
                .map(|(row, word)| (word & u64::MAX >> (64 - (rows.end - row).min(64))).count_ones() as u64)
                .sum::<u64>()
        };
        self.map_chunks(ones).into_iter().sum()
    }
}

/// The values below and above a key.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// Number of smaller values.
    pub below: u64,
    /// Number of larger values.
    pub above: u64,
    /// The largest key below; 0 if there is none.
    pub largest_below: u64,
    /// The smallest key above; `u64::MAX` if there is none.
    pub smallest_above: u64,
}

impl Default for Around {
    fn default() -> Self {
        Self { below: 0, above: 0, largest_below: 0, smallest_above: u64::MAX }
    }
}

impl<T: Number> Summable for Known<'_, T> {
    fn n(&self) -> u64 {
        self.n
    }

    fn range(&self) -> Option<(f64, f64)> {
        let (low, high) = self.extremes()?;
        Some((low.number(), high.number()))
    }

    fn sum(&self, term: impl Fn(f64) -> f64 + Sync) -> f64 {
        let of_chunk = |rows: Range<usize>| {
            let mut sums = [0.0; LANES];
            self.blocks(rows, |values| {
                let (lanes, rest) = values.as_chunks::<LANES>();
                for values in lanes {
                    for lane in 0..LANES {
                        sums[lane] += term(values[lane].number());
                    }
                }
                rest.iter().zip(&mut sums).for_each(|(value, sum)| *sum += term(value.number()));
            });
            sums.iter().sum::<f64>()
        };
        self.map_chunks(of_chunk).into_iter().sum()
    }
}

/// Returns the element that comes before all others.
fn extreme<T: Copy>(values: [T; LANES], is_before: impl Fn(T, T) -> bool) -> T {
    values.into_iter().fold(values[0], |first, value| if is_before(value, first) { value } else { first })
}

/// Returns bits 64 · `i` to 64 · `i` + 63 that are set in all masks; bits beyond the end of a mask are 0.
fn word(masks: [Option<&[u8]>; 2], i: usize) -> u64 {
    masks.into_iter().flatten().fold(u64::MAX, |word, mask| {
        let bytes = mask.get(8 * i..).unwrap_or_default();
        word & match bytes.first_chunk() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        }
    })
}
