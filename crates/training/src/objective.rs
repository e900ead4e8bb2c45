//! The penalised negative log-likelihood, its gradient and its Hessian: sums over rows.
//!
//! For rows xᵢ = (x₁, x₂, x₃, 1) with target yᵢ ∈ {0, 1}, parameters β = (β₁, β₂, β₃, intercept) and
//! pᵢ = 1 / (1 + exp(−xᵢ·β)) (McCullagh & Nelder, Generalized Linear Models, 2nd ed. 1989, §4.4):
//!
//! ```text
//! log-likelihood   ℓ = Σ yᵢ xᵢ·β − log(1 + exp(xᵢ·β))
//! objective        f = −ℓ + (β₁² + β₂² + β₃²) / 2C          the intercept is not penalised
//! gradient         g = Σ (pᵢ − yᵢ) xᵢ  + (β₁, β₂, β₃, 0) / C
//! Hessian          H = Σ pᵢ (1 − pᵢ) xᵢ xᵢᵀ + diag(1, 1, 1, 0) / C
//! ```
//!
//! scikit-learn minimises C·f, which has the same minimum (its user guide, "Logistic regression").

use anyhow::Result;
use common::config::Regularization;
use rayon::prelude::*;

/// β₁, β₂, β₃, intercept.
pub type Parameters = [f64; 4];

/// The rows of one parallel task. Fixed, so that the sums do not depend on the number of threads.
const CHUNK: usize = 16 * 1024;

/// What a Newton step needs to know of the rows: f, g and H at one β, without the penalty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// ℓ.
    pub log_likelihood: f64,
    /// Σ (pᵢ − yᵢ) xᵢ.
    pub gradient: [f64; 4],
    /// Σ pᵢ (1 − pᵢ) xᵢ xᵢᵀ, symmetric.
    pub hessian: [[f64; 4]; 4],
}

/// A convex function of the parameters that can be evaluated with both derivatives.
pub trait Objective {
    /// Value, gradient and Hessian at `parameters`.
    fn at(&self, parameters: &Parameters) -> Result<Evaluation>;
}

/// An objective at one point.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    /// f.
    pub value: f64,
    /// ℓ, the part of f that is about the data.
    pub log_likelihood: f64,
    /// g.
    pub gradient: [f64; 4],
    /// H.
    pub hessian: [[f64; 4]; 4],
}

/// The training rows: three predictor columns and the target, of equal length, without missing values.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// In the order of [`common::schema::PREDICTORS`].
    pub predictors: [&'a [f64]; 3],
    /// 0 or 1.
    pub target: &'a [f64],
}

impl<'a> Rows<'a> {
    /// Their number.
    pub fn len(&self) -> usize {
        self.target.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.target.is_empty()
    }

    /// The sums at `parameters`, over all rows, in parallel; the same to the last bit however many threads there are.
    pub fn sums(&self, parameters: &Parameters) -> Sums {
        let chunks = self.len().div_ceil(CHUNK);
        let partial: Vec<Sums> =
            (0..chunks).into_par_iter().map(|chunk| self.chunk(chunk * CHUNK).sums(parameters)).collect();
        let mut total = Sums::default();
        for sums in partial {
            total.log_likelihood += sums.log_likelihood;
            for i in 0..4 {
                total.gradient[i] += sums.gradient[i];
                for j in 0..4 {
                    total.hessian[i][j] += sums.hessian[i][j];
                }
            }
        }
        total
    }

    fn chunk(&self, start: usize) -> Chunk<'a> {
        let range = start..(start + CHUNK).min(self.len());
        Chunk { x: self.predictors.map(|column| &column[range.clone()]), y: &self.target[range] }
    }
}

/// Consecutive rows that one thread sums.
struct Chunk<'a> {
    x: [&'a [f64]; 3],
    y: &'a [f64],
}

