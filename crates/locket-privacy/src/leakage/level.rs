//! From scores to a level of leakage, 1 (least) to 5 (most), by published rules.
//!
//! With `id` the upper 95 % bound of identification, `s` that of success and `r` the share of variance explained, each the
//! worst of all attacks, the first rule that holds decides:
//!
//! | level | rule |
//! |---|---|
//! | 5 | `id ≥ 50 %` or `s ≥ 50 %` or `r ≥ 0.9` |
//! | 4 | `id ≥ 100 chances` or `s ≥ 20 %` or `r ≥ 0.7` |
//! | 3 | `id ≥ 20 chances` or `s ≥ 5 %` or `r ≥ 0.4` |
//! | 2 | `id ≥ 10 chances` or `s ≥ 1 %` or `r ≥ 0.1` |
//! | 1 | none of them, and the whole ladder ran and was saturated; otherwise 2: unknown is not safe |
//!
//! A *chance* is what guessing identifies in a gallery of `N`, `1 / N`: for a gallery of 1000 the cut-points are 1, 2, 10 and
//! 50 %. Multiples of chance are what carries over to smaller galleries: where true pictures are spread smoothly over the ranks,
//! the share of first ranks falls as `1 / N`. No cut-point is above 50 %.
//!
//! Few pictures cannot show little leakage: no success among fewer than 381 leaves a bound of 1 % or more, and the level stays
//! at 2, as the table says. The shuffled control is judged by what chance gives instead: it is at level 1 unless more pictures
//! are identified than guessing would in one of a thousand measurements (binomial, all attacks together), or more reconstructed than
//! one, or the table says more of `r`.

use locket_data::statistics::distribution::binomial_cdf;

use super::{
    Attack,
    score::{Score, Share},
};

/// Cut-points of the share of variance explained, levels 2 to 5.
const R2: [f64; 4] = [0.1, 0.4, 0.7, 0.9];
/// Cut-points of the chance of success, levels 2 to 5.
const SUCCESS: [f64; 4] = [0.01, 0.05, 0.2, 0.5];
/// Cut-points of identification in multiples of chance, levels 2 to 4.
const CHANCES: [f64; 3] = [10.0, 20.0, 100.0];
/// How often guessing may be taken for leakage.
const RARE: f64 = 1e-3;
/// Cut-point of identification for level 5, and the highest of all.
const IDENTIFIED: f64 = 0.5;

/// A level with what decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// 1 (least leakage) to 5 (most).
    pub value: u8,
    /// The rule that decided, with its figures.
    pub reason: String,
}

/// What the rules are applied to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worst {
    pub(crate) r2: f64,
    pub(crate) success: Share,
    pub(crate) identification: Share,
    pub(crate) gallery: usize,
}

impl Worst {
    /// The worst of each figure; `None` without scores.
    pub(crate) fn of<'a>(scores: impl IntoIterator<Item = &'a Score>) -> Option<Self> {
        let more = |a: Share, b: Share| if b.upper > a.upper { b } else { a };
        scores.into_iter().fold(None, |worst, score| {
            Some(match worst {
                None => Self {
                    r2: score.r2,
                    success: score.success,
                    identification: score.identification,
                    gallery: score.gallery,
                },
                Some(worst) => Self {
                    r2: worst.r2.max(score.r2),
                    success: more(worst.success, score.success),
                    identification: more(worst.identification, score.identification),
                    gallery: worst.gallery.min(score.gallery),
                },
            })
        })
    }
}

/// The level of a tap whose ladder ran in full; `saturated` if more pictures for the attacker change nothing.
pub(crate) fn level(worst: Worst, saturated: bool) -> Level {
    level_by(worst, saturated, 1.0)
}

/// The level if every cut-point were `factor` times as high.
pub(crate) fn level_by(worst: Worst, saturated: bool, factor: f64) -> Level {
    let found = by_table(worst, factor);
    if found.value == 1 && !saturated {
        return Level {
            value: 2,
            reason: "below every cut-point, but leakage still rises with the attacker's pictures".to_owned(),
        };
    }
    found
}

