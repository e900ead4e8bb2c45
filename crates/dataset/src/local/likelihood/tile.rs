//! A few hundred consecutive rows, whose columns stay in the processor's cache.

use std::ops::Range;

use crate::likelihood::Sums;
use crate::local::counting::Numbers;

/// Number of rows in a tile.
pub const TILE: usize = 256;
/// Number of rows that are added side by side, so that the compiler uses vector instructions.
const LANES: usize = 8;
/// Largest number of numbers whose sums are computed in one pass.
pub const FEW: usize = 4;
/// Number of rows that are added side by side in this pass, so that the sums stay in registers.
const FEW_LANES: usize = 4;
/// Number of terms of the longest sum in a tile.
pub const TERMS: usize = TILE / FEW_LANES + FEW_LANES;

/// Log-odds whose probability is 0 as an `f64`.
const CERTAIN: f64 = -1000.0;

/// One value for each row of a tile; rows beyond the end of the table have 0.
pub type Column = [f64; TILE];

/// The rows of a tile in the columns of a basis, and what follows from their log-odds.
pub struct Tile {
    /// The numeric columns q.
    pub q: Vec<Column>,
    /// The magnitudes of the errors of q relative to ε; empty if they are those of q.
    sizes: Vec<Column>,
    /// Each column of `q` times `curvature`.
    pub weighted: Vec<Column>,
    /// The log-odds q·γ.
    pub log_odds: Column,
    /// Differences p − y between the probabilities and the outcomes.
    pub residual: Column,
    /// Weights p (1 − p) of the Hessian.
    pub curvature: Column,
    /// Number of rows of the table in this tile.
    pub length: usize,
}

impl Tile {
    /// Creates a tile for so many numeric columns.
    pub fn new(numbers: usize) -> Self {
        let columns = || vec![[0.0; TILE]; numbers];
        let zero = [0.0; TILE];
        Self {
            q: columns(),
            sizes: Vec::new(),
            weighted: columns(),
            log_odds: zero,
            residual: zero,
            curvature: zero,
            length: 0,
        }
    }

    /// Loads numbers minus their centres.
    pub fn centred(&mut self, numbers: &[Numbers], rows: Range<usize>, centre: &[f64]) {
        self.length = rows.len();
        for ((q, numbers), centre) in self.q.iter_mut().zip(numbers).zip(centre) {
            numbers.each(rows.clone(), q, |q, x| *q = x - centre);
            q[rows.len()..].fill(0.0);
        }
    }

    /// Begins a tile whose columns are set one by one.
    pub fn start(&mut self, length: usize) {
        self.length = length;
        self.sizes.resize(self.q.len(), [0.0; TILE]);
        for column in self.q.iter_mut().chain(&mut self.sizes) {
            column[length..].fill(0.0);
        }
    }

    /// Sets one column of one row. The error of a column matters only if its terms, of magnitude `size`, cancel: the
    /// sum of the errors is multiplied by ε and a constant factor.
    pub fn set(&mut self, row: usize, column: usize, q: f64, size: f64) {
        self.q[column][row] = q;
        self.sizes[column][row] = q.abs() + f64::exp2(-48.0) * size;
    }

    /// Computes the part of the log-odds that comes from numbers and the intercept.
    pub fn log_odds(&mut self, coefficients: &[f64], intercept: f64) {
        self.log_odds = [intercept; TILE];
        for (q, coefficient) in self.q.iter().zip(coefficients) {
            for (z, q) in self.log_odds.iter_mut().zip(q) {
                *z += coefficient * q;
            }
        }
    }

    /// Computes residuals and curvatures from the log-odds of the rows. Returns the log-likelihood. Those that are not
    /// `complete` have the residual 0 and the curvature 0.
    pub fn residuals(&mut self, target: Numbers, complete: Option<&[u8]>, rows: Range<usize>) -> f64 {
        let mut y = [0.0; TILE];
        target.each(rows.clone(), &mut y, |y, target| *y = target);
        self.log_odds[self.length..].fill(0.0);
        if let Some(complete) = complete {
            // A tile begins at a multiple of eight rows. Most groups of eight are complete.
            let groups = complete[rows.start / 8..].iter().zip(self.log_odds.chunks_mut(8).zip(y.chunks_mut(8)));
            for (bits, (z, y)) in groups.filter(|(bits, _)| **bits != u8::MAX) {
                for row in (0..8).filter(|row| bits >> row & 1 == 0) {
                    (z[row], y[row]) = (CERTAIN, 0.0);
                }
            }
        }
        let mut e = [0.0; TILE];
        for (e, z) in e[..self.length].iter_mut().zip(&self.log_odds) {
            *e = (-z.abs()).exp(); // at most 1, so nothing below overflows
        }
        let mut sums = [0.0; LANES];
        // The product of all factors between 1 and 2 cannot overflow; its logarithm replaces the sum of theirs.
        let mut factors = [1.0; LANES];
        let inputs = chunks(&self.log_odds).zip(chunks(&e)).zip(chunks(&y));
        let outputs = chunks_mut(&mut self.residual).zip(chunks_mut(&mut self.curvature));
        for (((z, e), y), (residual, curvature)) in inputs.zip(outputs) {
            let (z, e, y) = (*z, *e, *y);
            let (mut r, mut c) = ([0.0; LANES], [0.0; LANES]);
            for k in 0..LANES {
                let q = 1.0 / (1.0 + e[k]);
                // Both p and 1 − p are computed without a subtraction, so a residual near 0 keeps its digits.
                let (p, not_p) = if z[k] >= 0.0 { (q, e[k] * q) } else { (e[k] * q, q) };
                r[k] = (1.0 - y[k]) * p - y[k] * not_p;
                c[k] = e[k] * q * q;
                factors[k] *= 1.0 + e[k];
                sums[k] += y[k] * z[k] - z[k].max(0.0);
            }
            (*residual, *curvature) = (r, c);
        }
        self.residual[self.length..].fill(0.0);
        sums.iter().sum::<f64>() - factors.iter().product::<f64>().ln()
    }

