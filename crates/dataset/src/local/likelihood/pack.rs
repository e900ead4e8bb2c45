//! Categories, several of which share one code, so that a row needs few additions.
//!
//! Five categories with three levels have 243 combinations; a row adds once to the cell of its combination, and the sums
//! by level follow from those of the cells at the end of a chunk.

use std::ops::Range;

use super::add_symmetric;
use super::tile::{TILE, Tile};
use crate::design::Design;
use crate::likelihood::Sums;

/// Largest number of codes of a pack of several categories: the tables of two packs must stay in the cache.
const MOST_CODES: usize = 64;
/// Number of values that are added to a cell at once.
const BLOCK: usize = 4;

/// Consecutive categories with a common code.
pub struct Pack {
    categories: Range<usize>,
    /// What one level of each category adds to the code.
    strides: Vec<usize>,
    codes: usize,
    /// The columns of the indicators of each code, without those of reference levels.
    indicators: Vec<Vec<usize>>,
    /// The sum of the parameters of each code.
    log_odds: Vec<f64>,
}

impl Pack {
    /// Distributes the categories of `design` to packs.
    pub fn all(design: &Design, parameters: &[f64]) -> Vec<Self> {
        let levels = |category: usize| design.categories()[category].levels;
        let mut packs = Vec::new();
        let (mut first, mut codes) = (0, 1);
        for category in 0..design.categories().len() {
            if category > first && codes * levels(category) > MOST_CODES {
                packs.push(Self::new(design, parameters, first..category));
                (first, codes) = (category, 1);
            }
            codes *= levels(category);
        }
        if !design.categories().is_empty() {
            packs.push(Self::new(design, parameters, first..design.categories().len()));
        }
        packs
    }

    fn new(design: &Design, parameters: &[f64], categories: Range<usize>) -> Self {
        let mut strides = Vec::with_capacity(categories.len());
        let mut indicators = vec![Vec::new()];
        for category in categories.clone() {
            strides.push(indicators.len());
            let one_level = |level| {
                indicators.iter().map(move |columns: &Vec<usize>| {
                    columns.iter().copied().chain(design.indicator(category, level)).collect()
                })
            };
            indicators = (0..design.categories()[category].levels).flat_map(one_level).collect();
        }
        let log_odds =
            indicators.iter().map(|columns| columns.iter().map(|column| parameters[*column]).sum()).collect();
        Self { categories, strides, codes: indicators.len(), indicators, log_odds }
    }

    /// Adds the sums over the cells to those of the columns.
    pub fn add_to(&self, cells: &PackSums, sums: &mut Sums) {
        let constant = sums.gradient.len() - 1;
        for (code, columns) in self.indicators.iter().enumerate() {
            let [residual, size] = cells.residuals[code];
            let curvature = cells.weights[0][code][0];
            for (position, i) in columns.iter().enumerate() {
                sums.gradient[*i] += residual;
                sums.gradient_error[*i] += size;
                sums.hessian[(*i, constant)] += curvature;
                for j in &columns[position..] {
                    add_symmetric(&mut sums.hessian, *i, *j, curvature);
                }
                for number in 0..cells.numbers {
                    let value = cells.weights[(number + 1) / BLOCK][code][(number + 1) % BLOCK];
                    sums.hessian[(number, *i)] += value;
                }
            }
        }
    }
}

/// Number of terms of the longest sum over a tile and over the cells of one level.
pub fn terms(packs: &[Pack]) -> usize {
    TILE + packs.iter().map(|pack| pack.codes).max().unwrap_or(0)
}

/// The sums over the rows of each code of a pack.
pub struct PackSums {
    numbers: usize,
    codes: [u32; TILE],
    /// The sums of residuals and of their magnitudes.
    residuals: Vec<[f64; 2]>,
    /// The same sums over the rows of the current tile: short sums have small errors.
    of_tile: Vec<[f64; 2]>,
    /// The sums of curvatures and of the weighted numeric columns, in blocks of the columns.
    weights: Vec<Vec<[f64; BLOCK]>>,
}

impl PackSums {
    /// Returns the sums over no rows.
    pub fn new(pack: &Pack, numbers: usize) -> Self {
        Self {
            numbers,
            codes: [0; TILE],
            residuals: vec![[0.0; 2]; pack.codes],
            of_tile: vec![[0.0; 2]; pack.codes],
            weights: vec![vec![[0.0; BLOCK]; pack.codes]; (numbers + 1).div_ceil(BLOCK)],
        }
    }

