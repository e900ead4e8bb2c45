//! The penalised negative log-likelihood, its gradient and its Hessian: sums over rows plus the penalty.
//!
//! For rows xᵢ of the columns of a [`Design`](dataset::design::Design) with target yᵢ ∈ {0, 1}, parameters θ and
//! pᵢ = 1 / (1 + exp(−xᵢ·θ)) (McCullagh & Nelder, Generalized Linear Models, 2nd ed. 1989, §4.4):
//!
//! ```text
//! log-likelihood   ℓ = Σ yᵢ xᵢ·θ − log(1 + exp(xᵢ·θ))
//! objective        f = −ℓ + Σ β² / 2C          β: coefficients of the terms; the intercept is not penalised
//! gradient         g = Σ (pᵢ − yᵢ) xᵢ  + P θ
//! Hessian          H = Σ pᵢ (1 − pᵢ) xᵢ xᵢᵀ + P
//! ```
//!
//! The terms are the numbers and *all* levels of the categories. Adding the same number to the coefficients of all
//! levels of a category and subtracting it from the intercept changes no prediction, so at the minimum they add up to
//! 0. In a category with n levels, the coefficient of a level relative to the reference level is θ, and the least
//! penalty for these differences is (Σ θ² − (Σ θ)² / n) / 2C. So P is diagonal for numbers, with entries 1/C, and has a
//! block (I − 1/n) / C for each category.
//!
//! They are evaluated in a [`Basis`] x = U q with parameters γ = Uᵀθ. In this basis the gradient is U⁻¹ g and the
//! Hessian is U⁻¹ H U⁻ᵀ. scikit-learn minimises C·f, which has the same minimum (its user guide, "Logistic
//! regression").

use anyhow::Result;
use common::config::Regularization;
use dataset::TrainingRows;
use dataset::basis::Basis;
use dataset::design::Design;
use dataset::likelihood::Sums;
use nalgebra::{DMatrix, DVector};

/// A convex function of the parameters, with its first and second derivatives.
pub trait Objective {
    /// Returns the value, gradient and Hessian at the parameters `gamma` of the columns of `basis`.
    fn at(&self, basis: &Basis, gamma: &[f64]) -> Result<Evaluation>;
}

/// The value and derivatives of an objective at one point.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Value of the objective f.
    pub value: f64,
    /// Log-likelihood ℓ, the part of f that depends on the data.
    pub log_likelihood: f64,
    /// Derivatives with respect to γ.
    pub gradient: DVector<f64>,
    /// Upper bounds of the rounding errors of `gradient`.
    pub gradient_error: DVector<f64>,
    /// Second derivatives with respect to γ.
    pub hessian: DMatrix<f64>,
    /// Second derivative of the penalty with respect to the coefficient of a term, 1/C.
    pub penalty: f64,
}

/// The objective f over the rows of a table, whichever engine holds them.
pub struct PenalisedLikelihood<'a> {
    rows: &'a dyn TrainingRows,
    c: f64,
}

impl<'a> PenalisedLikelihood<'a> {
    /// Creates the objective over `rows`, with the inverse penalty strength C.
    pub fn new(rows: &'a dyn TrainingRows, regularization: Regularization) -> Self {
        Self { rows, c: regularization.c() }
    }
}

impl Objective for PenalisedLikelihood<'_> {
    fn at(&self, basis: &Basis, gamma: &[f64]) -> Result<Evaluation> {
        Ok(penalise(self.rows.sums(basis, gamma)?, basis, gamma, self.c))
    }
}

/// Adds the penalty to the sums over rows, and the rounding errors of qᵢ·γ to those of the gradient.
fn penalise(sums: Sums, basis: &Basis, gamma: &[f64], c: f64) -> Evaluation {
    let Sums { log_likelihood, gradient, gradient_error, mut hessian } = sums;
    let (mut gradient, mut gradient_error) = (DVector::from_vec(gradient), DVector::from_vec(gradient_error));
    let design = basis.design();
    // In a row, n columns are not 0. The error of qᵢ·γ is at most nε Σ |qᵢⱼ γⱼ|, and that of a gradient entry
    // Σ pᵢ (1 − pᵢ) |qᵢₖ| times this. The Cauchy–Schwarz inequality bounds it by the diagonal of the Hessian.
    let n = (design.numbers() + design.categories().len() + 1).max(4) as f64;
    let size: f64 = gamma.iter().enumerate().map(|(j, gamma)| gamma * gamma * hessian[(j, j)]).sum();
    for (k, error) in gradient_error.iter_mut().enumerate() {
        *error += n * n.sqrt() * f64::EPSILON * (size * hessian[(k, k)]).sqrt();
    }

    let (terms, _) = basis.terms(gamma);
    let value = -log_likelihood + terms.iter().map(|beta| beta * beta).sum::<f64>() / (2.0 * c);
    let inverse = basis.inverse();
    for (column, beta) in coefficients(design, &terms).into_iter().enumerate() {
        // A column of U⁻¹: the dependence of the column's parameter on γ.
        for (k, entry) in inverse.column(column).iter().enumerate() {
            let slope = entry * beta / c;
            gradient[k] += slope;
            gradient_error[k] += 4.0 * f64::EPSILON * slope.abs();
        }
    }
    let penalty = penalty(design) / c;
    hessian += if basis.is_only_centred() { penalty } else { &inverse * penalty * inverse.transpose() };
    Evaluation { value, log_likelihood, gradient, gradient_error, hessian, penalty: 1.0 / c }
}

