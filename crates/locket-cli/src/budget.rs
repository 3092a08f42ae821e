//! Budgets as people write them: `8MB`, `25ms`, `0.7%`. A number without a unit is an error that says so.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

/// Parses a memory budget to bytes: decimal `kB`, `MB`, `GB`, binary `KiB`, `MiB`, `GiB`, or `B`.
///
/// # Errors
///
/// Says what was expected.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 9] = [
        ("b", 1.0),
        ("kb", 1e3),
        ("mb", 1e6),
        ("gb", 1e9),
        ("kib", 1024.0),
        ("mib", 1_048_576.0),
        ("gib", 1_073_741_824.0),
        ("bytes", 1.0),
        ("byte", 1.0),
    ];
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return Err(format!(
            "expected a size with a unit such as {number}MB or {number}MiB, found {text}"
        ));
    }
    let known = UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name));
    let Some((_, factor)) = known else {
        return Err(format!(
            "expected a unit of size (B, kB, MB, GB, KiB, MiB, GiB), found {unit} in {text}"
        ));
    };
    let bytes = number * factor;
    // 2^53: the integers that a double holds exactly.
    if !(1.0..=9_007_199_254_740_992.0).contains(&bytes) {
        return Err(format!(
            "expected at least one byte and less than 2^53, found {text}"
        ));
    }
    Ok(bytes as u64)
}

/// Parses a time: `ns`, `us`, `ms` or `s`.
///
/// # Errors
///
/// Says what was expected.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "" => {
            return Err(format!(
                "expected a time with a unit such as {number}ms, found {text}"
            ));
        }
        _ => {
            return Err(format!(
                "expected a unit of time (ns, us, ms, s), found {unit} in {text}"
            ));
        }
    };
    let limit = 86_400.0;
    let time = number * seconds;
    if time > limit {
        return Err(format!("expected at most a day, found {text}"));
    }
    Ok(Duration::from_nanos((time * 1e9).round() as u64))
}

/// Parses a time that is more than nothing.
///
/// # Errors
///
/// Says what was expected.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() {
        return Err(format!("expected more than no time, found {text}"));
    }
    Ok(time)
}

/// Parses a share in percent to a fraction: `0.7%` is 0.007.
///
/// # Errors
///
/// Says what was expected.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = split(text)?;
    match unit {
        "%" if number <= 100.0 => Ok(number / 100.0),
        "%" => Err(format!("expected at most 100%, found {text}")),
        "" => Err(format!(
            "expected a share with a unit such as {number}%, found {text}"
        )),
        _ => Err(format!("expected a share in %, found {unit} in {text}")),
    }
}

/// Splits into a number that is not negative, and what follows it.
fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: f64 = digits
        .parse()
        .map_err(|_| format!("expected a number with a unit, found {text:?}"))?;
    Ok((number, unit.trim()))
}

/// The latency budget, said directly or as what is left of a frame.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct LatencyOptions {
    /// Time that the slowest prediction may take, such as 25ms
    #[arg(long, value_name = "TIME", value_parser = positive_duration, conflicts_with_all = ["fps", "reserve"])]
    pub(crate) latency: Option<Duration>,
    /// Frames a second: the prediction gets one frame, less the reserve
    #[arg(long, value_name = "N")]
    pub(crate) fps: Option<f64>,
    /// Part of a frame that something else needs, such as 8ms
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "fps")]
    pub(crate) reserve: Option<Duration>,
}

impl LatencyOptions {
    /// The budget, if one was given.
    ///
    /// # Errors
    ///
    /// If the frame rate is none, or the reserve leaves nothing of the frame.
    pub(crate) fn budget(&self) -> Result<Option<Duration>> {
        let Some(fps) = self.fps else {
            return Ok(self.latency);
        };
        if !(0.01..=10_000.0).contains(&fps) {
            bail!("--fps: expected 0.01 to 10000 frames a second, found {fps}");
        }
        let frame = Duration::from_secs_f64(1.0 / fps);
        let reserve = self.reserve.unwrap_or_default();
        match frame.checked_sub(reserve) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => bail!("--reserve: expected less than a frame of {frame:.1?}, found {reserve:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LatencyOptions, bytes, duration, share};

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, expected) in [
            ("8MB", 8_000_000),
            ("8 MB", 8_000_000),
            ("8mb", 8_000_000),
            ("8MiB", 8_388_608),
            ("1.5kB", 1500),
            ("2GiB", 2_147_483_648),
            ("17B", 17),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for (text, part) in [
            ("8", "with a unit such as 8MB"),
            ("8M", "found M in 8M"),
            ("MB", "expected a number"),
            ("-8MB", "expected a number"),
            ("0MB", "at least one byte"),
            ("1e99MB", "found e99MB"),
            ("99999999999999999999GB", "less than 2^53"),
            ("", "expected a number"),
        ] {
            let message = bytes(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn times_and_shares_need_their_units() {
        assert_eq!(duration("25ms"), Ok(Duration::from_millis(25)));
        assert_eq!(duration("0.5 s"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("33.3ms"), Ok(Duration::from_micros(33_300)));
        assert!(duration("25").unwrap_err().contains("such as 25ms"));
        assert!(duration("25min").unwrap_err().contains("found min"));
        assert!(share("0.7%").is_ok_and(|share| (share - 0.007).abs() < 1e-12));
        assert!(share("0.7").unwrap_err().contains("such as 0.7%"));
        assert!(share("170%").unwrap_err().contains("at most 100%"));
    }

    #[test]
    fn a_frame_less_its_reserve_is_a_budget() {
        let options = LatencyOptions {
            fps: Some(30.0),
            reserve: Some(Duration::from_millis(8)),
            latency: None,
        };
        let budget = options.budget().unwrap().unwrap();
        assert!((budget.as_secs_f64() * 1e3 - 25.333).abs() < 0.001, "{budget:?}");
        let none_left = LatencyOptions {
            reserve: Some(Duration::from_millis(40)),
            ..options
        };
        assert!(none_left.budget().unwrap_err().to_string().contains("--reserve"));
    }
}
