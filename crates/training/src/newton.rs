//! Newton's method for a convex function of four parameters (Boyd & Vandenberghe, Convex Optimization, 2004, §9.5), and
//! the certificate of its result. For the logistic likelihood this is iteratively reweighted least squares.
//!
//! The method begins with centred predictors. If these are nearly collinear, the factor of the Hessian gives the next
//! [`Basis`], in which the Hessian is nearly diagonal, and the rows are summed again in this basis. So no digits are
//! lost because of the units of the predictors, an offset, or a predictor that repeats another one.

use anyhow::Result;
use dataset::TrainingSummary;
use dataset::basis::Basis;
use dataset::likelihood::Parameters;

use crate::cholesky::Cholesky;
use crate::objective::{Evaluation, Objective};

/// The method ends when a step is smaller than this, both in standard errors and relative to each parameter.
const TOLERANCE: f64 = 1e-10;
/// Largest error of the log-odds, per standard deviation of a predictor, that is too small to show in any prediction.
const NEGLIGIBLE: f64 = 1e-13;
/// The basis is changed if the other columns leave less than this share of a column unexplained.
const LEAST_PIVOT: f64 = 1e-5;
const MOST_STEPS: u32 = 200;
const MOST_BASES: u32 = 20;
const MOST_HALVINGS: u32 = 60;

/// The typical values of the predictors: x − `centre` has the magnitude of `standard_deviation`.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// A value in the middle of each predictor's range; for a constant predictor its value.
    pub centre: [f64; 3],
    /// Standard deviation of each predictor; 0 for a constant predictor.
    pub standard_deviation: [f64; 3],
}

impl Spread {
    /// Uses the medians as centres. They are values that occur, so a constant predictor is exactly 0 when centred.
    pub fn of(summary: &TrainingSummary) -> Self {
        let sketches = summary.sketches.as_ref();
        Self {
            centre: summary.medians.map(|median| median.unwrap_or(0.0)),
            standard_deviation: sketches.map_or([1.0; 3], |all| all.each_ref().map(|sketch| sketch.standard_deviation)),
        }
    }
}

/// The minimum and its certificate. All bounds include the rounding errors of the sums over rows.
#[derive(Clone, Copy, Debug)]
pub struct Optimum {
    /// The parameters β₁, β₂, β₃ and the intercept.
    pub parameters: Parameters,
    /// Asymptotic standard errors: the square roots of the diagonal of H⁻¹ (Fisher information; with the penalty as in
    /// le Cessie & van Houwelingen, Ridge estimators in logistic regression, Applied Statistics 41, 1992).
    pub standard_errors: [f64; 4],
    /// Log-likelihood ℓ at the minimum.
    pub log_likelihood: f64,
    /// Upper bound of the largest absolute entry of the gradient.
    pub gradient_norm: f64,
    /// Upper bound of √(gᵀH⁻¹g): the distance to the exact minimum, in standard errors.
    pub newton_decrement: f64,
    /// Upper bound of the errors of the parameters, each relative to its parameter. Errors that change the log-odds by
    /// less than 1e-13 per standard deviation of the predictor count as 0. The largest value is 1: not even the sign is
    /// certain.
    pub relative_error: f64,
    /// Number of Newton steps taken.
    pub steps: u32,
}

/// The result of the method, or the reason why it does not converge from a start; another start may succeed.
type Convergence<T> = std::result::Result<T, String>;

/// Minimises `objective`, starting from `start`. `start` and the result are parameters of the original predictors.
///
/// # Errors
/// Fails if the objective cannot be evaluated.
pub fn minimise(objective: &impl Objective, spread: &Spread, start: &Parameters) -> Result<Convergence<Optimum>> {
    let mut basis = Basis::centred(spread.centre);
    let mut gamma = basis.of_parameters(start);
    let mut here = objective.at(&basis, &gamma)?;
    let (mut steps, mut bases) = (0, 0);
    loop {
        let factor = Cholesky::of(&here.hessian);
        if factor.least_pivot() < LEAST_PIVOT && bases < MOST_BASES {
            let next = basis.followed_by(&factor.unit_factor());
            gamma = next.of_parameters(&basis.parameters(&gamma));
            here = objective.at(&next, &gamma)?;
            basis = next;
            bases += 1;
            continue;
        }
        if !factor.is_positive_definite() {
            return Ok(Err(format!("the Hessian at {:?} is singular", basis.parameters(&gamma))));
        }
        let certificate = Certificate::of(&basis, &gamma, &here, &factor, spread);
        if certificate.step <= TOLERANCE || certificate.is_rounding {
            return Ok(Ok(Optimum {
                parameters: basis.parameters(&gamma),
                standard_errors: std::array::from_fn(|j| factor.norm(&basis.solve(&unit(j)))),
                log_likelihood: here.log_likelihood,
                gradient_norm: certificate.gradient_norm,
                newton_decrement: certificate.newton_decrement,
                relative_error: certificate.relative_error,
                steps,
            }));
        }
        if steps == MOST_STEPS {
            return Ok(Err(format!("{MOST_STEPS} Newton steps were not enough")));
        }
        let Some(next) = take_step(objective, &basis, &gamma, &here, &factor)? else {
            return Ok(Err(format!("no step from {:?} lowers the objective", basis.parameters(&gamma))));
        };
        (gamma, here) = next;
        steps += 1;
    }
}

