//! Counts of numbers of any size, few of which are distinct, in a hash table.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::known::Known;
use super::number::Number;

/// Number of bytes per distinct value that a task needs.
const BYTES_PER_VALUE: usize = 40;

/// Number of bytes that the hash tables of all tasks may take, in addition to one byte per row.
const BYTES: usize = 1 << 26;

/// Returns the largest number of distinct values for which the hash tables of all threads take little memory.
pub fn most_counted<T: Number>(known: &Known<T>) -> usize {
    (known.len() + BYTES) / (BYTES_PER_VALUE * rayon::current_num_threads())
}

/// Returns the distinct known values in ascending order with their counts if at most `most` are distinct.
///
/// If more are distinct, this is usually noticed after a small part of the rows.
pub fn few<T: Number>(known: &Known<T>, most: usize) -> Option<Vec<(f64, u64)>> {
    let hashing = Hashing { key: RandomState::new().hash_one(0) };
    let too_many = AtomicBool::new(false);
    let of_piece = |piece| {
        let mut counts = KeyCounts::with_hasher(hashing);
        known.blocks(piece, |values| {
            if too_many.load(Ordering::Relaxed) {
                return;
            }
            values.iter().for_each(|value| *counts.entry(value.key().into()).or_default() += 1);
            if counts.len() > most {
                too_many.store(true, Ordering::Relaxed);
            }
        });
        counts
    };
    let none = || KeyCounts::with_hasher(hashing);
    let add = |a: KeyCounts, b: KeyCounts| {
        if too_many.load(Ordering::Relaxed) {
            return none();
        }
        let counts = add(a, b);
        too_many.fetch_or(counts.len() > most, Ordering::Relaxed);
        counts
    };
    let counts =
        known.pieces((known.len() + BYTES) / (BYTES_PER_VALUE * most)).into_par_iter().map(of_piece).reduce(none, add);
    if too_many.load(Ordering::Relaxed) {
        return None;
    }
    let mut counts: Vec<(u64, u64)> = counts.into_iter().collect();
    counts.sort_unstable();
    Some(counts.into_iter().map(|(key, count)| (T::of_key(key), count)).collect())
}

/// Number of occurrences of each key.
type KeyCounts = HashMap<u64, u64, Hashing>;

/// Adds the counts of two pieces.
fn add(a: KeyCounts, b: KeyCounts) -> KeyCounts {
    let (mut more, fewer) = if a.len() < b.len() { (b, a) } else { (a, b) };
    fewer.into_iter().for_each(|(key, count)| *more.entry(key).or_default() += count);
    more
}

/// Hashes a key by one multiplication. The factor is another one in every call, so that values cannot be chosen to
/// collide; the counts do not depend on it.
#[derive(Clone, Copy)]
struct Hashing {
    key: u64,
}

impl BuildHasher for Hashing {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.key)
    }
}

/// The state of [`Hashing`].
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, key: u64) {
        let product = u128::from(key ^ self.0) * u128::from(self.0 | 1);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