/// The level of the shuffled control.
pub(crate) fn control_level(worst: Worst) -> Level {
    let Share { count, of, .. } = worst.identification;
    let guess = 1.0 / worst.gallery.max(1) as f64;
    let as_many = match count.checked_sub(1) {
        Some(fewer) => 1.0 - binomial_cdf(fewer as u64, of as u64, guess),
        None => 1.0,
    };
    let by_chance = Worst {
        identification: if as_many * Attack::ALL.len() as f64 > RARE {
            Share::NONE
        } else {
            worst.identification
        },
        success: if worst.success.count <= 1 {
            Share::NONE
        } else {
            worst.success
        },
        ..worst
    };
    by_table(by_chance, 1.0)
}

fn by_table(worst: Worst, factor: f64) -> Level {
    let chance = 1.0 / worst.gallery.max(1) as f64;
    for value in (2..=5_u8).rev() {
        let rule = usize::from(value) - 2;
        let of_chance = CHANCES.get(rule).map_or(IDENTIFIED, |chances| chances * chance);
        let (id_cut, success_cut, r2_cut) = (
            of_chance.min(IDENTIFIED) * factor,
            SUCCESS[rule] * factor,
            R2[rule] * factor,
        );
        let reason = if worst.identification.upper >= id_cut {
            share("identification", worst.identification, id_cut)
        } else if worst.success.upper >= success_cut {
            share("success", worst.success, success_cut)
        } else if worst.r2 >= r2_cut {
            format!("R² {:.3} is at least {r2_cut}", worst.r2)
        } else {
            continue;
        };
        return Level { value, reason };
    }
    Level {
        value: 1,
        reason: "below every cut-point".to_owned(),
    }
}

fn share(what: &str, share: Share, cut: f64) -> String {
    format!(
        "{what} {} of {}, at most {:.1} %, reaches {:.1} %",
        share.count,
        share.of,
        share.upper * 100.0,
        cut * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::{Share, Worst, control_level, level};

    fn worst(r2: f64, success: usize, identified: usize, of: usize) -> Worst {
        Worst {
            r2,
            success: Share::new(success, of),
            identification: Share::new(identified, of),
            gallery: of,
        }
    }

    #[test]
    fn the_table_for_a_gallery_of_a_thousand() {
        for (r2, success, identified, expected) in [
            (0.95, 0, 0, 5),
            (0.0, 480, 0, 5),
            (0.0, 0, 480, 5),
            (0.7, 0, 0, 4),
            (0.0, 0, 90, 4),
            (0.0, 180, 0, 4),
            (0.4, 0, 0, 3),
            (0.0, 0, 15, 3),
            (0.0, 40, 0, 3),
            (0.1, 0, 0, 2),
            (0.0, 0, 6, 2),
            (0.0, 6, 0, 2),
            (0.09, 0, 3, 1),
            (-3.0, 0, 0, 1),
        ] {
            let found = level(worst(r2, success, identified, 1000), true);
            assert_eq!(
                found.value, expected,
                "{r2} {success} {identified}: {}",
                found.reason
            );
        }
    }

    #[test]
    fn unknown_is_not_safe() {
        assert_eq!(level(worst(0.0, 0, 0, 1000), false).value, 2);
        // Among 100, no success leaves a bound of 3.7 %.
        assert_eq!(level(worst(0.0, 0, 0, 100), true).value, 2);
        assert_eq!(level(worst(0.0, 0, 0, 380), true).value, 2);
        assert_eq!(level(worst(0.0, 0, 0, 381), true).value, 1);
    }

    /// Guessing hits once on average. With five attacks, at least seven hits come once in 2400 measurements (Poisson).
    #[test]
    fn chance_in_a_small_gallery_is_level_one_for_the_control() {
        for of in [64, 104, 407, 1000] {
            for hits in 0..=6 {
                for success in 0..=1 {
                    let found = control_level(worst(0.0, success, hits, of));
                    assert_eq!(found.value, 1, "{hits} and {success} of {of}");
                }
            }
            assert!(control_level(worst(0.0, 0, 8, of)).value > 1, "8 of {of}");
            assert!(control_level(worst(0.0, 6, 0, of)).value > 1, "6 of {of}");
            assert!(control_level(worst(0.2, 0, 0, of)).value > 1);
        }
    }
}
