//! The sums of one Newton step over rows in memory, computed in parallel and for a tile of rows at a time.
//!
//! `tile` sums what depends on numbers: products of whole columns. `cells` sums what depends on categories: additions to
//! the cells of tables.

mod cells;
mod tile;

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::Sample;
use crate::basis::{Basis, Scratch};
use crate::design::Design;
use crate::likelihood::Sums;
use crate::local::numbers::is_set;
use cells::{CodedPack, PackSums, Pairs};
use tile::{FEW, TILE, Tile};

pub use crate::local::counting::Numbers;

/// Number of rows in one parallel task. It is fixed, so that the sums do not depend on the number of threads.
const CHUNK: usize = 16 * 1024;
/// Number of entries of the Hessians that are held at the same time before they are added.
const HELD: usize = 4 << 20;

/// The training rows: columns of equal length, one for each predictor and the target.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    /// The columns of the regression.
    pub design: &'a Design,
    /// The numbers, transformed as the schema says.
    pub numbers: Vec<Numbers<'a>>,
    /// The levels of each category.
    pub levels: Vec<Levels<'a>>,
    /// The target of each row, 0 or 1.
    pub target: Numbers<'a>,
    /// The rows that count: bit i % 8 of byte i / 8; `None` if all do. The others hold any values.
    pub complete: Option<&'a [u8]>,
}

/// The levels of a category.
#[derive(Clone, Copy, Debug)]
pub struct Levels<'a> {
    /// The index of each row's level in the table.
    pub indices: Numbers<'a>,
    /// The index in the design of each level of the table.
    pub of_table: &'a [u32],
}

impl Levels<'_> {
    /// Returns the index in the design of a row's level.
    fn get(&self, row: usize) -> usize {
        self.of_table[self.indices.get(row) as usize] as usize
    }
}