impl Chunk<'_> {
    fn sums(&self, b: &Parameters) -> Sums {
        /// Rows worked on together: enough for the compiler to use vectors, few enough to stay in registers.
        const LANES: usize = 8;
        // The product of this many factors between 1 and 2 cannot overflow, and its logarithm replaces theirs.
        const FACTORS: usize = 512;

        let mut sums = [[0.0; LANES]; 15];
        let mut factors = [1.0; LANES];
        let mut log_factors = 0.0;
        let blocks = self.y.len().div_ceil(LANES);
        for block in 0..blocks {
            let start = block * LANES;
            let length = LANES.min(self.y.len() - start);
            // In a last, shorter block the rows beyond the end weigh nothing.
            let mut weight = [1.0; LANES];
            let load = |column: &[f64]| -> [f64; LANES] {
                let mut lanes = [0.0; LANES];
                lanes[..length].copy_from_slice(&column[start..start + length]);
                lanes
            };
            weight[length..].fill(0.0);
            let (x0, x1, x2, y) = (load(self.x[0]), load(self.x[1]), load(self.x[2]), load(self.y));
            let mut z = [0.0; LANES];
            let mut e = [0.0; LANES];
            for k in 0..LANES {
                z[k] = b[0] * x0[k] + b[1] * x1[k] + b[2] * x2[k] + b[3];
                e[k] = (-z[k].abs()).exp(); // at most 1, so nothing below overflows
            }
            for k in 0..LANES {
                let w = weight[k];
                let q = 1.0 / (1.0 + e[k]);
                let p = if z[k] >= 0.0 { q } else { e[k] * q };
                let residual = w * (p - y[k]);
                let curvature = w * e[k] * q * q; // p (1 − p)
                factors[k] *= 1.0 + w * e[k];
                sums[0][k] += w * (y[k] * z[k] - z[k].max(0.0));
                sums[1][k] += residual * x0[k];
                sums[2][k] += residual * x1[k];
                sums[3][k] += residual * x2[k];
                sums[4][k] += residual;
                sums[5][k] += curvature * x0[k] * x0[k];
                sums[6][k] += curvature * x0[k] * x1[k];
                sums[7][k] += curvature * x0[k] * x2[k];
                sums[8][k] += curvature * x0[k];
                sums[9][k] += curvature * x1[k] * x1[k];
                sums[10][k] += curvature * x1[k] * x2[k];
                sums[11][k] += curvature * x1[k];
                sums[12][k] += curvature * x2[k] * x2[k];
                sums[13][k] += curvature * x2[k];
                sums[14][k] += curvature;
            }
            if block % FACTORS == FACTORS - 1 || block == blocks - 1 {
                log_factors += factors.iter().map(|factor: &f64| factor.ln()).sum::<f64>();
                factors = [1.0; LANES];
            }
        }
        let s = sums.map(|lanes| lanes.iter().sum::<f64>());
        Sums {
            log_likelihood: s[0] - log_factors,
            gradient: [s[1], s[2], s[3], s[4]],
            hessian: [
                [s[5], s[6], s[7], s[8]],
                [s[6], s[9], s[10], s[11]],
                [s[7], s[10], s[12], s[13]],
                [s[8], s[11], s[13], s[14]],
            ],
        }
    }
}

/// f over rows in memory.
pub struct PenalisedLikelihood<'a> {
    rows: &'a Rows<'a>,
    c: f64,
}

impl<'a> PenalisedLikelihood<'a> {
    /// Over `rows`, with the penalty's inverse strength.
    pub fn new(rows: &'a Rows<'a>, regularization: Regularization) -> Self {
        Self { rows, c: regularization.c() }
    }
}

impl Objective for PenalisedLikelihood<'_> {
    fn at(&self, parameters: &Parameters) -> Result<Evaluation> {
        Ok(penalise(self.rows.sums(parameters), parameters, self.c))
    }
}

