//! Numbers as people read them, the same everywhere: decimal bytes, milliseconds with three significant digits,
//! percentages. Anything that is not finite becomes a dash, so that no document prints `NaN`.

/// What stands in place of a number that is not there.
pub const NONE: &str = "–";

const KB: f64 = 1e3;
const MB: f64 = 1e6;
const GB: f64 = 1e9;

/// Bytes in the largest decimal unit of which there is at least one: `512 B`, `7.9 kB`, `3.1 MB`, `1.25 GB`.
pub fn bytes(count: u64) -> String {
    let scale = ByteScale::unit_for(count as f64);
    let value = count as f64 / scale.divisor;
    let decimals = match value {
        _ if scale.divisor == 1.0 => 0,
        ..9.995 if scale.divisor > KB => 2,
        ..99.95 => 1,
        _ => 0,
    };
    let mut number = format!("{value:.decimals$}");
    // 3.10 is read as 3.1 and 8.00 as 8.0: a trailing zero claims nothing, one decimal shows that there is a scale.
    if decimals == 2 && number.ends_with('0') {
        number.pop();
    }
    format!("{number} {}", scale.unit)
}

/// A change in bytes with its sign: `−0.9 MB`, `+12 kB`.
pub fn bytes_change(change: i64) -> String {
    signed(change.cmp(&0), &bytes(change.unsigned_abs()))
}

/// Milliseconds with three significant digits: `0.213 ms`, `38.2 ms`, `124 ms`.
pub fn milliseconds(value_ms: f64) -> String {
    with_unit(value_ms, "ms")
}

/// A change in milliseconds with its sign.
pub fn milliseconds_change(change_ms: f64) -> String {
    if !change_ms.is_finite() {
        return NONE.to_owned();
    }
    signed(change_ms.total_cmp(&0.0), &milliseconds(change_ms.abs()))
}

/// A duration in the unit that suits it, with three significant digits: `840 ns`, `21.3 µs`, `1.24 ms`, `2.51 s`.
pub fn nanoseconds(duration_ns: u64) -> String {
    let value = duration_ns as f64;
    match value {
        ..999.5 => format!("{duration_ns} ns"),
        ..999_500.0 => with_unit(value / 1e3, "µs"),
        ..999_500_000.0 => with_unit(value / 1e6, "ms"),
        _ => with_unit(value / 1e9, "s"),
    }
}

/// An energy in the unit that suits it, with three significant digits: `840 µJ`, `1.24 mJ`.
pub fn microjoules(value_uj: f64) -> String {
    if value_uj.abs() < 999.5 {
        with_unit(value_uj, "µJ")
    } else {
        with_unit(value_uj / 1e3, "mJ")
    }
}

/// A fraction as a percentage with two decimals: `61.18 %`. Used for accuracies and drops.
pub fn percent(fraction: f64) -> String {
    percentage(fraction, 2)
}

/// A change of a fraction in percent with its sign and two decimals.
pub fn percent_change(change: f64) -> String {
    if !change.is_finite() {
        return NONE.to_owned();
    }
    signed(change.total_cmp(&0.0), &percent(change.abs()))
}

/// A limit given by a person, as short as it can be said: `0.7 %`.
pub fn percent_limit(fraction: f64) -> String {
    short_limit(&percentage(fraction, 3))
}

/// A limit in milliseconds, as short as it can be said: `25 ms`, `33.3 ms`.
pub fn milliseconds_limit(limit_ms: f64) -> String {
    short_limit(&milliseconds(limit_ms))
}

/// A limit in bytes, as short as it can be said: `8 MB`.
pub fn bytes_limit(limit: u64) -> String {
    short_limit(&bytes(limit))
}

/// A share of a whole with one decimal: `42.0 %`.
pub fn share(fraction: f64) -> String {
    percentage(fraction, 1)
}

