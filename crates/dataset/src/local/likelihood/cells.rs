//! The sums by the codes of packs of categories, and by those of pairs of packs.

use std::ops::Range;

use super::add_symmetric;
use super::tile::{TILE, Tile};
use crate::design::Design;
use crate::likelihood::Sums;
use crate::local::counting::Numbers;
use crate::local::likelihood::Levels;
use crate::pack::{Pack, pairs};

/// Number of values that are added to a cell at once.
const BLOCK: usize = 4;

/// A pack at the parameters of one step.
pub struct CodedPack<'a> {
    pack: Pack,
    /// The indices of the levels of each category, and what each of them adds to the code.
    levels: Vec<(Numbers<'a>, Vec<u32>)>,
    /// The columns of the indicators of each code, without those of reference levels.
    indicators: Vec<Vec<usize>>,
    /// The sum of the parameters of each code.
    log_odds: Vec<f64>,
}

impl<'a> CodedPack<'a> {
    /// Distributes the categories of `design`, whose levels are `levels`, to packs.
    pub fn all(design: &Design, levels: &[Levels<'a>], parameters: &[f64]) -> Vec<Self> {
        let coded = |pack: Pack| {
            let strides = levels[pack.categories.clone()].iter().zip(&pack.strides);
            let added = |(levels, stride): (&Levels<'a>, &usize)| {
                (levels.indices, levels.of_table.iter().map(|level| level * *stride as u32).collect())
            };
            let levels = strides.map(added).collect();
            let indicators: Vec<Vec<usize>> = (0..pack.codes).map(|code| pack.indicators(design, code)).collect();
            let sum = |columns: &Vec<usize>| columns.iter().map(|column| parameters[*column]).sum();
            Self { log_odds: indicators.iter().map(sum).collect(), indicators, levels, pack }
        };
        Pack::all(design).into_iter().map(coded).collect()
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
pub fn terms(packs: &[CodedPack]) -> usize {
    TILE + packs.iter().map(|pack| pack.pack.codes).max().unwrap_or(0)
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
    pub fn new(pack: &CodedPack, numbers: usize) -> Self {
        let codes = pack.pack.codes;
        Self {
            numbers,
            codes: [0; TILE],
            residuals: vec![[0.0; 2]; codes],
            of_tile: vec![[0.0; 2]; codes],
            weights: vec![vec![[0.0; BLOCK]; codes]; (numbers + 1).div_ceil(BLOCK)],
        }
    }

    /// Computes the codes of the rows of a tile.
    pub fn encode(&mut self, pack: &CodedPack, rows: Range<usize>) {
        self.codes.fill(0);
        for (indices, added) in &pack.levels {
            indices.each(rows.clone(), &mut self.codes, |code, index| *code += added[index as usize]);
        }
    }

    /// Adds the parameters of the rows' levels to their log-odds.
    pub fn add_log_odds(&self, pack: &CodedPack, log_odds: &mut [f64; TILE]) {
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
    pub fn of(packs: &[CodedPack]) -> Self {
        let codes = packs.iter().map(|pack| pack.pack.codes).collect();
        Self { pairs: pairs(packs.len()).collect(), codes }
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
    pub fn add_to(&self, packs: &[CodedPack], tables: &[Vec<f64>], sums: &mut Sums) {
        let width = sums.gradient.len();
        let mut row = vec![0.0; width];
        for ((a, b), table) in self.pairs.iter().zip(tables) {
            let (first, second) = (&packs[*a], &packs[*b]);
            let Some(columns) = second.columns() else { continue };
            for (cells, of_first) in table.chunks_exact(second.pack.codes).zip(&first.indicators) {
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

impl CodedPack<'_> {
    /// Returns the columns of all indicators; `None` if every category has only one level.
    fn columns(&self) -> Option<Range<usize>> {
        let all = || self.indicators.iter().flatten().copied();
        Some(all().min()?..all().max()? + 1)
    }
}
