//! Division of the range of the keys into parts that contain few values, and of these into bins that are sorted one by
//! one. Nothing is collected yet.
//!
//! The first pass over the column counts the values by the highest bits of their keys' offsets from the smallest key.
//! Every further pass counts the values of the parts that are still too large by the next bits, so at most about eight
//! passes are needed, whatever the values. Too many equal values end up in a part of a single key, which is never
//! collected. A value that is frequent in a sample is separated before the first pass, which saves several passes.

use std::ops::Range;

use rayon::prelude::*;
use statistics::moments::Summable;

use super::answer::Question;
use super::dense::add;
use super::known::{BLOCK, Known, keys_of};
use super::number::Number;

/// Binary logarithm of the number of counts of a pass.
const BITS: u32 = 16;

/// Fewest bits by which a pass divides a part.
const FEWEST_BITS: u32 = 4;

/// Number of values up to which the range is not divided.
const FEW: usize = 1 << 14;

/// Number of full bins that are collected at a time. The more there are, the better they are spread over the threads.
const BINS: usize = 32;

/// Number of rows in the sample.
const SAMPLE: usize = 1024;

/// A value is frequent if this share of the sample is equal to it, as a divisor.
const FREQUENT: usize = 32;

/// The key of no value.
const NO_KEY: u64 = u64::MAX;

/// A range of keys with a width of a power of two.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The smallest key of the range.
    pub first: u64,
    /// Binary logarithm of the number of keys in the range.
    width: u32,
    /// Number of values with smaller keys.
    pub before: u64,
    /// Number of values in the range.
    pub count: u64,
}

impl Part {
    fn of(first: u64, width: u32, before: u64, count: u64) -> Self {
        Self { first, width, before, count }
    }

    /// Returns the largest key of the range.
    pub fn last(&self) -> u64 {
        self.first.saturating_add(u64::MAX.checked_shr(64 - self.width).unwrap_or(0))
    }

    /// Returns the number of values that must be collected: none if the range is a single key.
    pub fn to_collect(self) -> usize {
        if self.width == 0 { 0 } else { self.count as usize }
    }
}

/// Consecutive parts whose values are sorted together.
#[derive(Clone, Debug)]
pub struct Bin {
    /// The parts, as a range of [`Parts::needed`].
    pub parts: Range<usize>,
    /// Number of values to be collected.
    pub to_collect: usize,
}

/// The parts that contain needed values.
#[derive(Debug)]
pub struct Parts {
    /// The needed parts in ascending order.
    pub needed: Vec<Part>,
    /// The bins in ascending order.
    pub bins: Vec<Bin>,
    /// The divisions, from the highest bits down. The nodes of the first level are the range below `frequent` and, if
    /// there is a frequent value, that above it.
    levels: Vec<Level>,
    /// The smallest keys of the nodes of the first level.
    lowest: [u64; 2],
    /// The key of a frequent value, which is not collected; [`NO_KEY`] if there is none.
    pub frequent: u64,
}

/// The division of some ranges of the same width, the *nodes* of this level, by the next bits of the keys.
#[derive(Debug)]
struct Level {
    /// Number of bits of a key below those that divide.
    shift: u32,
    /// Number of bits that divide.
    bits: u32,
    /// What each division of each node is: the number of a node of the next level, [`COLLECTED`] plus the number of a
    /// bin, or [`SKIPPED`].
    entries: Vec<u32>,
}

/// A part whose values are collected, in the first bin.
const COLLECTED: u32 = 1 << 31;

/// A range without a value, one that is not needed, or a single key.
const SKIPPED: u32 = u32::MAX;

impl Level {
    fn index(&self, node: u32, offset: u64) -> usize {
        (node as usize) << self.bits | (offset >> self.shift) as usize & ((1 << self.bits) - 1)
    }
}

impl Parts {
    /// Divides the range of the known values. If only some ranks are needed, at most `most` values are collected;
    /// otherwise the values of each bin are at most `most`, and usually far fewer. `None` if no value is known.
    pub fn of<T: Number>(known: &Known<T>, question: &Question, most: usize) -> Option<Self> {
        let (low, high) = known.keys()?;
        let n = known.n();
        let undivided = most.min(FEW);
        let mut parts =
            Self { needed: Vec::new(), bins: Vec::new(), levels: Vec::new(), lowest: [low; 2], frequent: NO_KEY };
        if n as usize <= undivided {
            parts.needed.push(Part::of(low, width(low, high), 0, n));
        } else {
            let mut nodes = parts.ranges(known, question, (low, high));
            while !nodes.is_empty() {
                nodes = parts.divide(known, question, most, &nodes);
            }
            parts.needed.sort_unstable_by_key(|part| part.before);
        }
        parts.fill_bins((most / BINS).max(undivided));
        Some(parts)
    }

    /// Returns the whole range, or the ranges below and above a frequent value, with the same width.
    fn ranges<T: Number>(&mut self, known: &Known<T>, question: &Question, (low, high): (u64, u64)) -> Vec<Part> {
        let n = known.n();
        let mut sample = known.sample(SAMPLE);
        sample.sort_unstable();
        let runs = sample.chunk_by(|a, b| a == b).filter(|run| run.len() >= sample.len().div_ceil(FREQUENT).max(2));
        let Some(run) = runs.max_by_key(|run| run.len()) else { return vec![Part::of(low, width(low, high), 0, n)] };
        let frequent = run[0];
        let around = known.around(frequent);
        let not_above = n - around.above;
        if question.concerns(around.below, not_above) {
            self.needed.push(Part::of(frequent, 0, around.below, not_above - around.below));
        }
        (self.frequent, self.lowest) = (frequent, [low, around.smallest_above]);
        let below = if around.below > 0 { width(low, around.largest_below) } else { 0 };
        let above = if around.above > 0 { width(around.smallest_above, high) } else { 0 };
        let width = below.max(above);
        vec![Part::of(low, width, 0, around.below), Part::of(around.smallest_above, width, not_above, around.above)]
    }