/// Bounds of the distance between a point and the minimum.
struct Certificate {
    /// Size of the next Newton step, in standard errors or relative to a parameter, whichever is larger.
    step: f64,
    /// Whether the gradient consists only of rounding errors, so that a further step is not known to come nearer.
    is_rounding: bool,
    gradient_norm: f64,
    newton_decrement: f64,
    relative_error: f64,
}

impl Certificate {
    fn of(basis: &Basis, gamma: &Parameters, here: &Evaluation, factor: &Cholesky, spread: &Spread) -> Self {
        let (gradient, error) = (&here.gradient, &here.gradient_error);
        let parameters = basis.parameters(gamma);
        // The parameters of the predictors are stored as doubles, which changes each by up to half a unit in its last
        // digit.
        let last_digit = |parameter: f64| f64::EPSILON / 2.0 * parameter.abs();
        let rounding = parameters.map(last_digit);
        let hessian = in_predictors(basis, &here.hessian);
        let of_error: f64 = (0..4).map(|k| error[k] * factor.norm(&unit(k))).sum();
        let of_rounding: f64 = (0..4).map(|j| rounding[j] * hessian[j][j].sqrt()).sum();
        let mut certificate = Self {
            step: factor.norm(gradient),
            // The gradient cannot be nearer to 0 than its own errors and the last digits of γ allow.
            is_rounding: (0..4).all(|k| {
                let of_gamma = sum_of_sizes(&here.hessian[k], &gamma.map(last_digit));
                gradient[k].abs() <= 2.0 * (error[k] + of_gamma)
            }),
            gradient_norm: 0.0,
            newton_decrement: factor.norm(gradient) + of_error + of_rounding,
            relative_error: 0.0,
        };
        for j in 0..4 {
            let row = &basis.upper()[j];
            let entry = dot(row, gradient).abs() + sum_of_sizes(row, error) + sum_of_sizes(&hessian[j], &rounding);
            certificate.gradient_norm = certificate.gradient_norm.max(entry);

            // The effect of the step and of the gradient's errors on β_j = (U⁻¹ e_j)·γ.
            let influence = factor.solve(&basis.solve(&unit(j)));
            let step = dot(&influence, gradient).abs();
            let error = step + sum_of_sizes(&influence, error) + rounding[j];
            let standard_deviation = spread.standard_deviation.get(j).copied().unwrap_or(1.0);
            if error * standard_deviation > NEGLIGIBLE {
                certificate.step = certificate.step.max(step / parameters[j].abs());
                certificate.relative_error = certificate.relative_error.max((error / parameters[j].abs()).min(1.0));
            }
        }
        certificate
    }
}

/// Takes a Newton step. The step is shortened as long as it passes the minimum along its direction and the function
/// rises again. `None` if no step lowers the objective.
fn take_step(
    objective: &impl Objective,
    basis: &Basis,
    gamma: &Parameters,
    here: &Evaluation,
    factor: &Cholesky,
) -> Result<Option<(Parameters, Evaluation)>> {
    let direction = factor.solve(&here.gradient).map(|step| -step);
    let slope = dot(&direction, &here.gradient);
    let mut scale = 1.0;
    for _ in 0..=MOST_HALVINGS {
        let trial: Parameters = std::array::from_fn(|k| gamma[k] + scale * direction[k]);
        let there = objective.at(basis, &trial)?;
        // The slope shows progress even if the difference of the values is lost in rounding.
        let slope_there = dot(&direction, &there.gradient);
        let beyond = slope_there > 0.0 && (slope_there > -slope / 2.0 || there.value > here.value);
        if !beyond
            && slope_there.is_finite()
            && there.value.is_finite()
            && Cholesky::of(&there.hessian).least_pivot().is_finite()
        {
            return Ok(Some((trial, there)));
        }
        scale /= 2.0;
    }
    Ok(None)
}

/// Returns the Hessian with respect to the parameters of the predictors, U H Uᵀ.
fn in_predictors(basis: &Basis, hessian: &[[f64; 4]; 4]) -> [[f64; 4]; 4] {
    let rows = basis.upper().map(|row| hessian.map(|column| dot(&row, &column)));
    rows.map(|row| basis.upper().map(|column| dot(&row, &column)))
}

fn unit(j: usize) -> [f64; 4] {
    std::array::from_fn(|i| f64::from(u8::from(i == j)))
}

