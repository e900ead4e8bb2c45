//! Runs of equal values, found by collecting and sorting the values of a few parts of the range at a time.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::answer::{Answer, Question};
use super::known::{BLOCK, Known, keys_of};
use super::number::Number;
use super::parts::{Bin, Part, Parts};

/// Number of values that may always be collected at a time.
const FEW: usize = 1 << 20;

/// Number of collected values of a bin that a task keeps before it copies them into the bin.
const OWN: usize = 256;

/// Returns the number of values of a column to collect at a time: about one byte per row.
pub fn most_collected<T: Number>(known: &Known<T>) -> usize {
    FEW.max(known.len() / size_of::<T::Key>())
}

/// Answers a question about the values and collects at most `most` of them at a time.
pub fn answer<'q, T: Number>(known: &Known<T>, question: &'q Question, most: usize) -> Answer<'q> {
    let mut answer = Answer::new(question);
    let Some(parts) = Parts::of(known, question, most) else { return answer };
    let groups = groups(&parts.bins, most);
    let mut buffer = vec![T::Key::default(); groups.iter().map(|bins| to_collect(bins)).max().unwrap_or(0)];
    let mut first = 0;
    for bins in groups {
        let answers: Vec<Answer> = collect(known, &parts, bins, first, &mut buffer)
            .into_par_iter()
            .zip(bins)
            .map(|(keys, bin)| {
                keys.sort_unstable();
                visit::<T>(&parts.needed[bin.parts.clone()], keys, question)
            })
            .collect();
        answers.into_iter().for_each(|next| answer.append(next));
        first += bins.len();
    }
    answer
}

/// Divides the bins into groups of consecutive ones, whose values to be collected are at most `most`, or one bin.
pub fn groups(bins: &[Bin], most: usize) -> Vec<&[Bin]> {
    let mut collected = bins.first().map_or(0, |bin| bin.to_collect);
    let fits = |_: &Bin, next: &Bin| {
        collected += next.to_collect;
        let fits = collected <= most;
        if !fits {
            collected = next.to_collect;
        }
        fits
    };
    bins.chunk_by(fits).collect()
}

/// Returns the number of values to be collected.
pub fn to_collect(bins: &[Bin]) -> usize {
    bins.iter().map(|bin| bin.to_collect).sum()
}

/// Copies the keys of the values of `bins`, of which the first one has the number `first`, into consecutive parts of
/// `buffer`, in any order within a bin.
fn collect<'b, T: Number>(
    known: &Known<T>,
    parts: &Parts,
    bins: &[Bin],
    first: usize,
    mut buffer: &'b mut [T::Key],
) -> Vec<&'b mut [T::Key]> {
    let mut cut = |bin: &Bin| buffer.split_off_mut(..bin.to_collect).unwrap_or_default();
    let keys: Vec<&mut [T::Key]> = bins.iter().map(&mut cut).collect();
    let collected =
        || bins.iter().flat_map(|bin| &parts.needed[bin.parts.clone()]).filter(|part| part.to_collect() > 0);
    let (Some(lowest), Some(highest)) = (collected().next(), collected().next_back()) else { return keys };
    let (low, width, frequent) = (lowest.first, highest.last() - lowest.first, parts.frequent);

    let filled: Vec<Mutex<Filled<T::Key>>> = keys.into_iter().map(|keys| Mutex::new(Filled { keys, n: 0 })).collect();
    let empty = || vec![Vec::with_capacity(OWN); bins.len()];
    let of_chunk = |mut own: Vec<Vec<T::Key>>, chunk| {
        known.blocks(chunk, |values| {
            let mut within = [T::Key::default(); BLOCK];
            let n = keys_of(values, &mut within, |key| (key.wrapping_sub(low) <= width) & (key != frequent));
            for key in &within[..n] {
                if let Some(bin) = parts.bin((*key).into()) {
                    own[bin - first].push(*key);
                    if own[bin - first].len() == OWN {
                        Filled::append(&filled[bin - first], &mut own[bin - first]);
                    }
                }
            }
        });
        own
    };
    let of_all = known.chunks().fold(empty, of_chunk);
    of_all.for_each(|mut own| filled.iter().zip(&mut own).for_each(|(filled, own)| Filled::append(filled, own)));
    filled.into_iter().map(|filled| filled.into_inner().unwrap_or_else(PoisonError::into_inner).keys).collect()
}

/// A bin that tasks fill.
struct Filled<'b, K> {
    keys: &'b mut [K],
    /// Number of keys so far.
    n: usize,
}

impl<K: Copy> Filled<'_, K> {
    /// Moves the keys of `own` to the bin.
    fn append(filled: &Mutex<Self>, own: &mut Vec<K>) {
        let mut filled = filled.lock().unwrap_or_else(PoisonError::into_inner);
        let n = filled.n;
        filled.keys[n..n + own.len()].copy_from_slice(own);
        filled.n += own.len();
        own.clear();
    }
}

/// Visits the values of consecutive parts, whose collected keys are sorted.
fn visit<'q, T: Number>(parts: &[Part], keys: &[T::Key], question: &'q Question) -> Answer<'q> {
    let mut answer = Answer::new(question);
    let mut rest = keys;
    for part in parts {
        answer.skip_to(part.before);
        if part.to_collect() == 0 {
            answer.visit(T::of_key(part.first), part.count);
        }
        let (keys, others) = rest.split_at(part.to_collect());
        rest = others;
        for run in keys.chunk_by(|a, b| a == b) {
            answer.visit(T::of_key(run[0].into()), run.len() as u64);
        }
    }
    answer
}
