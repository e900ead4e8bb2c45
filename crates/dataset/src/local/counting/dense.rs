//! Counts of numbers within a small range, in a table with an entry for every key.

use rayon::prelude::*;

use super::answer::{Answer, Question};
use super::known::Known;
use super::number::Number;

/// Largest number of entries of a table.
const MOST_ENTRIES: u64 = 1 << 22;

/// Number of entries that a table may have however few the values are.
const FEW_ENTRIES: u64 = 1 << 10;

/// Number of entries up to which a task fills [`COPIES`] of the table, which fit into the processor's cache.
const COPIED_ENTRIES: u64 = 1 << 16;

/// Number of tables that one task fills in turn, because increments of the same entry wait for each other.
const COPIES: usize = 4;

/// Number of bytes per entry that a task needs, for its own counts and the sum.
const BYTES_PER_ENTRY: usize = 24;

/// Number of bytes that the tables of all tasks may take, in addition to one byte per row.
const BYTES: usize = 1 << 26;

/// Number of occurrences of each key.
pub struct DenseCounts {
    /// The key of the first entry.
    first: u64,
    counts: Vec<u64>,
    /// Returns the number of a key.
    of_key: fn(u64) -> f64,
}

impl DenseCounts {
    /// Counts the known values; `None` if the range of their keys is large.
    pub fn of<T: Number>(known: &Known<T>) -> Option<Self> {
        let all = T::ALL.filter(|(first, last)| last - first < known.len() as u64); // saves a pass
        let Some((first, last)) = all.or_else(|| known.keys()) else {
            return Some(Self { first: 0, counts: Vec::new(), of_key: T::of_key });
        };
        let most = MOST_ENTRIES.min(FEW_ENTRIES.max(known.len() as u64));
        (last - first < most).then(|| Self {
            first,
            counts: count(known, first, (last - first) as usize + 1),
            of_key: T::of_key,
        })
    }

    /// Returns the values with their counts if at most `most` are distinct.
    pub fn few(&self, most: usize) -> Option<Vec<(f64, u64)>> {
        let distinct = self.counts.iter().filter(|count| **count > 0).count();
        (distinct <= most).then(|| self.runs().collect())
    }

    /// Answers a question about the values.
    pub fn answer<'q>(&self, question: &'q Question) -> Answer<'q> {
        let mut answer = Answer::new(question);
        self.runs().for_each(|(value, count)| answer.visit(value, count));
        answer
    }

    fn runs(&self) -> impl Iterator<Item = (f64, u64)> {
        let entries = (self.first..).zip(&self.counts).filter(|(_, count)| **count > 0);
        entries.map(|(key, count)| ((self.of_key)(key), *count))
    }
}

/// Counts the keys from `first` on in a table of `entries`.
fn count<T: Number>(known: &Known<T>, first: u64, entries: usize) -> Vec<u64> {
    let index = |value: T| (value.key().into() - first) as usize;
    let in_copies = |piece| {
        let mut counts = vec![0u32; COPIES * entries];
        let (a, others) = counts.split_at_mut(entries);
        let (b, others) = others.split_at_mut(entries);
        let (c, d) = others.split_at_mut(entries);
        known.blocks(piece, |values| {
            let (fours, rest) = values.as_chunks::<COPIES>();
            for values in fours {
                a[index(values[0])] += 1;
                b[index(values[1])] += 1;
                c[index(values[2])] += 1;
                d[index(values[3])] += 1;
            }
            rest.iter().for_each(|value| a[index(*value)] += 1);
        });
        let sum = |i| [&*a, &*b, &*c, &*d].into_iter().map(|counts| u64::from(counts[i])).sum();
        (0..entries).map(sum).collect::<Vec<u64>>()
    };
    let in_one = |piece| {
        let mut counts = vec![0u32; entries];
        known.blocks(piece, |values| values.iter().for_each(|value| counts[index(*value)] += 1));
        counts.into_iter().map(u64::from).collect::<Vec<u64>>()
    };
    let of_piece = |piece| if entries as u64 <= COPIED_ENTRIES { in_copies(piece) } else { in_one(piece) };
    let most = (known.len() + BYTES) / (BYTES_PER_ENTRY * entries);
    known.pieces(most).into_par_iter().map(of_piece).reduce(Vec::new, add)
}

/// Adds the counts of two tables; a table without entries counts nothing.
pub fn add(mut a: Vec<u64>, b: Vec<u64>) -> Vec<u64> {
    if a.is_empty() {
        return b;
    }
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    a
}
