//! The sums of one Newton step over rows in memory, computed in parallel and for eight rows at a time.

use crate::Sample;
use crate::basis::Basis;
use crate::likelihood::{Parameters, Sums};
use rayon::prelude::*;

/// Number of rows in one parallel task. It is fixed, so that the sums do not depend on the number of threads.
const CHUNK: usize = 16 * 1024;

/// The training rows: three predictor columns and the target, of equal length, without missing values.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The predictors, in the order of [`common::model::schema::PREDICTORS`].
    pub predictors: [&'a [f64]; 3],
    /// The target of each row, 0 or 1.
    pub target: &'a [f64],
}

impl<'a> Rows<'a> {
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
    pub fn sums(&self, basis: &Basis, parameters: &Parameters) -> Sums {
        let centre = basis.centre();
        let chunks = self.len().div_ceil(CHUNK);
        let chunk_sums = |chunk: usize| {
            let chunk = self.chunk(chunk * CHUNK);
            if basis.is_only_centred() {
                let columns = |x: [f64; 3]| std::array::from_fn(|j| x[j] - centre[j]);
                return chunk.sums(|x| (columns(x), columns(x).map(f64::abs)), parameters);
            }
            // The error of a column matters only if its terms cancel: below, it is multiplied by ε and a constant
            // factor.
            let with_errors = |(q, sizes): ([f64; 3], [f64; 3])| {
                (q, std::array::from_fn(|j| q[j].abs() + f64::exp2(-48.0) * sizes[j]))
            };
            chunk.sums(|x| with_errors(basis.columns(x)), parameters)
        };
        let partial: Vec<Sums> = (0..chunks).into_par_iter().map(chunk_sums).collect();
        // The error of a sum of n terms is at most n ε/2 times the sum of their magnitudes; 8 is added for the residual
        // and the product.
        let terms = self.len().min(CHUNK).div_ceil(LANES) + LANES + chunks + 8;
        let rounding = terms as f64 * f64::EPSILON;
        let mut total = Sums::default();
        for sums in partial {
            total.log_likelihood += sums.log_likelihood;
            for i in 0..4 {
                total.gradient[i] += sums.gradient[i];
                total.gradient_error[i] += rounding * sums.gradient_error[i];
                for j in 0..4 {
                    total.hessian[i][j] += sums.hessian[i][j];
                }
            }
        }
        total
    }

    /// Returns at most `most` rows, evenly spaced.
    pub fn sample(&self, most: usize) -> Sample {
        let taken = self.len().min(most);
        let indices = (0..taken).map(|i| i * self.len() / taken);
        Sample {
            predictors: indices.clone().map(|i| self.predictors.map(|column| column[i])).collect(),
            exited: indices.map(|i| self.target[i] == 1.0).collect(),
        }
    }

    fn chunk(&self, start: usize) -> Chunk<'a> {
        let range = start..(start + CHUNK).min(self.len());
        Chunk { x: self.predictors.map(|column| &column[range.clone()]), y: &self.target[range] }
    }
}

/// Consecutive rows that are summed by one thread.
struct Chunk<'a> {
    x: [&'a [f64]; 3],
    y: &'a [f64],
}

/// Number of rows processed together: enough for the compiler to use vector instructions, few enough to stay in
/// registers.
const LANES: usize = 8;