/// Adds the penalty to sums over rows.
pub fn penalise(sums: Sums, parameters: &Parameters, c: f64) -> Evaluation {
    let Sums { log_likelihood, mut gradient, mut hessian } = sums;
    let mut value = -log_likelihood;
    for i in 0..3 {
        value += parameters[i] * parameters[i] / (2.0 * c);
        gradient[i] += parameters[i] / c;
        hessian[i][i] += 1.0 / c;
    }
    Evaluation { value, log_likelihood, gradient, hessian }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Rows with a signal, made by a linear congruential generator; the columns and the target.
    pub(crate) fn fabricated(n: usize) -> ([Vec<f64>; 3], Vec<f64>) {
        let mut state = 1u64;
        let mut uniform = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut columns = [Vec::new(), Vec::new(), Vec::new()];
        let mut target = Vec::new();
        for _ in 0..n {
            let x = [(400.0 * uniform()).floor(), (9000.0 * uniform()).floor(), (200.0 * uniform()).floor()];
            let z = 0.5 - 0.01 * x[0] + 0.0001 * x[1] + 0.005 * x[2];
            for (column, x) in columns.iter_mut().zip(x) {
                column.push(x);
            }
            target.push(f64::from(uniform() < 1.0 / (1.0 + f64::exp(-z))));
        }
        (columns, target)
    }

    pub(crate) fn rows<'a>(columns: &'a [Vec<f64>; 3], target: &'a [f64]) -> Rows<'a> {
        Rows { predictors: columns.each_ref().map(Vec::as_slice), target }
    }

    const PARAMETERS: Parameters = [-0.02, 0.0003, 0.01, 0.4];

    /// The formulas, literally.
    fn plain(rows: &Rows, b: &Parameters) -> Sums {
        let mut sums = Sums::default();
        for i in 0..rows.len() {
            let x = [rows.predictors[0][i], rows.predictors[1][i], rows.predictors[2][i], 1.0];
            let z: f64 = x.iter().zip(b).map(|(x, b)| x * b).sum();
            let p = 1.0 / (1.0 + (-z).exp());
            sums.log_likelihood += rows.target[i] * z - z.exp().ln_1p();
            for j in 0..4 {
                sums.gradient[j] += (p - rows.target[i]) * x[j];
                for k in 0..4 {
                    sums.hessian[j][k] += p * (1.0 - p) * x[j] * x[k];
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
        for n in [1, 7, 8, 9, 4097, CHUNK + 3] {
            let (columns, target) = fabricated(n);
            let rows = rows(&columns, &target);
            let (fast, plain) = (rows.sums(&PARAMETERS), plain(&rows, &PARAMETERS));
            assert!(close(fast.log_likelihood, plain.log_likelihood), "{n}: {fast:?} {plain:?}");
            for i in 0..4 {
                assert!(close(fast.gradient[i], plain.gradient[i]), "{n}: {fast:?} {plain:?}");
                for j in 0..4 {
                    assert!(close(fast.hessian[i][j], plain.hessian[i][j]), "{n}: {fast:?} {plain:?}");
                }
            }
        }
    }

    #[test]
    fn the_sums_do_not_depend_on_the_number_of_threads() {
        let (columns, target) = fabricated(5 * CHUNK);
        let rows = rows(&columns, &target);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| rows.sums(&PARAMETERS))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_value_and_the_hessian_of_the_gradient() {
        let (columns, target) = fabricated(500);
        let rows = rows(&columns, &target);
        let objective = PenalisedLikelihood::new(&rows, Regularization::new(0.5).unwrap());
        let here = objective.at(&PARAMETERS).unwrap();
        for i in 0..4 {
            let h = 1e-6 * PARAMETERS[i].abs();
            let moved = |sign: f64| {
                let mut moved = PARAMETERS;
                moved[i] += sign * h;
                objective.at(&moved).unwrap()
            };
            let (up, down) = (moved(1.0), moved(-1.0));
            let slope = (up.value - down.value) / (2.0 * h);
            assert!((slope - here.gradient[i]).abs() <= 1e-4 * here.gradient[i].abs().max(1.0), "{i}: {slope}");
            for j in 0..4 {
                let slope = (up.gradient[j] - down.gradient[j]) / (2.0 * h);
                assert!((slope - here.hessian[i][j]).abs() <= 1e-4 * here.hessian[i][j].abs().max(1.0), "{i} {j}");
            }
        }
    }

    #[test]
    fn extreme_parameters_give_no_nan() {
        let (columns, target) = fabricated(100);
        let sums = rows(&columns, &target).sums(&[1e6, -1e6, 1e6, 0.0]);
        assert!(sums.log_likelihood.is_finite() && sums.hessian.as_flattened().iter().all(|h| h.is_finite()));
    }
}
