//! The sums of one Newton step over rows in memory: in parallel, eight rows at a time.

use engine::Sample;
use engine::likelihood::{Parameters, Sums};
use rayon::prelude::*;

/// The rows of one parallel task. Fixed, so that the sums do not depend on the number of threads.
const CHUNK: usize = 16 * 1024;

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

    /// At most `most` of them, evenly spaced.
    pub fn sample(&self, most: usize) -> Sample {
        let taken = self.len().min(most);
        let places = (0..taken).map(|i| i * self.len() / taken);
        Sample {
            predictors: places.clone().map(|i| self.predictors.map(|column| column[i])).collect(),
            exited: places.map(|i| self.target[i] == 1.0).collect(),
        }
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
        let [log_likelihood, g0, g1, g2, g3, upper @ ..] = sums.map(|lanes| lanes.iter().sum::<f64>());
        Sums::new(log_likelihood - log_factors, [g0, g1, g2, g3], upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<'a>(columns: &'a [Vec<f64>; 3], target: &'a [f64]) -> Rows<'a> {
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
            let (columns, target) = testkit::signal(n);
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
        let (columns, target) = testkit::signal(5 * CHUNK);
        let rows = rows(&columns, &target);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| rows.sums(&PARAMETERS))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn extreme_parameters_give_no_nan() {
        let (columns, target) = testkit::signal(100);
        let sums = rows(&columns, &target).sums(&[1e6, -1e6, 1e6, 0.0]);
        assert!(sums.log_likelihood.is_finite() && sums.hessian.as_flattened().iter().all(|h| h.is_finite()));
    }
}
