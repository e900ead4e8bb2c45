//! The sums of one Newton step over rows in memory, computed in parallel and for a tile of rows at a time.
//!
//! `tile` sums what depends on numbers: products of whole columns. `pack` sums what depends on categories: additions to
//! the cells of tables.

mod pack;
mod tile;

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::Sample;
use crate::basis::{Basis, Scratch};
use crate::design::Design;
use crate::likelihood::Sums;
use pack::{Pack, PackSums, Pairs};
use tile::{TILE, Tile};

/// Number of rows in one parallel task. It is fixed, so that the sums do not depend on the number of threads.
const CHUNK: usize = 16 * 1024;
/// Number of entries of the Hessians that are held at the same time before they are added.
const HELD: usize = 4 << 20;

/// The training rows: one column for each predictor and the target, of equal length, without missing values.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    /// The columns of the regression.
    pub design: &'a Design,
    /// The numbers, transformed as the schema says.
    pub numbers: Vec<&'a [f64]>,
    /// The index of the level of each category.
    pub levels: Vec<&'a [u32]>,
    /// The target of each row, 0 or 1.
    pub target: &'a [f64],
}

impl Rows<'_> {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.target.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.target.is_empty()
    }

    /// Returns the sums over all rows at `parameters` of the columns of `basis`. Computed in parallel; the result is
    /// identical to the last bit for every number of threads.
    pub fn sums(&self, basis: &Basis, parameters: &[f64]) -> Sums {
        let width = self.design.width();
        let packs = Pack::all(self.design, parameters);
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
        let terms = tile::TERMS.max(pack::terms(&packs)) + CHUNK / TILE + chunks + 8;
        total.gradient_error.iter_mut().for_each(|error| *error *= terms as f64 * f64::EPSILON);
        total.hessian.fill_lower_triangle_with_upper_triangle();
        total
    }

    /// Returns at most `most` rows, evenly spaced.
    pub fn sample(&self, most: usize) -> Sample {
        let taken = self.len().min(most);
        let indices = (0..taken).map(|i| i * self.len() / taken);
        let columns = |i: usize| {
            let mut columns = vec![0.0; self.design.constant()];
            for (column, numbers) in columns.iter_mut().zip(&self.numbers) {
                *column = numbers[i];
            }
            for (category, levels) in self.levels.iter().enumerate() {
                if let Some(indicator) = self.design.indicator(category, levels[i] as usize) {
                    columns[indicator] = 1.0;
                }
            }
            columns
        };
        Sample {
            columns: indices.clone().map(columns).collect(),
            exited: indices.map(|i| self.target[i] == 1.0).collect(),
        }
    }

    /// Returns the sums over the rows of one chunk. `gradient_error` contains Σ |pᵢ − yᵢ| sᵢ, where s are the magnitudes
    /// of the columns; only the upper triangle of the Hessian is filled.
    fn chunk(&self, start: usize, basis: &Basis, parameters: &[f64], packs: &[Pack], pairs: &Pairs) -> Sums {
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
                sums.encode(pack, &self.levels, rows.clone());
                sums.add_log_odds(pack, &mut tile.log_odds);
            }
            sums.log_likelihood += tile.residuals(&self.target[rows]);
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
            let number = |j: usize| self.numbers[j][row];
            let level = |category: usize| self.levels[category][row] as usize;
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