/// Returns the coefficients of the terms that have a column of their own, in the order of the columns.
fn coefficients(design: &Design, terms: &[f64]) -> Vec<f64> {
    let mut coefficients = terms[..design.numbers()].to_vec();
    let mut levels = &terms[design.numbers()..];
    for category in design.categories() {
        let (of_category, rest) = levels.split_at(category.levels);
        let others = of_category.iter().enumerate().filter(|(level, _)| *level != category.reference);
        coefficients.extend(others.map(|(_, beta)| beta));
        levels = rest;
    }
    coefficients
}

/// Returns C·P, the second derivatives of the penalty for C = 1.
fn penalty(design: &Design) -> DMatrix<f64> {
    let mut penalty = DMatrix::zeros(design.width(), design.width());
    for j in 0..design.constant() {
        penalty[(j, j)] = 1.0;
    }
    for (index, category) in design.categories().iter().enumerate() {
        for i in design.indicators(index) {
            for j in design.indicators(index) {
                penalty[(i, j)] -= 1.0 / category.levels as f64;
            }
        }
    }
    penalty
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::newton::{self, Spread};
    use common::files::checksum::Checksum;
    use dataset::design::Category;
    use dataset::local::likelihood::{Levels, Numbers, Rows};
    use dataset::{Sample, TrainingSummary};

    /// Fabricated rows in which the target depends on the predictors.
    pub(crate) fn fabricated(n: usize) -> Fabricated {
        let (columns, target) = testkit::signal(n);
        Fabricated::new(columns, target)
    }

    /// The rows of a test, held in memory.
    pub(crate) struct Fabricated {
        design: Design,
        numbers: Vec<Vec<f64>>,
        levels: Vec<Vec<u8>>,
        /// The levels are numbered as in the design.
        of_table: Vec<u32>,
        target: Vec<f64>,
        summary: TrainingSummary,
    }

    impl Fabricated {
        pub(crate) fn new(numbers: impl Into<Vec<Vec<f64>>>, target: Vec<f64>) -> Self {
            Self::with_categories(numbers.into(), Vec::new(), target)
        }

        /// Rows with categories, whose levels are numbered from 0. The reference level is the most frequent one.
        pub(crate) fn with_categories(numbers: Vec<Vec<f64>>, levels: Vec<Vec<u8>>, target: Vec<f64>) -> Self {
            let category = |column: &Vec<u8>| {
                let levels = column.iter().max().map_or(0, |level| *level as usize + 1);
                let frequency = |level: usize| column.iter().filter(|other| **other as usize == level).count();
                Category { levels, reference: (0..levels).rev().max_by_key(|level| frequency(*level)).unwrap() }
            };
            let summary = TrainingSummary {
                dataset_sha256: Checksum::of_bytes(b""),
                rows: target.len() as u64,
                exited: target.iter().sum::<f64>() as u64,
                left_out: 0,
                predictors: Vec::new(),
            };
            let design = Design::new(numbers.len(), levels.iter().map(category).collect());
            Self { design, numbers, levels, of_table: (0..=u8::MAX).map(u32::from).collect(), target, summary }
        }

        /// The values in the middle of the table and the standard deviations of the numbers.
        pub(crate) fn spread(&self) -> Spread {
            let standard_deviation = |column: &Vec<f64>| {
                let n = column.len() as f64;
                let mean = column.iter().sum::<f64>() / n;
                (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt()
            };
            let centre = |column: &Vec<f64>| column[column.len() / 2];
            let farthest = |column: &Vec<f64>| {
                let ends =
                    [column.iter().copied().fold(f64::MAX, f64::min), column.iter().copied().fold(f64::MIN, f64::max)];
                newton::farthest(centre(column), ends)
            };
            Spread {
                centre: self.numbers.iter().map(centre).collect(),
                standard_deviation: self.numbers.iter().map(standard_deviation).collect(),
                farthest: self.numbers.iter().map(farthest).collect(),
            }
        }

        fn reversed(&self) -> Self {
            fn reverse<T: Copy>(column: &[T]) -> Vec<T> {
                column.iter().rev().copied().collect()
            }
            let numbers = self.numbers.iter().map(|column| reverse(column));
            let levels = self.levels.iter().map(|column| reverse(column));
            Self::with_categories(numbers.collect(), levels.collect(), reverse(&self.target))
        }

        fn rows(&self) -> Rows<'_> {
            let levels = |levels| Levels { indices: Numbers::U8(levels), of_table: &self.of_table };
            Rows {
                design: &self.design,
                numbers: self.numbers.iter().map(|numbers| Numbers::F64(numbers)).collect(),
                levels: self.levels.iter().map(|indices| levels(indices)).collect(),
                target: Numbers::F64(&self.target),
                complete: None,
            }
        }
    }

    impl TrainingRows for Fabricated {
        fn design(&self) -> &Design {
            &self.design
        }
        fn summary(&self) -> &TrainingSummary {
            &self.summary
        }
        fn sample(&self, most: usize) -> Result<Sample> {
            Ok(self.rows().sample(most))
        }
        fn sums(&self, basis: &Basis, parameters: &[f64]) -> Result<Sums> {
            Ok(self.rows().sums(basis, parameters))
        }
    }

    /// Fabricated rows with two categories of three and two levels.
    fn with_categories(n: usize) -> Fabricated {
        let (columns, target) = testkit::signal(n);
        let level =
            |column: usize, levels: u32| columns[column].iter().map(|x| (*x as u32 / 7 % levels) as u8).collect();
        let levels = vec![level(1, 3), level(2, 2)];
        Fabricated::with_categories(columns.to_vec(), levels, target)
    }

    const PARAMETERS: [f64; 7] = [-0.02, 0.0003, 0.01, 0.3, -0.2, 0.1, 0.4];

    #[test]
    fn the_gradient_is_the_slope_of_the_value_and_the_hessian_of_the_gradient() {
        let rows = with_categories(500);
        let objective = PenalisedLikelihood::new(&rows, Regularization::new(0.5).unwrap());
        let m = [
            vec![1.0, 0.1, 2.0, 0.5, -4.0, 2.0, 3.0],
            vec![0.0, 1.0, 3.0, 1.0, 1.0, -8.0, 0.25],
            vec![0.0, 0.0, 1.0, -1.0, 2.0, 0.0, -7.0],
        ];
        let centred = Basis::centred(&rows.design, &[60.0, 500.0, 20.0]);
        for basis in [Basis::centred(&rows.design, &[0.0; 3]), centred.followed_by(&m)] {
            let here = objective.at(&basis, &PARAMETERS).unwrap();
            for i in 0..PARAMETERS.len() {
                let h = 1e-6 * PARAMETERS[i].abs();
                let moved = |sign: f64| {
                    let mut moved = PARAMETERS;
                    moved[i] += sign * h;
                    objective.at(&basis, &moved).unwrap()
                };
                let (up, down) = (moved(1.0), moved(-1.0));
                let slope = (up.value - down.value) / (2.0 * h);
                assert!((slope - here.gradient[i]).abs() <= 1e-4 * here.gradient[i].abs().max(1.0), "{i}: {slope}");
                for j in 0..PARAMETERS.len() {
                    let slope = (up.gradient[j] - down.gradient[j]) / (2.0 * h);
                    let entry = here.hessian[(i, j)];
                    assert!((slope - entry).abs() <= 1e-4 * entry.abs().max(1.0), "{i} {j}: {slope} {entry}");
                }
            }
        }
    }

    #[test]
    fn the_bound_of_the_gradients_error_holds() {
        // The same rows in another order differ only by rounding.
        let rows = with_categories(2000);
        let objective = PenalisedLikelihood::new(&rows, Regularization::new(1.0).unwrap());
        let basis = Basis::centred(&rows.design, &[0.0; 3]);
        let here = objective.at(&basis, &PARAMETERS).unwrap();
        let reversed = rows.reversed();
        let again =
            PenalisedLikelihood::new(&reversed, Regularization::new(1.0).unwrap()).at(&basis, &PARAMETERS).unwrap();
        assert_ne!(here.gradient, again.gradient);
        for k in 0..PARAMETERS.len() {
            let difference = (here.gradient[k] - again.gradient[k]).abs();
            assert!(difference <= here.gradient_error[k], "{here:?} {again:?}");
            assert!(here.gradient_error[k] <= 1e-9 * here.hessian[(k, k)].max(1.0), "{here:?}");
        }
    }
}
