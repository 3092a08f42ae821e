//! The exact upper bound of a chance after some hits in some trials.

/// The largest chance under which so few hits would still be as likely as `1 - confidence` (Clopper and Pearson, one-sided). With no hit it is
/// `1 - (1 - confidence)^(1/trials)`.
pub fn upper_bound(hits: u64, trials: u64, confidence: f64) -> f64 {
    if hits >= trials {
        return 1.0;
    }
    let alpha = 1.0 - confidence;
    if hits == 0 {
        return 1.0 - alpha.powf(1.0 / trials as f64);
    }
    // The chance of at most so many hits falls as p rises: halve the interval until a double has no more room.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if at_most(hits, trials, middle) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The chance of at most `hits` hits, each of chance `p`.
fn at_most(hits: u64, trials: u64, p: f64) -> f64 {
    if p >= 1.0 {
        return 0.0;
    }
    // Logarithms, because (1 - p)^n underflows.
    let mut term = trials as f64 * (-p).ln_1p();
    let mut sum = term.exp();
    for k in 0..hits {
        term += ((trials - k) as f64 / (k + 1) as f64).ln() + p.ln() - (-p).ln_1p();
        sum += term.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::upper_bound;

    #[test]
    fn bounds_are_those_of_the_tables() {
        // The smallest counts whose bound is one in a thousand, and one hit, from the binomial distribution itself.
        for (hits, trials, confidence, expected) in [
            (0, 2995, 0.95, 0.001),
            (0, 4603, 0.99, 0.001),
            (0, 6905, 0.999, 0.001),
            (1, 4742, 0.95, 0.001),
        ] {
            let bound = upper_bound(hits, trials, confidence);
            assert!(bound <= expected, "{hits} of {trials}: {bound}");
            let bound = upper_bound(hits, trials - 5, confidence);
            assert!(bound > expected, "{hits} of {}: {bound}", trials - 5);
        }
        assert_eq!(upper_bound(3, 3, 0.95), 1.0);
        assert_eq!(upper_bound(0, 0, 0.95), 1.0);
    }
}