fn dot(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn sum_of_sizes(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a * b).abs()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::PenalisedLikelihood;
    use crate::objective::tests::{Fabricated, fabricated};
    use crate::start::starts;
    use common::config::Regularization;
    use dataset::TrainingRows;
    use std::cell::Cell;

    fn c() -> Regularization {
        Regularization::new(1.0).unwrap()
    }

    fn optimum(rows: &Fabricated, start: Parameters) -> Optimum {
        minimise(&PenalisedLikelihood::new(rows, c()), &Spread::of(rows.summary()), &start).unwrap().unwrap()
    }

    #[test]
    fn every_start_ends_at_the_same_optimum() {
        let rows = fabricated(3000);
        let reference = optimum(&rows, [0.0; 4]);
        assert!(reference.newton_decrement <= 1e-9 && reference.steps < 12, "{reference:?}");
        for start in [[0.01, 0.001, -0.02, 3.0], [-0.1, 0.0, 0.1, -20.0]] {
            let optimum = optimum(&rows, start);
            for (a, b) in optimum.parameters.iter().zip(reference.parameters) {
                assert!((a - b).abs() <= 1e-9 * b.abs(), "{optimum:?} {reference:?}");
            }
        }
    }

    #[test]
    fn separable_data_have_a_finite_optimum_thanks_to_the_penalty() {
        let columns = [(0..40).map(f64::from).collect(), vec![1.0; 40], vec![0.0; 40]];
        let target: Vec<f64> = (0..40).map(|i| f64::from(i >= 20)).collect();
        let optimum = optimum(&Fabricated::new(columns, target), [0.0; 4]);
        assert!(optimum.parameters[0] > 0.0 && optimum.parameters[0].is_finite(), "{optimum:?}");
        assert_eq!(optimum.parameters[1..3], [0.0; 2], "constant predictors");
    }

    #[test]
    fn units_offsets_and_repeated_predictors_change_nothing_that_is_determined() {
        let ([first, second, third], target) = testkit::signal(2000);
        let plain = optimum(&Fabricated::new([first.clone(), second.clone(), third.clone()], target.clone()), [0.0; 4]);
        let moved = first.iter().map(|x| x + 1e9).collect();
        let scaled = third.iter().map(|x| x * 2f64.powi(20)).collect();
        let other = optimum(&Fabricated::new([moved, second.clone(), scaled], target.clone()), [0.0; 4]);
        for j in [0, 1] {
            assert!((other.parameters[j] / plain.parameters[j] - 1.0).abs() < 1e-6, "{plain:?} {other:?}");
        }
        // For a predictor and its double, the penalty gives the double twice the coefficient.
        let twice = first.iter().map(|x| x * 2.0).collect();
        let repeated = optimum(&Fabricated::new([first, twice, third], target), [0.0; 4]);
        assert!((repeated.parameters[1] / repeated.parameters[0] - 2.0).abs() < 1e-9, "{repeated:?}");
        for fitted in [plain, other, repeated] {
            assert!(fitted.relative_error < 1e-6, "{fitted:?}");
        }
    }

    #[test]
    fn the_rows_are_asked_once_at_the_start_and_once_for_each_step() {
        struct Counting<'a>(PenalisedLikelihood<'a>, Cell<u32>);
        impl Objective for Counting<'_> {
            fn at(&self, basis: &Basis, gamma: &Parameters) -> anyhow::Result<Evaluation> {
                self.1.set(self.1.get() + 1);
                self.0.at(basis, gamma)
            }
        }
        let rows = fabricated(3000);
        let counting = Counting(PenalisedLikelihood::new(&rows, c()), Cell::new(0));
        let spread = Spread::of(rows.summary());
        let start = starts(&rows, &spread, c()).unwrap()[0];
        let optimum = minimise(&counting, &spread, &start).unwrap().unwrap();
        assert_eq!(counting.1.get(), optimum.steps + 1);
    }

    /// A linear objective without a minimum. Its Hessian is the same everywhere, with the given number off the
    /// diagonal.
    struct Strange(f64);
    impl Objective for Strange {
        fn at(&self, _: &Basis, gamma: &Parameters) -> anyhow::Result<Evaluation> {
            let mut hessian: [[f64; 4]; 4] = std::array::from_fn(unit);
            hessian[1][0] = self.0;
            hessian[0][1] = self.0;
            let (value, gradient) = (-gamma[0], [-1.0, 0.0, 0.0, 0.0]);
            Ok(Evaluation { value, log_likelihood: -value, gradient, gradient_error: [0.0; 4], hessian })
        }
    }

    #[test]
    fn no_minimum_is_an_error_and_not_a_model() {
        let spread = Spread { centre: [0.0; 3], standard_deviation: [1.0; 3] };
        let fails = |strange| minimise(&strange, &spread, &[0.0; 4]).unwrap().unwrap_err();
        assert_eq!(fails(Strange(0.0)), "200 Newton steps were not enough");
        // An indefinite Hessian gives a negative decrement, which must not be taken for a small one.
        let indefinite = fails(Strange(2.0));
        assert!(indefinite.contains("is singular"), "{indefinite}");
    }

    #[test]
    fn an_error_of_the_objective_stays_what_it_is() {
        struct Lost;
        impl Objective for Lost {
            fn at(&self, _: &Basis, _: &Parameters) -> anyhow::Result<Evaluation> {
                anyhow::bail!("the server is away")
            }
        }
        let spread = Spread { centre: [0.0; 3], standard_deviation: [1.0; 3] };
        let error = minimise(&Lost, &spread, &[0.0; 4]).unwrap_err();
        assert_eq!(error.to_string(), "the server is away");
    }
}
