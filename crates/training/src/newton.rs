//! Newton's method for a convex function of any number of parameters (Boyd & Vandenberghe, Convex Optimization, 2004,
//! §9.5). For the logistic likelihood this is iteratively reweighted least squares.
//!
//! The method begins with centred numbers. If these are nearly collinear with other columns, the factor of the Hessian
//! gives the next [`Basis`], in which the numbers are nearly uncorrelated, and the rows are summed again in this basis.
//! So no digits are lost because of the units of the numbers, an offset, or a number that other columns determine.
//! Indicators that determine each other need no better basis: they are 0 or 1, and the penalty makes their differences
//! unique.

use anyhow::Result;
use common::schema::{Predictor, Transform};
use dataset::basis::Basis;
use dataset::design::Design;
use dataset::likelihood::Parameters;
use dataset::{PredictorSummary, TrainingSummary};
use nalgebra::DVector;
use statistics::sketch::Sketch;

use crate::certificate::{Certificate, is_rounding};
use crate::cholesky::Cholesky;
use crate::objective::{Evaluation, Objective};

/// The method ends when a step is smaller than this, both in standard errors and relative to each coefficient.
const TOLERANCE: f64 = 1e-10;
/// The basis is changed if the other columns leave less than this share of a number unexplained.
const LEAST_PIVOT: f64 = 1e-5;
const MOST_STEPS: u32 = 200;
const MOST_BASES: u32 = 20;
const MOST_HALVINGS: u32 = 60;

/// The typical values of the numbers: x − `centre` has the magnitude of `standard_deviation`.
#[derive(Clone, Debug)]
pub struct Spread {
    /// A value in the middle of each number's range; for a constant number its value.
    pub centre: Vec<f64>,
    /// Standard deviation of each number; 0 for a constant number.
    pub standard_deviation: Vec<f64>,
    /// Signed distance from the centre to the farthest value of each number; 0 if unknown.
    pub farthest: Vec<f64>,
}

impl Spread {
    /// Uses the medians as centres. They are values that occur, so a constant number is exactly 0 when centred.
    pub fn of(summary: &TrainingSummary, predictors: &[Predictor]) -> Self {
        let (mut centres, mut standard_deviation, mut farthest) = (Vec::new(), Vec::new(), Vec::new());
        for (summary, predictor) in summary.predictors.iter().zip(predictors) {
            if let PredictorSummary::Number { median, sketch } = summary {
                let centre = median.map_or(0.0, |median| predictor.transform.apply(median));
                centres.push(centre);
                standard_deviation.push(sketch.as_ref().map_or(1.0, |sketch| deviation(sketch, predictor.transform)));
                farthest.push(sketch.as_ref().map_or(0.0, |sketch| {
                    self::farthest(centre, [sketch.min, sketch.max].map(|value| predictor.transform.apply(value)))
                }));
            }
        }
        Self { centre: centres, standard_deviation, farthest }
    }
}

/// Returns the larger of the two distances from the centre, with its sign.
pub fn farthest(centre: f64, [min, max]: [f64; 2]) -> f64 {
    if centre - min > max - centre { min - centre } else { max - centre }
}