    /// Returns the number of the bin for a value with this key; `None` if it is not collected.
    pub fn bin(&self, key: u64) -> Option<usize> {
        let (node, offset) = self.root(key);
        match self.find(node, offset) {
            _ if self.levels.is_empty() => Some(0),
            SKIPPED => None,
            found => Some((found - COLLECTED) as usize),
        }
    }

    /// Returns the node of the first level that contains a key, and the offset in it.
    fn root(&self, key: u64) -> (u32, u64) {
        let is_above = key > self.frequent;
        (u32::from(is_above), key.wrapping_sub(self.lowest[usize::from(is_above)]))
    }

    /// Returns the entry, in the lowest level that divides it, of an offset in a node of the first level. Returns the
    /// node itself if there is no level.
    fn find(&self, node: u32, offset: u64) -> u32 {
        let mut found = node;
        for level in &self.levels {
            found = level.entries[level.index(found, offset)];
            if found >= COLLECTED {
                break;
            }
        }
        found
    }

    /// Divides the needed parts into bins of at most `most` values to be collected, or one part.
    fn fill_bins(&mut self, most: usize) {
        let mut bin = Bin { parts: 0..0, to_collect: 0 };
        for (i, part) in self.needed.iter().enumerate() {
            if bin.to_collect + part.to_collect() > most && !bin.parts.is_empty() {
                self.bins.push(bin);
                bin = Bin { parts: i..i, to_collect: 0 };
            }
            bin.parts.end = i + 1;
            bin.to_collect += part.to_collect();
            if part.to_collect() == 0 {
                continue;
            }
            let (mut node, offset) = self.root(part.first);
            for level in &mut self.levels {
                let index = level.index(node, offset);
                node = level.entries[index];
                if node >= COLLECTED {
                    level.entries[index] = COLLECTED + self.bins.len() as u32;
                    break;
                }
            }
        }
        self.bins.push(bin);
    }

    /// Adds a level, which divides `nodes`, and returns the divisions that are still too large.
    fn divide<T: Number>(&mut self, known: &Known<T>, question: &Question, most: usize, nodes: &[Part]) -> Vec<Part> {
        let few_ranks = question.ranks.filter(|_| !question.mode);
        let most_in_part = (most / few_ranks.map_or(BINS, <[u64]>::len).max(1)).max(1) as u64;
        let width = nodes[0].width;
        let bits = BITS.saturating_sub(nodes.len().next_power_of_two().ilog2()).max(FEWEST_BITS).min(width);
        let mut level = Level { shift: width - bits, bits, entries: Vec::new() };
        let counts = self.count(known, &level, nodes.len());
        let mut too_large = Vec::new();
        for (node, counts) in nodes.iter().zip(counts.chunks(1 << bits)) {
            let mut before = node.before;
            for (digit, count) in (0..).zip(counts) {
                let part = Part::of(node.first.wrapping_add(digit << level.shift), level.shift, before, *count);
                before += count;
                level.entries.push(if *count == 0 || !question.concerns(part.before, before) {
                    SKIPPED
                } else if part.width == 0 {
                    self.needed.push(part);
                    SKIPPED
                } else if *count <= most_in_part {
                    self.needed.push(part);
                    COLLECTED
                } else {
                    too_large.push(part);
                    too_large.len() as u32 - 1
                });
            }
        }
        // If all fit, it is faster to sort them than to divide them in another pass.
        let to_collect = self.needed.iter().chain(&too_large).map(|part| part.to_collect()).sum::<usize>();
        if few_ranks.is_some() && to_collect <= most {
            level.entries.iter_mut().filter(|entry| **entry < COLLECTED).for_each(|entry| *entry = COLLECTED);
            self.needed.append(&mut too_large);
        }
        self.levels.push(level);
        too_large
    }

    /// Counts the values in each division of each node of the next level.
    fn count<T: Number>(&self, known: &Known<T>, level: &Level, nodes: usize) -> Vec<u64> {
        // Whether the key may be in a node, according to the first level.
        let may_count = |key| {
            let (node, offset) = self.root(key);
            let is_in_node = |first: &Level| first.entries[first.index(node, offset)] < COLLECTED;
            (key != self.frequent) & self.levels.first().is_none_or(is_in_node)
        };
        let of_piece = |piece| {
            let mut counts = vec![0u32; nodes << level.bits];
            let mut keys = [T::Key::default(); BLOCK];
            known.blocks(piece, |values| {
                let n = keys_of(values, &mut keys, may_count);
                for key in &keys[..n] {
                    let (node, offset) = self.root((*key).into());
                    let node = self.find(node, offset);
                    if node < COLLECTED {
                        counts[level.index(node, offset)] += 1;
                    }
                }
            });
            counts.into_iter().map(u64::from).collect::<Vec<u64>>()
        };
        known.pieces(usize::MAX).into_par_iter().map(of_piece).reduce(Vec::new, add)
    }
}

/// Returns the binary logarithm of the number of keys in a range, rounded up.
fn width(low: u64, high: u64) -> u32 {
    u64::BITS - (high - low).leading_zeros()
}
