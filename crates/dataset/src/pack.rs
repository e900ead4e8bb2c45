//! Categories, several of which share one code, so that a row adds to few cells of a table of sums.
//!
//! The Hessian has an entry for each pair of levels, about a thousand for 45 terms. Five categories with three levels have
//! 243 combinations; a row adds once to the cell of its combination, and the sums by level follow from those of the cells.

use std::ops::Range;

use crate::design::Design;

/// Largest number of codes of a pack of several categories. More codes mean fewer packs, so that a row belongs to fewer
/// cells, but larger tables, which must stay in the cache or be sent by a cluster.
const MOST_CODES: usize = 64;

/// Consecutive categories with a common code: the sum of each level times the stride of its category.
pub struct Pack {
    pub categories: Range<usize>,
    /// What one level of each category adds to the code.
    pub strides: Vec<usize>,
    /// How many codes there are: the product of the level counts.
    pub codes: usize,
}

impl Pack {
    /// Distributes the categories of `design` to packs, in their order.
    pub fn all(design: &Design) -> Vec<Self> {
        let mut packs: Vec<Self> = Vec::new();
        for (index, category) in design.categories().iter().enumerate() {
            match packs.last_mut() {
                Some(pack) if pack.codes * category.levels <= MOST_CODES => pack.add(index, category.levels),
                _ => {
                    let mut pack = Self { categories: index..index, strides: Vec::new(), codes: 1 };
                    pack.add(index, category.levels);
                    packs.push(pack);
                }
            }
        }
        packs
    }

    fn add(&mut self, category: usize, levels: usize) {
        self.categories.end = category + 1;
        self.strides.push(self.codes);
        self.codes *= levels;
    }

    /// Returns the columns of the indicators that are 1 for a code, without those of reference levels.
    pub fn indicators(&self, design: &Design, code: usize) -> Vec<usize> {
        let levels = self.categories.clone().zip(&self.strides);
        let level = |(category, stride): (usize, &usize)| {
            design.indicator(category, code / stride % design.categories()[category].levels)
        };
        levels.filter_map(level).collect()
    }
}

/// Returns all pairs of different packs, each with the smaller index first.
pub fn pairs(packs: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..packs).flat_map(move |a| (a + 1..packs).map(move |b| (a, b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::Category;

    #[test]
    fn packs_hold_as_many_categories_as_fit_and_every_code_has_its_indicators() {
        let levels = [3, 4, 5, 2, 100, 1, 2];
        let design = Design::new(2, levels.map(|levels| Category { levels, reference: levels - 1 }).into());
        let packs = Pack::all(&design);
        let ranges: Vec<_> = packs.iter().map(|pack| (pack.categories.clone(), pack.codes)).collect();
        assert_eq!(ranges, [(0..3, 60), (3..4, 2), (4..5, 100), (5..7, 2)]);
        for (a, b, c) in (0..60).map(|code| (code % 3, code / 3 % 4, code / 12)) {
            let code = a * packs[0].strides[0] + b * packs[0].strides[1] + c * packs[0].strides[2];
            let expected: Vec<usize> = [a, b, c]
                .into_iter()
                .enumerate()
                .filter_map(|(category, level)| design.indicator(category, level))
                .collect();
            assert_eq!(packs[0].indicators(&design, code), expected, "{code}");
        }
        assert_eq!(pairs(3).collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 2)]);
    }
}