impl Chunk<'_> {
    /// Returns the sums for the columns q that `columns` computes from a row. `gradient_error` contains Σ |pᵢ − yᵢ| sᵢ,
    /// where s are the magnitudes returned with the columns.
    fn sums(&self, columns: impl Fn([f64; 3]) -> ([f64; 3], [f64; 3]), b: &Parameters) -> Sums {
        // The product of this many factors between 1 and 2 cannot overflow; one logarithm of the product replaces the
        // sum of theirs.
        const FACTORS: usize = 512;

        let mut sums = [[0.0; LANES]; 19];
        let mut factors = [1.0; LANES];
        let mut log_factors = 0.0;
        let blocks = self.y.len().div_ceil(LANES);
        for block in 0..blocks {
            let start = block * LANES;
            let length = LANES.min(self.y.len() - start);
            // In a last, shorter block, the rows beyond the end have weight 0.
            let mut weight = [1.0; LANES];
            let load = |column: &[f64]| -> [f64; LANES] {
                let mut lanes = [0.0; LANES];
                lanes[..length].copy_from_slice(&column[start..start + length]);
                lanes
            };
            weight[length..].fill(0.0);
            let (mut q0, mut q1, mut q2, y) = (load(self.x[0]), load(self.x[1]), load(self.x[2]), load(self.y));
            let mut sizes = [[0.0; LANES]; 3];
            let mut z = [0.0; LANES];
            let mut e = [0.0; LANES];
            for k in 0..LANES {
                ([q0[k], q1[k], q2[k]], [sizes[0][k], sizes[1][k], sizes[2][k]]) = columns([q0[k], q1[k], q2[k]]);
                z[k] = b[0] * q0[k] + b[1] * q1[k] + b[2] * q2[k] + b[3];
                e[k] = (-z[k].abs()).exp(); // at most 1, so nothing below overflows
            }
            for k in 0..LANES {
                let w = weight[k];
                let q = 1.0 / (1.0 + e[k]);
                // Both p and 1 − p are computed without a subtraction, so a residual near 0 keeps its digits.
                let (p, not_p) = if z[k] >= 0.0 { (q, e[k] * q) } else { (e[k] * q, q) };
                let residual = w * ((1.0 - y[k]) * p - y[k] * not_p);
                let curvature = w * e[k] * q * q; // p (1 − p)
                factors[k] *= 1.0 + w * e[k];
                sums[0][k] += w * (y[k] * z[k] - z[k].max(0.0));
                sums[1][k] += residual * q0[k];
                sums[2][k] += residual * q1[k];
                sums[3][k] += residual * q2[k];
                sums[4][k] += residual;
                sums[5][k] += residual.abs() * sizes[0][k];
                sums[6][k] += residual.abs() * sizes[1][k];
                sums[7][k] += residual.abs() * sizes[2][k];
                sums[8][k] += residual.abs();
                sums[9][k] += curvature * q0[k] * q0[k];
                sums[10][k] += curvature * q0[k] * q1[k];
                sums[11][k] += curvature * q0[k] * q2[k];
                sums[12][k] += curvature * q0[k];
                sums[13][k] += curvature * q1[k] * q1[k];
                sums[14][k] += curvature * q1[k] * q2[k];
                sums[15][k] += curvature * q1[k];
                sums[16][k] += curvature * q2[k] * q2[k];
                sums[17][k] += curvature * q2[k];
                sums[18][k] += curvature;
            }
            if block % FACTORS == FACTORS - 1 || block == blocks - 1 {
                log_factors += factors.iter().map(|factor: &f64| factor.ln()).sum::<f64>();
                factors = [1.0; LANES];
            }
        }
        let [log_likelihood, g0, g1, g2, g3, a0, a1, a2, a3, upper @ ..] = sums.map(|lanes| lanes.iter().sum::<f64>());
        Sums::new(log_likelihood - log_factors, [g0, g1, g2, g3], [a0, a1, a2, a3], upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<'a>(columns: &'a [Vec<f64>; 3], target: &'a [f64]) -> Rows<'a> {
        Rows { predictors: columns.each_ref().map(Vec::as_slice), target }
    }

    const PARAMETERS: Parameters = [-0.02, 0.0003, 0.01, 0.4];

    /// Returns a basis whose columns are mixtures of the predictors.
    fn oblique() -> Basis {
        let m = [[1.0, 0.1, 2.0, 3.0], [0.0, 1.0, 3.0, 0.25], [0.0, 0.0, 1.0, -7.0], [0.0, 0.0, 0.0, 1.0]];
        Basis::centred([60.0, 500.0, 20.0]).followed_by(&m)
    }

    /// Computes the sums literally by the formulas.
    fn plain(rows: &Rows, basis: &Basis, b: &Parameters) -> Sums {
        let mut sums = Sums::default();
        for i in 0..rows.len() {
            let ([q1, q2, q3], _) = basis.columns(rows.predictors.map(|column| column[i]));
            let x = [q1, q2, q3, 1.0];
            let z: f64 = x.iter().zip(b).map(|(x, b)| x * b).sum();
            let (p, not_p) = (1.0 / (1.0 + (-z).exp()), 1.0 / (1.0 + z.exp()));
            let residual = if rows.target[i] == 1.0 { -not_p } else { p };
            sums.log_likelihood += rows.target[i] * z - z.exp().ln_1p();
            for j in 0..4 {
                sums.gradient[j] += residual * x[j];
                for k in 0..4 {
                    sums.hessian[j][k] += p * not_p * x[j] * x[k];
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
            let (columns, target) = testkit::signal(n);
            let rows = rows(&columns, &target);
            for basis in [Basis::centred([0.0; 3]), Basis::centred([60.0, 500.0, 20.0]), oblique()] {
                let (fast, plain) = (rows.sums(&basis, &PARAMETERS), plain(&rows, &basis, &PARAMETERS));
                assert!(close(fast.log_likelihood, plain.log_likelihood), "{n}: {fast:?} {plain:?}");
                for i in 0..4 {
                    assert!(close(fast.gradient[i], plain.gradient[i]), "{n}: {fast:?} {plain:?}");
                    for j in 0..4 {
                        assert!(close(fast.hessian[i][j], plain.hessian[i][j]), "{n}: {fast:?} {plain:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_sums_do_not_depend_on_the_number_of_threads() {
        let (columns, target) = testkit::signal(5 * CHUNK);
        let rows = rows(&columns, &target);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| rows.sums(&oblique(), &PARAMETERS))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn extreme_parameters_give_no_nan() {
        let (columns, target) = testkit::signal(100);
        let sums = rows(&columns, &target).sums(&Basis::centred([0.0; 3]), &[1e6, -1e6, 1e6, 0.0]);
        assert!(sums.log_likelihood.is_finite() && sums.hessian.as_flattened().iter().all(|h| h.is_finite()));
    }

    #[test]
    fn the_residual_of_a_nearly_certain_prediction_keeps_its_digits() {
        let (columns, target) = ([vec![40.0], vec![0.0], vec![0.0]], [1.0]);
        let sums = rows(&columns, &target).sums(&Basis::centred([0.0; 3]), &[1.0, 0.0, 0.0, 0.0]);
        let residual = -(-40.0f64).exp(); // p − 1 would be 0
        assert!((sums.gradient[3] / residual - 1.0).abs() < 1e-15, "{sums:?}");
    }
}
