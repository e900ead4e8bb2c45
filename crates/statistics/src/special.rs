//! Distribution functions for the p-values.

use std::f64::consts::PI;

/// The 97.5 % quantile of the standard normal distribution: a 95 % interval extends by this many standard errors to
/// either side.
pub(crate) const NORMAL_97_5: f64 = 1.959_963_984_540_054;

/// Returns P(X > x) of a chi-square variable with `degrees` ≥ 1 degrees of freedom: Q(degrees/2, x/2).
pub(crate) fn chi_square_survival(x: f64, degrees: usize) -> f64 {
    upper_gamma(degrees as f64 / 2.0, x / 2.0)
}

/// Returns the x that a chi-square variable exceeds with probability `survival`, in (0, 1). Uses bisection down to the
/// last bits.
pub(crate) fn chi_square_quantile(survival: f64, degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while chi_square_survival(high, degrees) > survival {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if chi_square_survival(middle, degrees) > survival { low = middle } else { high = middle }
    }
    high
}

/// Returns P(D > `distance`) for the KS statistic D of `n` values and their true distribution. With z = √n·D, it is
/// Kolmogorov's limit at z + 1/(6√n) + (z − 1)/(4n) (Vrbik, Small-sample corrections to Kolmogorov–Smirnov test
/// statistic, 2018). The error is at most 0.003 at n = 10 and 0.0002 at n = 100.
pub(crate) fn kolmogorov_survival(distance: f64, n: f64) -> f64 {
    let z = distance * n.sqrt();
    kolmogorov_limit(z + 1.0 / (6.0 * n.sqrt()) + (z - 1.0) / (4.0 * n))
}

/// Computes 2 Σ (−1)ᵏ⁻¹ exp(−2k²z²), k ≥ 1. For small z this series converges slowly, so 1 − √(2π)/z Σ
/// exp(−(2k−1)²π²/(8z²)) is used.
fn kolmogorov_limit(z: f64) -> f64 {
    const TERMS: i32 = 6; // each series has converged to 1e-16 on its side of 1
    if z <= 0.05 {
        return 1.0; // accurate to 1e-200
    }
    let survival = if z < 1.0 {
        let sum: f64 = (1..=TERMS).map(|k| (-(f64::from(2 * k - 1) * PI / z).powi(2) / 8.0).exp()).sum();
        1.0 - (2.0 * PI).sqrt() / z * sum
    } else {
        let sign = |k| if k % 2 == 1 { 2.0 } else { -2.0 };
        (1..=TERMS).map(|k| sign(k) * (-2.0 * (f64::from(k) * z).powi(2)).exp()).sum()
    };
    survival.clamp(0.0, 1.0)
}

/// Returns P(X ≤ x) of a standard normal variable. It is computed from the tail on the side of x, half of Q(½, x²/2).
pub(crate) fn normal_cdf(x: f64) -> f64 {
    let tail = 0.5 * upper_gamma(0.5, 0.5 * x * x);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Returns the regularised upper incomplete gamma function Q(a, x) for a > 0, x ≥ 0. Below a + 1 it uses the series of
/// P = 1 − Q, above the continued fraction (Press et al., Numerical Recipes, 3rd ed. 2007, §6.2).
pub(crate) fn upper_gamma(a: f64, x: f64) -> f64 {
    const LIMIT: usize = 10_000; // far more than any a below a million needs
    if x <= 0.0 {
        return 1.0;
    }
    let factor = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for k in 1..LIMIT {
            term *= x / (a + k as f64);
            sum += term;
            if term < sum * f64::EPSILON {
                break;
            }
        }
        return (1.0 - factor * sum).clamp(0.0, 1.0);
    }
    // Lentz's method. Beyond a + 1 no denominator can be 0.
    let mut b = x + 1.0 - a;
    let mut c = f64::INFINITY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for k in 1..LIMIT {
        let numerator = k as f64 * (a - k as f64);
        b += 2.0;
        d = 1.0 / (b + numerator * d);
        c = b + numerator / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    (factor * fraction).clamp(0.0, 1.0)
}

/// Returns ln Γ(x) for x > 0, by Stirling's series (Abramowitz & Stegun 6.1.41). For small x, Γ(x + 1) = x Γ(x) is
/// applied first.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let coefficients = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0];
    let series = coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * square + coefficient) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + series - f64::ln(product)
}

/// Returns the logarithm of the number of ways to choose `part` of `whole` items.
pub(crate) fn ln_choose(whole: u64, part: u64) -> f64 {
    let ln_factorial = |n: u64| ln_gamma(n as f64 + 1.0);
    ln_factorial(whole) - ln_factorial(part) - ln_factorial(whole - part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(ours: f64, known: f64) {
        assert!((ours - known).abs() <= 1e-12 * known.abs().max(1e-3), "{ours}, known {known}");
    }

    #[test]
    fn known_values() {
        // Reference values of scipy.special.gammaln, gammaincc and kolmogorov, and of scipy.stats.norm.cdf, chi2.sf and
        // chi2.isf.
        close(ln_gamma(0.5), 0.5723649429247);
        close(ln_gamma(3.0), std::f64::consts::LN_2);
        close(ln_gamma(10.0), 12.801827480081469);
        close(ln_gamma(10000000.0), 151180949.36947393);
        close(upper_gamma(0.5, 0.1), 0.6547208460185768);
        close(upper_gamma(0.5, 4.0), 0.004677734981047276);
        close(upper_gamma(3.0, 2.5), 0.5438131158833297);
        close(upper_gamma(5.5, 30.0), 9.272161502836452e-09);
        close(upper_gamma(1000.0, 1010.0), 0.37232105526300524);
        close(kolmogorov_limit(0.3), 0.9999906941986655);
        close(kolmogorov_limit(0.9), 0.3927307079406543);
        close(kolmogorov_limit(1.0), 0.26999967167735456);
        close(kolmogorov_limit(1.3581), 0.0499996304316674);
        close(kolmogorov_limit(2.5), 7.453306344157342e-06);
        close(normal_cdf(-1.96), 0.024997895148220435);
        close(normal_cdf(0.3), 0.6179114221889526);
        close(normal_cdf(3.0), 0.9986501019683699);
        close(normal_cdf(NORMAL_97_5), 0.975);
        close(chi_square_survival(3.0, 1), 0.08326451666355042);
        close(chi_square_survival(20.0, 9), 0.017912404529843298);
        close(chi_square_quantile(0.05, 9), 16.91897760462045);
        close(chi_square_quantile(0.05, 1), 3.8414588206941285);
    }

    #[test]
    fn ends_are_probabilities() {
        assert_eq!((upper_gamma(3.0, 0.0), upper_gamma(3.0, 1e6)), (1.0, 0.0));
        assert_eq!((normal_cdf(-50.0), normal_cdf(50.0)), (0.0, 1.0));
        assert_eq!((kolmogorov_limit(-1.0), kolmogorov_limit(0.0), kolmogorov_limit(50.0)), (1.0, 1.0, 0.0));
        assert_eq!((kolmogorov_survival(0.0, 10.0), kolmogorov_survival(1.0, 1e6)), (1.0, 0.0));
    }
}