impl Rows<'_> {
    /// Returns the number of rows, complete or not.
    pub fn len(&self) -> usize {
        self.target.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the sums over all rows at `parameters` of the columns of `basis`. Computed in parallel; the result is
    /// identical to the last bit for every number of threads.
    pub fn sums(&self, basis: &Basis, parameters: &[f64]) -> Sums {
        let width = self.design.width();
        let packs = CodedPack::all(self.design, &self.levels, parameters);
        let pairs = Pairs::of(&packs);
        let chunks = self.len().div_ceil(CHUNK);
        let held = (HELD / (width * width)).max(2 * rayon::current_num_threads());
        let mut total = Sums::zero(width);
        for first in (0..chunks).step_by(held) {
            let some = first..chunks.min(first + held);
            let partial: Vec<Sums> = some
                .into_par_iter()
                .map(|chunk| self.chunk(chunk * CHUNK, basis, parameters, &packs, &pairs))
                .collect();
            for sums in partial {
                total.log_likelihood += sums.log_likelihood;
                add(&mut total.gradient, &sums.gradient);
                add(&mut total.gradient_error, &sums.gradient_error);
                total.hessian += sums.hessian;
            }
        }
        // The error of a sum of n terms is at most n ε/2 times the sum of their magnitudes; 8 is added for the residual
        // and the product.
        let terms = tile::TERMS.max(cells::terms(&packs)) + CHUNK / TILE + chunks + 8;
        total.gradient_error.iter_mut().for_each(|error| *error *= terms as f64 * f64::EPSILON);
        total.hessian.fill_lower_triangle_with_upper_triangle();
        total
    }

    /// Returns at most `most` complete rows, evenly spaced.
    pub fn sample(&self, most: usize) -> Sample {
        let indices = self.spaced(most);
        let columns = |i: &usize| {
            let mut columns = vec![0.0; self.design.constant()];
            for (column, numbers) in columns.iter_mut().zip(&self.numbers) {
                *column = numbers.get(*i);
            }
            for (category, levels) in self.levels.iter().enumerate() {
                if let Some(indicator) = self.design.indicator(category, levels.get(*i)) {
                    columns[indicator] = 1.0;
                }
            }
            columns
        };
        Sample {
            columns: indices.iter().map(columns).collect(),
            exited: indices.iter().map(|i| self.target.get(*i) == 1.0).collect(),
        }
    }

    /// Returns the indices of at most `most` complete rows, evenly spaced.
    fn spaced(&self, most: usize) -> Vec<usize> {
        let spaced = |n: usize| {
            let taken = n.min(most);
            (0..taken).map(move |i| i * n / taken)
        };
        let Some(complete) = self.complete else { return spaced(self.len()).collect() };
        let is_complete = |row: &usize| is_set(complete, *row);
        let mut wanted = spaced((0..self.len()).filter(is_complete).count()).peekable();
        let complete = (0..self.len()).filter(is_complete).enumerate();
        complete.filter(|(position, _)| wanted.next_if_eq(position).is_some()).map(|(_, row)| row).collect()
    }

    /// Returns the sums over the rows of one chunk. `gradient_error` contains Σ |pᵢ − yᵢ| sᵢ, where s are the
    /// magnitudes of the columns; only the upper triangle of the Hessian is filled.
    fn chunk(&self, start: usize, basis: &Basis, parameters: &[f64], packs: &[CodedPack], pairs: &Pairs) -> Sums {
        let end = self.len().min(start + CHUNK);
        let centre = basis.is_only_centred().then(|| basis.centre());
        let numbers = self.design.numbers();
        let intercept = parameters[self.design.constant()];
        let mut sums = Sums::zero(self.design.width());
        let mut tile = Tile::new(numbers);
        let mut scratch = Scratch::default();
        let mut of_packs: Vec<PackSums> = packs.iter().map(|pack| PackSums::new(pack, numbers)).collect();
        let mut tables = pairs.tables();
        for start in (start..end).step_by(TILE) {
            let rows = start..end.min(start + TILE);
            match &centre {
                Some(centre) => tile.centred(&self.numbers, rows.clone(), centre),
                None => self.mixed(&mut tile, rows.clone(), basis, &mut scratch),
            }
            tile.log_odds(&parameters[..numbers], intercept);
            for (pack, sums) in packs.iter().zip(&mut of_packs) {
                sums.encode(pack, rows.clone());
                sums.add_log_odds(pack, &mut tile.log_odds);
            }
            sums.log_likelihood += tile.residuals(self.target, self.complete, rows);
            if !packs.is_empty() || numbers > FEW {
                tile.weight();
            }
            tile.add_to(&mut sums);
            for pack in &mut of_packs {
                pack.add(&tile);
            }
            pairs.add(&of_packs, &tile, &mut tables);
        }
        for (pack, of_pack) in packs.iter().zip(of_packs) {
            pack.add_to(&of_pack, &mut sums);
        }
        pairs.add_to(packs, &tables, &mut sums);
        sums
    }

    fn mixed(&self, tile: &mut Tile, rows: std::ops::Range<usize>, basis: &Basis, scratch: &mut Scratch) {
        tile.start(rows.len());
        for (t, row) in rows.enumerate() {
            let number = |j: usize| self.numbers[j].get(row);
            let level = |category: usize| self.levels[category].get(row);
            basis.columns(number, level, scratch, |j, q, size| tile.set(t, j, q, size));
        }
    }
}

fn add(total: &mut [f64], part: &[f64]) {
    total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
}

