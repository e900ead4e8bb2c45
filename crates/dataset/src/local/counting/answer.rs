//! Questions about the values of a column, and their answers, found by visiting the values in ascending order.

/// A question about the values of a column.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The ranks whose values are kept, ascending and counted from 1; `None` keeps every value.
    pub ranks: Option<&'a [u64]>,
    /// Whether the most frequent value is needed, for which every value must be visited.
    pub mode: bool,
}

impl Question<'_> {
    /// Whether values after the first `before` up to rank `up_to` must be visited.
    pub fn concerns(&self, before: u64, up_to: u64) -> bool {
        self.mode || self.ranks.is_none_or(|ranks| ranks.get(after(ranks, before)).is_some_and(|rank| *rank <= up_to))
    }
}

/// Returns the index of the first rank above `before`.
fn after(ranks: &[u64], before: u64) -> usize {
    ranks.partition_point(|rank| *rank <= before)
}

/// An answer, or the part of it that a range of values contributes.
#[derive(Clone, Debug)]
pub struct Answer<'q> {
    question: &'q Question<'q>,
    /// The needed ranks above those of the visited values.
    ranks: &'q [u64],
    /// Number of values up to the last visited one.
    before: u64,
    /// Kept values with the number of values up to and including each.
    kept: Vec<(f64, u64)>,
    /// The most frequent visited value with its count; the smallest one of several.
    mode: (f64, u64),
}

impl<'q> Answer<'q> {
    /// Returns the answer before any value is visited.
    pub fn new(question: &'q Question) -> Self {
        Self { question, ranks: question.ranks.unwrap_or_default(), before: 0, kept: Vec::new(), mode: (0.0, 0) }
    }

    /// Continues after the first `before` values; those in between are not needed.
    pub fn skip_to(&mut self, before: u64) {
        self.ranks = &self.ranks[after(self.ranks, before)..];
        self.before = before;
    }

    /// Visits the next larger value, which occurs `count` times.
    #[inline]
    pub fn visit(&mut self, value: f64, count: u64) {
        self.before += count;
        if self.question.ranks.is_none() {
            self.kept.push((value, self.before));
        } else if self.ranks.first().is_some_and(|rank| *rank <= self.before) {
            self.kept.push((value, self.before));
            self.ranks = &self.ranks[after(self.ranks, self.before)..];
        }
        if count > self.mode.1 {
            self.mode = (value, count);
        }
    }

    /// Adds the answer of a range of larger values.
    pub fn append(&mut self, mut next: Self) {
        self.kept.append(&mut next.kept);
        if next.mode.1 > self.mode.1 {
            self.mode = next.mode;
        }
    }

    /// Returns the kept values, each with a count that includes the omitted values below it.
    pub fn counts(self) -> Vec<(f64, u64)> {
        let mut before = 0;
        let mut counts = self.kept;
        for (_, up_to) in &mut counts {
            *up_to -= std::mem::replace(&mut before, *up_to);
        }
        counts
    }

    /// Returns the median of `n` values, whose middle ranks must have been asked for.
    pub fn median(&self, n: u64) -> Option<f64> {
        let at = |rank: u64| self.kept.get(self.kept.partition_point(|(_, up_to)| *up_to < rank));
        let [low, high] = statistics::distribution::median_ranks(n);
        Some(at(low)?.0.midpoint(at(high)?.0))
    }

    /// Returns the most frequent value; the smallest one of several. `None` if no value was visited.
    pub fn mode(&self) -> Option<f64> {
        (self.mode.1 > 0).then_some(self.mode.0)
    }
}