/// A chance, rounded up so that it is never understated, with two significant digits: `0.10 %`.
pub fn chance(fraction: f64) -> String {
    if !fraction.is_finite() || fraction <= 0.0 {
        return if fraction == 0.0 {
            "0 %".to_owned()
        } else {
            NONE.to_owned()
        };
    }
    let value = fraction * 100.0;
    let decimals_for = |value: f64| (1 - value.log10().floor() as i32).clamp(0, 6);
    let step = 10_f64.powi(decimals_for(value));
    // The nudge keeps a value that is exact in decimal from being rounded up a whole step.
    let rounded = (value * step - 1e-9).ceil().max(1.0) / step;
    // Rounding may have gained a digit: 0.0998 became 0.100 and is said as 0.10.
    let decimals = decimals_for(rounded);
    format!("{rounded:.*} %", decimals as usize)
}

/// A count with thousands separated: `1,235,496`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A large count with three significant digits and an SI prefix: `349 M`, `3.86 G`.
pub fn short_count(value: u64) -> String {
    let value_f64 = value as f64;
    match value_f64 {
        ..9_999.5 => count(value),
        ..999_500.0 => with_unit(value_f64 / 1e3, "k"),
        ..999_500_000.0 => with_unit(value_f64 / 1e6, "M"),
        ..999.5e9 => with_unit(value_f64 / 1e9, "G"),
        _ => with_unit(value_f64 / 1e12, "T"),
    }
}

/// A number with three significant digits, whole from 100 on, and without an exponent up to 10^15.
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() >= 1e15 {
        return format!("{value:.2e}");
    }
    // Rounded to three digits first, so that 9.996 counts as 10.0 and not as 10.00.
    let magnitude = value.abs().log10().floor();
    let rounded = (value.abs() / 10_f64.powf(magnitude - 2.0)).round() * 10_f64.powf(magnitude - 2.0);
    let decimals = (2 - rounded.log10().floor() as i32).clamp(0, 6);
    format!("{value:.*}", decimals as usize)
}

/// One unit and one number of decimals for a whole column or axis of byte counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ByteScale {
    /// The unit's name.
    pub unit: &'static str,
    /// Bytes in one unit.
    pub divisor: f64,
    /// Decimals that tell the column's values apart.
    pub decimals: usize,
}

impl ByteScale {
    /// The scale for values of which `largest_bytes` is the largest.
    pub fn for_largest(largest_bytes: u64) -> Self {
        let mut scale = Self::unit_for(largest_bytes as f64);
        let value = largest_bytes as f64 / scale.divisor;
        scale.decimals = match value {
            _ if scale.divisor == 1.0 => 0,
            ..9.995 => 2,
            ..99.95 => 1,
            _ if scale.divisor == KB => 0,
            _ => 1,
        };
        scale
    }

    /// The number without its unit.
    pub fn number(&self, count: u64) -> String {
        format!("{:.*}", self.decimals, count as f64 / self.divisor)
    }

    /// The number with its unit.
    pub fn text(&self, count: u64) -> String {
        format!("{} {}", self.number(count), self.unit)
    }

    fn unit_for(count: f64) -> Self {
        let (unit, divisor) = match count {
            ..999.5 => ("B", 1.0),
            ..999_500.0 => ("kB", KB),
            ..999_500_000.0 => ("MB", MB),
            _ => ("GB", GB),
        };
        Self {
            unit,
            divisor,
            decimals: 0,
        }
    }
}

fn with_unit(value: f64, unit: &str) -> String {
    if value.is_finite() {
        format!("{} {unit}", significant(value))
    } else {
        NONE.to_owned()
    }
}

fn percentage(fraction: f64, decimals: usize) -> String {
    if !fraction.is_finite() {
        return NONE.to_owned();
    }
    if fraction.abs() >= 1e15 {
        return format!("{:.2e} %", fraction * 100.0).replace('-', "−");
    }
    let text = format!("{:.decimals$}", fraction * 100.0);
    // A drop that rounds to nothing is neither a gain nor a loss.
    let is_zero = text.chars().all(|character| matches!(character, '-' | '0' | '.'));
    format!(
        "{} %",
        if is_zero {
            text.trim_start_matches('-')
        } else {
            &text
        }
        .replace('-', "−")
    )
}