    /// Computes [`Tile::weighted`], which the sums of many numbers and of categories need.
    pub fn weight(&mut self) {
        for (weighted, q) in self.weighted.iter_mut().zip(&self.q) {
            for ((weighted, q), curvature) in weighted.iter_mut().zip(q).zip(&self.curvature) {
                *weighted = curvature * q;
            }
        }
    }

    /// Adds the sums over the tile that concern only numbers and the constant.
    pub fn add_to(&self, sums: &mut Sums) {
        match self.q.len() {
            // At most `FEW` numbers.
            1 => self.add_few::<1>(sums),
            2 => self.add_few::<2>(sums),
            3 => self.add_few::<3>(sums),
            4 => self.add_few::<4>(sums),
            _ => self.add_many(sums),
        }
    }

    /// Adds the sums of `K` numbers in one pass, because so few sums stay in registers.
    fn add_few<const K: usize>(&self, sums: &mut Sums) {
        let q: [&Column; K] = std::array::from_fn(|j| &self.q[j]);
        let sizes: [&Column; K] = std::array::from_fn(|j| self.sizes.get(j).unwrap_or(&self.q[j]));
        let zero = [0.0; FEW_LANES];
        let [mut gradient, mut errors, mut of_constant] = [[zero; K]; 3];
        let mut hessian = [[zero; K]; K];
        let [mut residuals, mut residual_sizes, mut curvatures] = [zero; 3];
        for start in (0..TILE).step_by(FEW_LANES) {
            for lane in 0..FEW_LANES {
                let t = start + lane;
                let (residual, curvature) = (self.residual[t], self.curvature[t]);
                residuals[lane] += residual;
                residual_sizes[lane] += residual.abs();
                curvatures[lane] += curvature;
                for j in 0..K {
                    let weighted = curvature * q[j][t];
                    gradient[j][lane] += residual * q[j][t];
                    errors[j][lane] += (residual * sizes[j][t]).abs();
                    of_constant[j][lane] += weighted;
                    for k in j..K {
                        hessian[j][k][lane] += weighted * q[k][t];
                    }
                }
            }
        }
        let constant = sums.gradient.len() - 1;
        let sum = |lanes: &[f64; FEW_LANES]| lanes.iter().sum::<f64>();
        for j in 0..K {
            sums.gradient[j] += sum(&gradient[j]);
            sums.gradient_error[j] += sum(&errors[j]);
            sums.hessian[(j, constant)] += sum(&of_constant[j]);
            for (k, products) in hessian[j].iter().enumerate().skip(j) {
                sums.hessian[(j, k)] += sum(products);
            }
        }
        sums.gradient[constant] += sum(&residuals);
        sums.gradient_error[constant] += sum(&residual_sizes);
        sums.hessian[(constant, constant)] += sum(&curvatures);
    }

    fn add_many(&self, sums: &mut Sums) {
        let constant = sums.gradient.len() - 1;
        for j in 0..self.q.len() {
            sums.gradient[j] += dot(&self.residual, &self.q[j]);
            sums.gradient_error[j] += dot_of_sizes(&self.residual, self.sizes.get(j).unwrap_or(&self.q[j]));
            sums.hessian[(j, constant)] += sum(&self.weighted[j]);
            for k in j..self.q.len() {
                sums.hessian[(j, k)] += dot(&self.weighted[j], &self.q[k]);
            }
        }
        sums.gradient[constant] += sum(&self.residual);
        sums.gradient_error[constant] += lanes(&self.residual, &self.residual, |a, _| a.abs());
        sums.hessian[(constant, constant)] += sum(&self.curvature);
    }
}

fn sum(a: &Column) -> f64 {
    lanes(a, a, |a, _| a)
}

fn dot(a: &Column, b: &Column) -> f64 {
    lanes(a, b, |a, b| a * b)
}

fn dot_of_sizes(a: &Column, b: &Column) -> f64 {
    lanes(a, b, |a, b| (a * b).abs())
}

fn lanes(a: &Column, b: &Column, term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    for (a, b) in chunks(a).zip(chunks(b)) {
        for k in 0..LANES {
            sums[k] += term(a[k], b[k]);
        }
    }
    sums.iter().sum()
}

fn chunks(column: &Column) -> impl Iterator<Item = &[f64; LANES]> {
    column.as_chunks().0.iter()
}

fn chunks_mut(column: &mut Column) -> impl Iterator<Item = &mut [f64; LANES]> {
    column.as_chunks_mut().0.iter_mut()
}
