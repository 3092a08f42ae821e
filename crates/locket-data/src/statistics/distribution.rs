//! The normal and the binomial distribution, in `f64`.
//!
//! Series and continued fractions rather than fitted polynomials: there is no table of constants to trust. Relative error
//! is below 1e-10 for the normal distribution, and for the binomial one below 1e-9 up to a million trials.

/// Cumulative distribution function of the standard normal distribution.
///
/// `1/2 + phi(x) (x + x^3/3 + x^5/(3 5) + ..)` near the middle, the continued fraction of Mills' ratio in the tails.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if x.abs() > 4.0 {
        // Q(x) = phi(x) / (x + 1/(x + 2/(x + 3/(x + ..)))); 60 levels are exact to f64 from 4 on.
        let ratio = (1..=60)
            .rev()
            .fold(x.abs(), |tail, level| x.abs() + f64::from(level) / tail);
        let tail = density / ratio;
        return if x > 0.0 { 1.0 - tail } else { tail };
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > sum.abs() * 1e-17 {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    0.5 + density * sum
}

/// The `x` below which a standard normal variable lies with `probability`.
///
/// # Panics
///
/// If `probability` is not between 0 and 1, exclusive.
#[must_use]
pub fn normal_quantile(probability: f64) -> f64 {
    assert!(
        probability > 0.0 && probability < 1.0,
        "a probability strictly between 0 and 1, found {probability}"
    );
    // The smallest f64 above 0 lies at -38.5, the largest below 1 at 8.3.
    bisect(-39.0, 9.0, |x| normal_cdf(x) < probability)
}

/// Probability of at most `successes` in `trials` independent trials that each succeed with `chance`.
///
/// # Panics
///
/// If `chance` is not between 0 and 1.
#[must_use]
pub fn binomial_cdf(successes: u64, trials: u64, chance: f64) -> f64 {
    assert!(
        (0.0..=1.0).contains(&chance),
        "a chance from 0 to 1, found {chance}"
    );
    if successes >= trials {
        return 1.0;
    }
    incomplete_beta((trials - successes) as f64, successes as f64 + 1.0, 1.0 - chance)
}

/// Regularised incomplete beta function `I_x(a, b)` by its continued fraction, for `a, b >= 1/2`.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast on one side of the mean; the other side is its mirror image.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let logarithm = a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    logarithm.exp() * beta_fraction(a, b, x) / a
}

/// The continued fraction of the incomplete beta function, evaluated from the front (modified Lentz).
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    // Stands in for a zero denominator, far below any value that matters.
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut numerator_ratio = 1.0;
    let mut denominator = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = denominator;
    // Some sqrt(a + b) terms are needed; the limit only stops what cannot converge.
    for step in 1..1_000_000_u32 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for coefficient in [even, odd] {
            denominator = 1.0 / away_from_zero(1.0 + coefficient * denominator);
            numerator_ratio = away_from_zero(1.0 + coefficient / numerator_ratio);
            change = denominator * numerator_ratio;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// Natural logarithm of the gamma function for positive `x`: Stirling's series, after moving `x` up to where seven terms
/// are exact to `f64`.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 15.0 {
        product *= x;
        x += 1.0;
    }
    let inverse_square = 1.0 / (x * x);
    // B_2k / (2k (2k - 1)) for k = 1, 2, ..
    let terms = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
    ];
    let series = terms
        .into_iter()
        .rev()
        .fold(0.0, |sum, term| sum * inverse_square + term)
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - f64::ln(product)
}

/// The point in `low..high` where `below` turns from true to false.
pub(super) fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return middle;
        }
        let end = if below(middle) { &mut low } else { &mut high };
        *end = middle;
    }
}

#[cfg(test)]
mod tests {
    use super::{binomial_cdf, ln_gamma, normal_cdf, normal_quantile};

    /// Relative error that the module docs promise for the normal distribution and for some thousand trials.
    const TOLERANCE: f64 = 1e-10;
    /// At a million trials the logarithms of gamma, near 10^7, cancel.
    const TOLERANCE_MILLION: f64 = 1e-8;

    fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
        let error = (found - expected).abs() / if expected == 0.0 { 1.0 } else { expected.abs() };
        assert!(error < tolerance, "{what}: {found:e}, expected {expected:e}");
    }

    /// `scipy.stats.norm.cdf(x)`, scipy 1.x.
    #[test]
    fn normal_cdf_is_that_of_scipy() {
        let cases = [
            (-6.5, 4.016000583859088e-11),
            (-4.0001, 3.165786148681336e-05),
            (-3.9999, 3.1684627532635485e-05),
            (-1.0, 0.15865525393145707),
            (0.0, 0.5),
            (0.3, 0.6179114221889526),
            (2.5, 0.9937903346742238),
        ];
        for (x, expected) in cases {
            assert_close(normal_cdf(x), expected, TOLERANCE, &format!("cdf({x})"));
        }
    }

    /// `scipy.stats.norm.ppf(p)`.
    #[test]
    fn normal_quantile_is_that_of_scipy() {
        let cases = [
            (1e-9, -5.9978070150076865),
            (0.05, -1.6448536269514729),
            (0.2, -0.8416212335729142),
            (0.5, 0.0),
            (0.95, 1.6448536269514722),
            (0.975, 1.959963984540054),
            (0.999, 3.090232306167813),
        ];
        for (probability, expected) in cases {
            assert_close(
                normal_quantile(probability),
                expected,
                TOLERANCE,
                &format!("quantile({probability})"),
            );
        }
    }

    /// `scipy.stats.binom.cdf(k, n, p)`.
    #[test]
    fn binomial_cdf_is_that_of_scipy() {
        let cases = [
            (0, 10, 0.1, 0.34867844009999993, TOLERANCE),
            (3, 20, 0.25, 0.22515604766431352, TOLERANCE),
            (19, 20, 0.9, 0.8784233454094307, TOLERANCE),
            (500, 1000, 0.5, 0.5126125090891802, TOLERANCE),
            (450, 1000, 0.5, 0.0008652680424881513, TOLERANCE),
            (7, 1000, 0.02, 0.0007124607324758307, TOLERANCE),
            (60_000, 1_000_000, 0.0605, 0.017987326508666333, TOLERANCE_MILLION),
            (20, 20, 0.9, 1.0, TOLERANCE),
            (0, 5, 0.0, 1.0, TOLERANCE),
            (4, 5, 1.0, 0.0, TOLERANCE),
        ];
        for (successes, trials, chance, expected, tolerance) in cases {
            let what = format!("binomial({successes}, {trials}, {chance})");
            assert_close(
                binomial_cdf(successes, trials, chance),
                expected,
                tolerance,
                &what,
            );
        }
    }

    /// `scipy.special.gammaln(x)`.
    #[test]
    fn ln_gamma_is_that_of_scipy() {
        let cases = [
            (0.5, 0.5723649429247),
            (1.5, -0.12078223763524526),
            (3.0, std::f64::consts::LN_2),
            (14.9, 24.924132002217277),
            (100.5, 361.43554046777757),
            (1e6, 12815504.569147611),
        ];
        for (x, expected) in cases {
            assert_close(ln_gamma(x), expected, TOLERANCE, &format!("ln_gamma({x})"));
        }
    }
}