    /// Computes the codes of the rows of a tile.
    pub fn encode(&mut self, pack: &Pack, levels: &[&[u32]], rows: Range<usize>) {
        self.codes.fill(0);
        for (levels, stride) in levels[pack.categories.clone()].iter().zip(&pack.strides) {
            for (code, level) in self.codes.iter_mut().zip(&levels[rows.clone()]) {
                *code += level * *stride as u32;
            }
        }
    }

    /// Adds the parameters of the rows' levels to their log-odds.
    pub fn add_log_odds(&self, pack: &Pack, log_odds: &mut [f64; TILE]) {
        for (z, code) in log_odds.iter_mut().zip(&self.codes) {
            *z += pack.log_odds[*code as usize];
        }
    }

    /// Adds the rows of a tile to the cells of their codes.
    pub fn add(&mut self, tile: &Tile) {
        for (code, residual) in self.codes[..tile.length].iter().zip(&tile.residual) {
            let [sum, sizes] = &mut self.of_tile[*code as usize];
            *sum += residual;
            *sizes += residual.abs();
        }
        for (total, part) in self.residuals.iter_mut().zip(&mut self.of_tile) {
            total[0] += part[0];
            total[1] += part[1];
            *part = [0.0; 2];
        }
        let zero = [0.0; TILE];
        let column = |index: usize| match index {
            0 => &tile.curvature,
            _ => tile.weighted.get(index - 1).unwrap_or(&zero),
        };
        for (block, cells) in self.weights.iter_mut().enumerate() {
            let [a, b, c, d] = std::array::from_fn(|k| column(BLOCK * block + k));
            for (t, code) in self.codes[..tile.length].iter().enumerate() {
                let cell = &mut cells[*code as usize];
                cell[0] += a[t];
                cell[1] += b[t];
                cell[2] += c[t];
                cell[3] += d[t];
            }
        }
    }
}

/// The pairs of packs, with a table of the sums of curvatures for each pair.
pub struct Pairs {
    pairs: Vec<(usize, usize)>,
    codes: Vec<usize>,
}

impl Pairs {
    /// Returns all pairs of different packs.
    pub fn of(packs: &[Pack]) -> Self {
        let pairs = (0..packs.len()).flat_map(|a| (a + 1..packs.len()).map(move |b| (a, b))).collect();
        Self { pairs, codes: packs.iter().map(|pack| pack.codes).collect() }
    }

    /// Returns tables whose cells are all 0.
    pub fn tables(&self) -> Vec<Vec<f64>> {
        self.pairs.iter().map(|(a, b)| vec![0.0; self.codes[*a] * self.codes[*b]]).collect()
    }

    /// Adds the rows of a tile to the cells of their codes.
    pub fn add(&self, packs: &[PackSums], tile: &Tile, tables: &mut [Vec<f64>]) {
        for ((a, b), table) in self.pairs.iter().zip(tables) {
            let second = self.codes[*b] as u32;
            let codes = packs[*a].codes[..tile.length].iter().zip(&packs[*b].codes);
            for ((a, b), curvature) in codes.zip(&tile.curvature) {
                table[(a * second + b) as usize] += curvature;
            }
        }
    }

    /// Adds the sums over the cells to the entries of the Hessian.
    pub fn add_to(&self, packs: &[Pack], tables: &[Vec<f64>], sums: &mut Sums) {
        let width = sums.gradient.len();
        let mut row = vec![0.0; width];
        for ((a, b), table) in self.pairs.iter().zip(tables) {
            let (first, second) = (&packs[*a], &packs[*b]);
            let Some(columns) = second.columns() else { continue };
            for (cells, of_first) in table.chunks_exact(second.codes).zip(&first.indicators) {
                if of_first.is_empty() {
                    continue;
                }
                row[columns.clone()].fill(0.0);
                for (cell, of_second) in cells.iter().zip(&second.indicators) {
                    of_second.iter().for_each(|j| row[*j] += cell);
                }
                for i in of_first {
                    for j in columns.clone() {
                        sums.hessian[(*i, j)] += row[j];
                    }
                }
            }
        }
    }
}

impl Pack {
    /// Returns the columns of all indicators; `None` if every category has only one level.
    fn columns(&self) -> Option<Range<usize>> {
        let all = || self.indicators.iter().flatten().copied();
        Some(all().min()?..all().max()? + 1)
    }
}