/// Returns the standard deviation of the transformed values; of the transformed quantiles if there is a transform.
fn deviation(sketch: &Sketch, transform: Transform) -> f64 {
    if transform == Transform::None {
        return sketch.standard_deviation;
    }
    let values: Vec<f64> = sketch.quantiles.iter().map(|value| transform.apply(*value)).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// The minimum and its certificate. All bounds include the rounding errors of the sums over rows.
#[derive(Clone, Debug)]
pub struct Optimum {
    /// The coefficient of each term: of every number, then of every level of every category.
    pub coefficients: Vec<f64>,
    /// The intercept, for the predictors as they are in the data.
    pub intercept: f64,
    /// Asymptotic standard errors of the coefficients and, last, of the intercept: the square roots of the diagonal of
    /// H⁻¹ (Fisher information; with the penalty as in le Cessie & van Houwelingen, Ridge estimators in logistic
    /// regression, Applied Statistics 41, 1992).
    pub standard_errors: Vec<f64>,
    /// Log-likelihood ℓ at the minimum.
    pub log_likelihood: f64,
    /// Upper bound of the largest absolute entry of the gradient.
    pub gradient_norm: f64,
    /// Upper bound of √(gᵀH⁻¹g): the distance to the exact minimum, in standard errors.
    pub newton_decrement: f64,
    /// Upper bound of the errors of coefficients and intercept, each relative to its value. Errors that change the
    /// log-odds by less than 1e-13 per standard deviation of the predictor count as 0. The largest value is 1: not even
    /// the sign is certain.
    pub relative_error: f64,
    /// Number of Newton steps taken.
    pub steps: u32,
}

/// The result of the method, or the reason why it does not converge from a start; another start may succeed.
type Convergence<T> = std::result::Result<T, String>;

/// Minimises `objective`, starting from `start`, which contains parameters of the columns of `design`.
///
/// # Errors
/// Fails if the objective cannot be evaluated.
pub fn minimise(
    objective: &impl Objective,
    design: &Design,
    spread: &Spread,
    start: &[f64],
) -> Result<Convergence<Optimum>> {
    let mut basis = Basis::centred(design, &spread.centre);
    let mut gamma = basis.of_parameters(start);
    let mut here = objective.at(&basis, &gamma)?;
    let (mut steps, mut bases) = (0, 0);
    loop {
        let factor = factor(design, &here);
        if factor.least_pivot() < LEAST_PIVOT && bases < MOST_BASES {
            let next = basis.followed_by(&factor.unit_factor());
            gamma = next.of_parameters(&basis.parameters(&gamma));
            here = objective.at(&next, &gamma)?;
            basis = next;
            bases += 1;
            continue;
        }
        if !factor.is_positive_definite() {
            return Ok(Err(format!("the Hessian at {} is singular", few(&basis.parameters(&gamma)))));
        }
        let is_rounding = is_rounding(&gamma, &here);
        if is_rounding || factor.norm(&here.gradient) <= TOLERANCE {
            let certificate = Certificate::of(&basis, &gamma, &here, &factor, spread);
            if is_rounding || certificate.step <= TOLERANCE {
                return Ok(Ok(Optimum {
                    coefficients: certificate.coefficients,
                    intercept: certificate.intercept,
                    standard_errors: certificate.standard_errors,
                    log_likelihood: here.log_likelihood,
                    gradient_norm: certificate.gradient_norm,
                    newton_decrement: certificate.newton_decrement,
                    relative_error: certificate.relative_error,
                    steps,
                }));
            }
        }
        if steps == MOST_STEPS {
            return Ok(Err(format!("{MOST_STEPS} Newton steps were not enough")));
        }
        let Some(next) = take_step(objective, &basis, &gamma, &here, &factor)? else {
            return Ok(Err(format!("no step from {} lowers the objective", few(&basis.parameters(&gamma)))));
        };
        (gamma, here) = next;
        steps += 1;
    }
}

/// Factorises the Hessian. The penalty alone gives lower bounds of the pivots of indicators: after all but n levels of
/// a category have been eliminated, the block (I − 1/n) / C is left of it.
fn factor(design: &Design, here: &Evaluation) -> Cholesky {
    let mut penalty = vec![0.0; design.width()];
    for category in 0..design.categories().len() {
        for (position, column) in design.indicators(category).enumerate() {
            penalty[column] = here.penalty * (1.0 - 1.0 / (position + 2) as f64);
        }
    }
    Cholesky::of(&here.hessian, design.numbers(), &penalty)
}

/// Writes the first values of a vector and the last one.
fn few(values: &[f64]) -> String {
    match values {
        [first, second, third, .., last] if values.len() > 4 => format!("[{first}, {second}, {third}, …, {last}]"),
        _ => format!("{values:?}"),
    }
}

/// Takes a Newton step. The step is shortened as long as it passes the minimum along its direction and the function
/// rises again. `None` if no step lowers the objective.
fn take_step(
    objective: &impl Objective,
    basis: &Basis,
    gamma: &[f64],
    here: &Evaluation,
    factor: &Cholesky,
) -> Result<Option<(Parameters, Evaluation)>> {
    let direction: DVector<f64> = -factor.solve(&here.gradient);
    let slope = direction.dot(&here.gradient);
    let mut scale = 1.0;
    for _ in 0..=MOST_HALVINGS {
        let trial: Parameters =
            gamma.iter().zip(&direction).map(|(gamma, direction)| gamma + scale * direction).collect();
        let there = objective.at(basis, &trial)?;
        // The slope shows progress even if the difference of the values is lost in rounding.
        let slope_there = direction.dot(&there.gradient);
        let beyond = slope_there > 0.0 && (slope_there > -slope / 2.0 || there.value > here.value);
        if !beyond
            && slope_there.is_finite()
            && there.value.is_finite()
            && self::factor(basis.design(), &there).is_finite()
        {
            return Ok(Some((trial, there)));
        }
        scale /= 2.0;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::PenalisedLikelihood;
    use crate::objective::tests::{Fabricated, fabricated};
    use crate::start::starts;
    use common::config::Regularization;
    use dataset::TrainingRows;
    use nalgebra::DMatrix;
    use std::cell::Cell;

    fn c() -> Regularization {
        Regularization::new(1.0).unwrap()
    }

    fn optimum(rows: &Fabricated, start: [f64; 4]) -> Optimum {
        let objective = PenalisedLikelihood::new(rows, c());
        minimise(&objective, rows.design(), &rows.spread(), &start).unwrap().unwrap()
    }

    #[test]
    fn every_start_ends_at_the_same_optimum() {
        let rows = fabricated(3000);
        let reference = optimum(&rows, [0.0; 4]);
        assert!(reference.newton_decrement <= 1e-9 && reference.steps < 12, "{reference:?}");
        for start in [[0.01, 0.001, -0.02, 3.0], [-0.1, 0.0, 0.1, -20.0]] {
            let optimum = optimum(&rows, start);
            let pairs = optimum.coefficients.iter().zip(&reference.coefficients);
            for (a, b) in pairs.chain([(&optimum.intercept, &reference.intercept)]) {
                assert!((a - b).abs() <= 1e-9 * b.abs(), "{optimum:?} {reference:?}");
            }
        }
    }

    #[test]
    fn separable_data_have_a_finite_optimum_thanks_to_the_penalty() {
        let columns = [(0..40).map(f64::from).collect(), vec![1.0; 40], vec![0.0; 40]];
        let target: Vec<f64> = (0..40).map(|i| f64::from(i >= 20)).collect();
        let optimum = optimum(&Fabricated::new(columns, target), [0.0; 4]);
        assert!(optimum.coefficients[0] > 0.0 && optimum.coefficients[0].is_finite(), "{optimum:?}");
        assert_eq!(optimum.coefficients[1..3], [0.0; 2], "constant predictors");
    }

    #[test]
    fn units_offsets_and_repeated_predictors_change_nothing_that_is_determined() {
        let ([first, second, third], target) = testkit::signal(2000);
        let plain = optimum(&Fabricated::new([first.clone(), second.clone(), third.clone()], target.clone()), [0.0; 4]);
        let moved = first.iter().map(|x| x + 1e9).collect();
        let scaled = third.iter().map(|x| x * 2f64.powi(20)).collect();
        let other = optimum(&Fabricated::new([moved, second.clone(), scaled], target.clone()), [0.0; 4]);
        for j in [0, 1] {
            assert!((other.coefficients[j] / plain.coefficients[j] - 1.0).abs() < 1e-6, "{plain:?} {other:?}");
        }
        // For a predictor and its double, the penalty gives the double twice the coefficient.
        let twice = first.iter().map(|x| x * 2.0).collect();
        let repeated = optimum(&Fabricated::new([first, twice, third], target), [0.0; 4]);
        assert!((repeated.coefficients[1] / repeated.coefficients[0] - 2.0).abs() < 1e-9, "{repeated:?}");
        for fitted in [plain, other, repeated] {
            assert!(fitted.relative_error < 1e-6, "{fitted:?}");
        }
    }

    #[test]
    fn the_rows_are_asked_once_at_the_start_and_once_for_each_step() {
        struct Counting<'a>(PenalisedLikelihood<'a>, Cell<u32>);
        impl Objective for Counting<'_> {
            fn at(&self, basis: &Basis, gamma: &[f64]) -> anyhow::Result<Evaluation> {
                self.1.set(self.1.get() + 1);
                self.0.at(basis, gamma)
            }
        }
        let rows = fabricated(3000);
        let counting = Counting(PenalisedLikelihood::new(&rows, c()), Cell::new(0));
        let spread = rows.spread();
        let start = starts(&rows, &spread, c()).unwrap().remove(0);
        let optimum = minimise(&counting, rows.design(), &spread, &start).unwrap().unwrap();
        assert_eq!(counting.1.get(), optimum.steps + 1);
    }

    /// A linear objective without a minimum. Its Hessian is the same everywhere, with the given number off the
    /// diagonal.
    struct Strange(f64);
    impl Objective for Strange {
        fn at(&self, _: &Basis, gamma: &[f64]) -> anyhow::Result<Evaluation> {
            let mut hessian = DMatrix::identity(4, 4);
            hessian[(1, 0)] = self.0;
            hessian[(0, 1)] = self.0;
            let (value, gradient) = (-gamma[0], DVector::from_vec(vec![-1.0, 0.0, 0.0, 0.0]));
            let gradient_error = DVector::zeros(4);
            Ok(Evaluation { value, log_likelihood: -value, gradient, gradient_error, hessian, penalty: 0.0 })
        }
    }

    #[test]
    fn no_minimum_is_an_error_and_not_a_model() {
        let spread = Spread { centre: vec![0.0; 3], standard_deviation: vec![1.0; 3], farthest: vec![0.0; 3] };
        let fails = |strange| minimise(&strange, &Design::new(3, Vec::new()), &spread, &[0.0; 4]).unwrap().unwrap_err();
        assert_eq!(fails(Strange(0.0)), "200 Newton steps were not enough");
        // An indefinite Hessian gives a negative decrement, which must not be taken for a small one.
        let indefinite = fails(Strange(2.0));
        assert!(indefinite.contains("is singular"), "{indefinite}");
    }

    #[test]
    fn an_error_of_the_objective_stays_what_it_is() {
        struct Lost;
        impl Objective for Lost {
            fn at(&self, _: &Basis, _: &[f64]) -> anyhow::Result<Evaluation> {
                anyhow::bail!("the server is away")
            }
        }
        let spread = Spread { centre: vec![0.0; 3], standard_deviation: vec![1.0; 3], farthest: vec![0.0; 3] };
        let error = minimise(&Lost, &Design::new(3, Vec::new()), &spread, &[0.0; 4]).unwrap_err();
        assert_eq!(error.to_string(), "the server is away");
    }

    /// The tables of newton/golden.json: 60 rows with two numbers and categories of three, five, three and one levels.
    /// The first category and the third are equal, and one level occurs once. In case 1 the second number is a function
    /// of the first category, in case 2 the first number has an offset of 10¹⁵, and in case 3 the classes are
    /// separable.
    fn golden(case: u64) -> Fabricated {
        let rows = 0..60u32;
        let first: Vec<u8> = rows.clone().map(|i| (i % 3) as u8).collect();
        let second: Vec<u8> = rows.clone().map(|i| if i == 59 { 4 } else { (i / 3 % 4) as u8 }).collect();
        let offset = if case == 2 { 1e15 } else { 0.0 };
        let scale = if case == 2 { 8.0 } else { 1.0 };
        let number = |i: u32| offset + scale * f64::from(i * 7 % 13);
        let other = |i: u32| match case {
            1 => 1e15 * [1.0, 5.0, 2.0][i as usize % 3],
            _ => f64::from(i * 5 % 11) / 2.0,
        };
        let left = |i: u32| if case == 3 { i % 3 == 1 } else { (i * i * 3 + i) % 7 < 3 };
        let numbers = vec![rows.clone().map(number).collect(), rows.clone().map(other).collect()];
        let target = rows.map(|i| f64::from(u8::from(left(i)))).collect();
        Fabricated::with_categories(numbers, vec![first.clone(), second, first, vec![0; 60]], target)
    }

    #[test]
    fn terms_agree_with_the_unreduced_problem_in_80_digits_as_well_as_certified() {
        let cases: Vec<serde_json::Value> = serde_json::from_str(include_str!("newton/golden.json")).unwrap();
        assert_eq!(cases.len(), 12);
        for case in cases {
            let rows = golden(case["case"].as_u64().unwrap());
            let spread = rows.spread();
            let c = Regularization::new(case["c"].as_f64().unwrap()).unwrap();
            let objective = PenalisedLikelihood::new(&rows, c);
            let start = vec![0.0; rows.design().width()];
            let optimum = minimise(&objective, rows.design(), &spread, &start)
                .unwrap()
                .unwrap_or_else(|reason| panic!("{case}: {reason}"));
            // With a weak penalty the bound counts the rounding errors of equal columns as if they were independent.
            assert!(optimum.relative_error < 1e-6 * c.c().max(1.0), "{case} {optimum:?}");
            let found = optimum.coefficients.iter().chain([&optimum.intercept]);
            for (j, (found, wanted)) in found.zip(case["values"].as_array().unwrap()).enumerate() {
                let wanted = wanted.as_f64().unwrap();
                let negligible = 1e-13 / spread.standard_deviation.get(j).unwrap_or(&1.0);
                let allowed = (optimum.relative_error + 1e-15) * wanted.abs() + negligible;
                assert!((found - wanted).abs() <= allowed, "{j}: {found} {wanted} {case} {optimum:?}");
            }
        }
    }
}