/// Adds to an entry of the upper triangle.
fn add_symmetric(hessian: &mut DMatrix<f64>, i: usize, j: usize, value: f64) {
    hessian[(i.min(j), i.max(j))] += value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::Category;

    /// A table for a test: numbers, levels and the target.
    struct Fabricated {
        design: Design,
        numbers: Vec<Vec<f64>>,
        levels: Vec<Vec<i32>>,
        of_table: Vec<u32>,
        target: Vec<f64>,
    }

    impl Fabricated {
        /// Returns `n` rows with three numbers and a category for each entry of `levels`.
        fn new(n: usize, levels: &[usize]) -> Self {
            let (columns, target) = testkit::signal(n);
            let category = |(index, levels): (usize, &usize)| {
                let mixed = |(row, x): (usize, &f64)| (*x as usize / 3 + row * (index + 1) / 2) % levels;
                columns[index % 3].iter().enumerate().map(mixed).map(|level| level as i32).collect()
            };
            let categories = levels.iter().map(|levels| Category { levels: *levels, reference: levels / 2 });
            Self {
                design: Design::new(3, categories.collect()),
                levels: levels.iter().enumerate().map(category).collect(),
                numbers: columns.into(),
                of_table: (0..100).collect(),
                target,
            }
        }

        fn rows(&self) -> Rows<'_> {
            Rows {
                design: &self.design,
                numbers: self.numbers.iter().map(|numbers| Numbers::F64(numbers)).collect(),
                levels: self.levels.iter().map(|levels| self.levels(levels)).collect(),
                target: Numbers::F64(&self.target),
                complete: None,
            }
        }

        fn levels<'a>(&'a self, indices: &'a [i32]) -> Levels<'a> {
            Levels { indices: Numbers::I32(indices), of_table: &self.of_table }
        }

        fn parameters(&self) -> Vec<f64> {
            let of_indicators = (3..self.design.constant()).map(|j| (j as f64).sin() / 2.0);
            [-0.02, 0.0003, 0.01].into_iter().chain(of_indicators).chain([0.4]).collect()
        }

        /// Returns a basis whose columns are mixtures.
        fn oblique(&self) -> Basis {
            let entry = |i: usize, j: usize| match j {
                _ if j < i => 0.0,
                _ if j == i => 1.0,
                _ => (7.0 * i as f64 + j as f64).sin(),
            };
            let m: Vec<Vec<f64>> = (0..3).map(|i| (0..self.design.width()).map(|j| entry(i, j)).collect()).collect();
            Basis::centred(&self.design, &[60.0, 500.0, 20.0]).followed_by(&m)
        }
    }

    /// Computes the sums literally by the formulas.
    fn plain(rows: &Rows, basis: &Basis, b: &[f64]) -> Sums {
        let mut sums = Sums::zero(b.len());
        let mut scratch = Scratch::default();
        for i in 0..rows.len() {
            let mut x = vec![0.0; b.len()];
            let level = |category: usize| rows.levels[category].get(i);
            basis.columns(|j| rows.numbers[j].get(i), level, &mut scratch, |j, q, _| x[j] = q);
            for category in 0..rows.levels.len() {
                if let Some(column) = rows.design.indicator(category, level(category)) {
                    x[column] = 1.0;
                }
            }
            x[rows.design.constant()] = 1.0;
            let z: f64 = x.iter().zip(b).map(|(x, b)| x * b).sum();
            let (p, not_p) = (1.0 / (1.0 + (-z).exp()), 1.0 / (1.0 + z.exp()));
            let target = rows.target.get(i);
            let residual = if target == 1.0 { -not_p } else { p };
            sums.log_likelihood += target * z - z.exp().ln_1p();
            for j in 0..b.len() {
                sums.gradient[j] += residual * x[j];
                for k in 0..b.len() {
                    sums.hessian[(j, k)] += p * not_p * x[j] * x[k];
                }
            }
        }
        sums
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-11 * a.abs().max(b.abs()).max(1.0)
    }

    #[test]
    fn the_sums_are_those_of_the_formulas() {
        let many = [2, 3, 4, 1, 2, 70, 3, 2, 3, 2, 4];
        for (n, levels) in [(1, &[2][..]), (255, &[]), (256, &[3, 2]), (257, &many), (CHUNK + 3, &many)] {
            let table = Fabricated::new(n, levels);
            let (rows, parameters) = (table.rows(), table.parameters());
            let centred = |centre: [f64; 3]| Basis::centred(&table.design, &centre);
            for basis in [centred([0.0; 3]), centred([60.0, 500.0, 20.0]), table.oblique()] {
                let (fast, plain) = (rows.sums(&basis, &parameters), plain(&rows, &basis, &parameters));
                assert!(close(fast.log_likelihood, plain.log_likelihood), "{n}: {fast:?} {plain:?}");
                for i in 0..parameters.len() {
                    assert!(close(fast.gradient[i], plain.gradient[i]), "{n}: {i} {fast:?} {plain:?}");
                    for j in 0..parameters.len() {
                        assert!(close(fast.hessian[(i, j)], plain.hessian[(i, j)]), "{n}: {i} {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_sums_do_not_depend_on_the_number_of_threads() {
        let table = Fabricated::new(5 * CHUNK, &[2, 3, 4, 30]);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| table.rows().sums(&table.oblique(), &table.parameters()))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn extreme_parameters_give_no_nan() {
        let table = Fabricated::new(100, &[2]);
        let basis = Basis::centred(&table.design, &[0.0; 3]);
        let sums = table.rows().sums(&basis, &[1e6, -1e6, 1e6, 1e9, 0.0]);
        assert!(sums.log_likelihood.is_finite() && sums.hessian.iter().all(|h| h.is_finite()));
    }

    #[test]
    fn the_residual_of_a_nearly_certain_prediction_keeps_its_digits() {
        let design = Design::new(1, vec![Category { levels: 2, reference: 0 }]);
        let levels = vec![Levels { indices: Numbers::U8(&[1]), of_table: &[0, 1] }];
        let (numbers, target) = (vec![Numbers::F64(&[40.0])], Numbers::U8(&[1]));
        let rows = Rows { design: &design, numbers, levels, target, complete: None };
        let sums = rows.sums(&Basis::centred(&design, &[0.0]), &[1.0, 0.0, 0.0]);
        let residual = -(-40.0f64).exp(); // p − 1 would be 0
        for column in [1, 2] {
            assert!((sums.gradient[column] / residual - 1.0).abs() < 1e-15, "{sums:?}");
        }
    }

    #[test]
    fn a_sample_holds_the_columns_without_the_constant() {
        let design = Design::new(1, vec![Category { levels: 3, reference: 1 }]);
        let numbers = vec![Numbers::F64(&[9.0, 5.0, 6.0, 7.0, 9.0, 8.0])];
        let levels = vec![Levels { indices: Numbers::U8(&[0, 2, 1, 0, 0, 2]), of_table: &[2, 1, 0] }];
        let target = Numbers::U8(&[0, 0, 1, 1, 0, 0]);
        let sample = Rows { design: &design, numbers, levels, target, complete: Some(&[0b101110]) }.sample(3);
        assert_eq!(sample.columns, [[5.0, 1.0, 0.0], [6.0, 0.0, 0.0], [7.0, 0.0, 1.0]]);
        assert_eq!(sample.exited, [false, true, true]);
    }

    #[test]
    fn rows_that_do_not_count_change_nothing() {
        let table = Fabricated::new(CHUNK + 1000, &[2, 3]);
        let all = table.rows();
        let bits: Vec<u8> = (0..all.len().div_ceil(8)).map(|byte| (byte * 37 % 256) as u8).collect();
        let kept: Vec<usize> = (0..all.len()).filter(|row| is_set(&bits, *row)).collect();
        let of = |column: &Vec<f64>| kept.iter().map(|row| column[*row]).collect();
        let only = Fabricated {
            design: table.design.clone(),
            numbers: table.numbers.iter().map(of).collect(),
            levels: table.levels.iter().map(|levels| kept.iter().map(|row| levels[*row]).collect()).collect(),
            of_table: table.of_table.clone(),
            target: of(&table.target),
        };
        let some = Rows { complete: Some(&bits), ..all.clone() };
        let basis = Basis::centred(&table.design, &[60.0, 500.0, 20.0]);
        let (masked, expected) =
            (some.sums(&basis, &table.parameters()), only.rows().sums(&basis, &table.parameters()));
        assert!(close(masked.log_likelihood, expected.log_likelihood));
        assert!(masked.gradient.iter().zip(&expected.gradient).all(|(a, b)| close(*a, *b)));
        assert!(masked.hessian.iter().zip(&expected.hessian).all(|(a, b)| close(*a, *b)));
        assert_eq!(some.sample(100).columns, only.rows().sample(100).columns);
    }
}