/// Drops the zeros behind the decimal point that a person would not say.
fn short_limit(text: &str) -> String {
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text.to_owned(),
    }
}

fn signed(order: std::cmp::Ordering, magnitude: &str) -> String {
    match order {
        std::cmp::Ordering::Less => format!("−{magnitude}"),
        std::cmp::Ordering::Equal => format!("±{magnitude}"),
        std::cmp::Ordering::Greater => format!("+{magnitude}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_decimal_and_short() {
        for (count, text) in [
            (0, "0 B"),
            (512, "512 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (7_700, "7.7 kB"),
            (79_140, "79.1 kB"),
            (512_300, "512 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (3_100_000, "3.1 MB"),
            (3_124_000, "3.12 MB"),
            (8_000_000, "8.0 MB"),
            (9_996_000, "10.0 MB"),
            (12_400_000, "12.4 MB"),
            (256_000_000, "256 MB"),
            (1_250_000_000, "1.25 GB"),
        ] {
            assert_eq!(bytes(count), text, "{count}");
        }
        assert_eq!(bytes_change(-900_000), "−900 kB");
        assert_eq!(bytes_change(1_200_000), "+1.2 MB");
        assert_eq!(bytes_change(i64::MIN).chars().next(), Some('−'));
    }

    #[test]
    fn durations_have_three_significant_digits() {
        for (value, text) in [
            (0.0, "0 ms"),
            (0.02131, "0.0213 ms"),
            (0.2131, "0.213 ms"),
            (9.996, "10.0 ms"),
            (38.24, "38.2 ms"),
            (99.96, "100 ms"),
            (1240.0, "1240 ms"),
            (f64::NAN, "–"),
            (f64::INFINITY, "–"),
        ] {
            assert_eq!(milliseconds(value), text, "{value}");
        }
        for (value, text) in [
            (840, "840 ns"),
            (21_300, "21.3 µs"),
            (999_600, "1.00 ms"),
            (2_510_000_000, "2.51 s"),
        ] {
            assert_eq!(nanoseconds(value), text, "{value}");
        }
        assert_eq!(milliseconds_change(-3.5), "−3.50 ms");
    }

    #[test]
    fn fractions_become_percentages() {
        assert_eq!(percent(0.6118), "61.18 %");
        assert_eq!(percent(-0.0013), "−0.13 %");
        assert_eq!(percent(-0.000_001), "0.00 %");
        assert_eq!(percent(f64::NAN), "–");
        assert_eq!(percent_limit(0.007), "0.7 %");
        assert_eq!(percent_limit(0.01), "1 %");
        assert_eq!(
            [milliseconds_limit(25.0), milliseconds_limit(100.0 / 3.0)],
            ["25 ms", "33.3 ms"]
        );
        assert_eq!(
            [milliseconds_limit(100.0), bytes_limit(8_000_000)],
            ["100 ms", "8 MB"]
        );
        assert_eq!(share(0.42), "42.0 %");
        assert_eq!(percent_change(0.002), "+0.20 %");
    }

    #[test]
    fn a_chance_is_never_understated() {
        for (fraction, text) in [
            (0.000_998, "0.10 %"),
            (0.139, "14 %"),
            (0.029_5, "3.0 %"),
            (0.01, "1.0 %"),
            (0.0, "0 %"),
        ] {
            assert_eq!(chance(fraction), text, "{fraction}");
        }
        assert_eq!(chance(f64::NAN), "–");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1_235_496), "1,235,496");
        assert_eq!(short_count(1_235_496), "1.24 M");
        assert_eq!(short_count(349_000_000), "349 M");
        assert_eq!(short_count(4_213), "4,213");
    }

    #[test]
    fn a_column_of_bytes_shares_unit_and_decimals() {
        let scale = ByteScale::for_largest(12_400_000);
        assert_eq!(
            [scale.text(12_400_000), scale.text(810_000)],
            ["12.4 MB", "0.8 MB"]
        );
        assert_eq!(ByteScale::for_largest(3_100_000).number(3_100_000), "3.10");
        assert_eq!(ByteScale::for_largest(700).text(12), "12 B");
    }
}
