//! The sums of a Newton step that concern categories: each row belongs to one cell for each pack of categories and one
//! for each pair of packs. A query groups by the cells, and the entries of the Hessian follow from their sums.

use crate::design::Design;
use crate::likelihood::Sums;
use crate::pack::{Pack, pairs};

/// The cells of a design. Those of the packs come first, then those of the pairs of packs; each cell has a number.
pub struct CellIndex {
    packs: Vec<Pack>,
    /// The first cell of each pack.
    first: Vec<usize>,
    /// The pairs of packs with their first cells.
    pairs: Vec<(usize, usize, usize)>,
}

/// The sums over the rows of one cell.
pub struct CellSums {
    /// Sum of the weights p (1 − p).
    pub weight: f64,
    /// Sum of the residuals p − y.
    pub residual: f64,
    /// Bound of the error of `residual`.
    pub residual_error: f64,
    /// Sums of the numeric columns times the weights.
    pub weighted: Vec<f64>,
}

impl CellIndex {
    /// Distributes the categories of `design` to packs.
    pub fn of(design: &Design) -> Self {
        let packs = Pack::all(design);
        let mut next = 0;
        let mut take = |cells: usize| {
            next += cells;
            next - cells
        };
        let first = packs.iter().map(|pack| take(pack.codes)).collect();
        let pairs = pairs(packs.len()).map(|(a, b)| (a, b, take(packs[a].codes * packs[b].codes))).collect();
        Self { packs, first, pairs }
    }

    /// Returns the number of packs.
    pub fn packs(&self) -> usize {
        self.packs.len()
    }

    /// Returns an SQL expression for the code of each pack; `level` returns the expression for the index of a category's
    /// level.
    pub fn codes(&self, level: impl Fn(usize) -> String) -> Vec<String> {
        let code = |pack: &Pack| {
            let terms = pack.categories.clone().zip(&pack.strides);
            terms.map(|(category, stride)| format!("{stride} * {}", level(category))).collect::<Vec<_>>().join(" + ")
        };
        self.packs.iter().map(code).collect()
    }

    /// Returns an SQL expression for each cell to which a row belongs; `code` returns the name of the column with the
    /// code of a pack.
    pub fn of_row(&self, code: impl Fn(usize) -> String) -> Vec<String> {
        let single = self.first.iter().enumerate().map(|(pack, first)| format!("{first} + {}", code(pack)));
        let pairs = self
            .pairs
            .iter()
            .map(|(a, b, first)| format!("{first} + {} * {} + {}", self.packs[*b].codes, code(*a), code(*b)));
        single.chain(pairs).collect()
    }

    /// Adds the sums of a cell to the sums of the columns; only the upper triangle of the Hessian is changed. Returns
    /// whether there is such a cell.
    pub fn add_to(&self, design: &Design, cell: usize, of_cell: &CellSums, sums: &mut Sums) -> bool {
        let constant = design.constant();
        if let Some((a, b, first)) = self.pairs.iter().rfind(|(.., first)| *first <= cell) {
            let (a, b) = (&self.packs[*a], &self.packs[*b]);
            let (code_a, code_b) = ((cell - first) / b.codes, (cell - first) % b.codes);
            if code_a >= a.codes {
                return false;
            }
            let of_b = b.indicators(design, code_b);
            for i in a.indicators(design, code_a) {
                of_b.iter().for_each(|j| sums.hessian[(i, *j)] += of_cell.weight);
            }
            return true;
        }
        let Some(index) = self.first.iter().rposition(|first| *first <= cell) else { return false };
        let pack = &self.packs[index];
        let code = cell - self.first[index];
        let indicators = pack.indicators(design, code);
        for (position, i) in indicators.iter().enumerate() {
            sums.gradient[*i] += of_cell.residual;
            sums.gradient_error[*i] += of_cell.residual_error;
            sums.hessian[(*i, constant)] += of_cell.weight;
            indicators[position..].iter().for_each(|j| sums.hessian[(*i, *j)] += of_cell.weight);
            for (number, weighted) in of_cell.weighted.iter().enumerate() {
                sums.hessian[(number, *i)] += weighted;
            }
        }
        code < pack.codes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::Category;

    #[test]
    fn cells_give_the_sums_of_indicators() {
        let levels = [3, 2, 100, 4, 5, 7];
        let categories: Vec<Category> =
            levels.iter().map(|levels| Category { levels: *levels, reference: levels / 2 }).collect();
        let design = Design::new(2, categories);
        let cells = CellIndex::of(&design);
        assert_eq!(cells.packs.iter().map(|pack| pack.codes).collect::<Vec<_>>(), [6, 100, 20, 7]);
        let (mut found, mut expected) = (Sums::zero(design.width()), Sums::zero(design.width()));
        for row in 0..500usize {
            let level = |category: usize| row * (2 * category + 3) / 5 % levels[category];
            let (weight, residual, numbers) = (0.25 + row as f64, 1.0 - row as f64, [2.0, row as f64]);
            let columns: Vec<usize> =
                (0..levels.len()).filter_map(|category| design.indicator(category, level(category))).collect();
            for i in &columns {
                expected.gradient[*i] += residual;
                expected.gradient_error[*i] += 2.0;
                expected.hessian[(*i, design.constant())] += weight;
                columns.iter().filter(|j| *j >= i).for_each(|j| expected.hessian[(*i, *j)] += weight);
                (0..2).for_each(|j| expected.hessian[(j, *i)] += weight * numbers[j]);
            }
            let codes: Vec<usize> = cells
                .packs
                .iter()
                .map(|pack| {
                    pack.categories.clone().zip(&pack.strides).map(|(category, stride)| stride * level(category)).sum()
                })
                .collect();
            let single = cells.first.iter().zip(&codes).map(|(first, code)| first + code);
            let pairs = cells.pairs.iter().map(|(a, b, first)| first + cells.packs[*b].codes * codes[*a] + codes[*b]);
            let weighted = numbers.map(|number| number * weight).to_vec();
            let of_row = CellSums { weight, residual, residual_error: 2.0, weighted };
            for cell in single.chain(pairs) {
                assert!(cells.add_to(&design, cell, &of_row, &mut found));
            }
        }
        assert_eq!(found, expected);
        let nothing = CellSums { weight: 1.0, residual: 1.0, residual_error: 0.0, weighted: vec![0.0; 2] };
        assert!(!cells.add_to(&design, usize::MAX, &nothing, &mut found));
        assert!(!CellIndex::of(&Design::new(2, Vec::new())).add_to(&design, 0, &nothing, &mut found));
    }

    #[test]
    fn a_row_names_its_cells() {
        let categories = [40, 3].map(|levels| Category { levels, reference: 0 }).to_vec();
        let cells = CellIndex::of(&Design::new(0, categories));
        assert_eq!(cells.codes(|category| format!("l{category}")), ["1 * l0", "1 * l1"]);
        assert_eq!(cells.of_row(|pack| format!("k{pack}")), ["0 + k0", "40 + k1", "43 + 3 * k0 + k1"]);
    }
}
