//! Divides budgets of bytes and time over layers.

use super::{LayerSensitivity, Sensitivity};
use crate::recipe::LayerChoice;

/// Multipliers that are tried for each factor of ten: neighbours differ by 3 %.
const STEPS_PER_DECADE: i32 = 80;

/// Factors of ten that multipliers span, around 1: divergences are between 1e-9 and some tens, loads about 1.
const DECADES: i32 = 24;

/// What an allocation must keep to; `None` is one that does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Targets {
    /// Bytes of the weights in the file, layers and the rest together.
    pub bytes: Option<u64>,
    /// Nanoseconds of the layers of one prediction.
    pub time_ns: Option<u64>,
}

/// The forms with about the least sum of divergences that keep to the targets, by a Lagrange multiplier: every layer takes the form with the
/// least `divergence + multiplier * load`, where the load is what the form takes of each target, as a share of it, added up. The
/// smallest multiplier with which all targets are kept is taken; multipliers are tried one by one, because with two targets a larger
/// one may break what a smaller one kept. `None` if none keeps to them.
pub fn allocate(table: &Sensitivity, targets: Targets) -> Option<Vec<LayerChoice>> {
    let share =
        |amount: u64, target: Option<u64>| target.map_or(0.0, |target| amount as f64 / target.max(1) as f64);
    let time = |layer: &LayerSensitivity, form: usize| layer.time_ns.get(form).copied().unwrap_or(0);
    let pick = |multiplier: f64| -> (Vec<usize>, bool) {
        let chosen: Vec<usize> = table
            .layers
            .iter()
            .map(|layer| {
                let cost = |form: usize| {
                    let load =
                        share(layer.bytes[form], targets.bytes) + share(time(layer, form), targets.time_ns);
                    layer.divergence[form].map(|divergence| divergence.max(0.0) + multiplier * load)
                };
                (0..table.forms.len())
                    .filter_map(|form| cost(form).map(|cost| (form, cost)))
                    .min_by(|a, b| a.1.total_cmp(&b.1))
                    .map_or(0, |(form, _)| form)
            })
            .collect();
        let sum = |of: &dyn Fn(&LayerSensitivity, usize) -> u64| -> u64 {
            let layers = chosen.iter().zip(&table.layers);
            layers.map(|(&form, layer)| of(layer, form)).sum()
        };
        let bytes = sum(&|layer, form| layer.bytes[form]) + table.other_bytes;
        let keeps = targets.bytes.is_none_or(|target| bytes <= target)
            && targets.time_ns.is_none_or(|target| sum(&time) <= target);
        (chosen, keeps)
    };
    let multipliers = (0..=STEPS_PER_DECADE * DECADES)
        .map(|step| 10f64.powf(f64::from(step) / f64::from(STEPS_PER_DECADE) - f64::from(DECADES) / 2.0));
    let kept = std::iter::once(0.0)
        .chain(multipliers)
        .map(pick)
        .find(|(_, keeps)| *keeps)?;
    Some(kept.0.into_iter().map(|form| table.forms[form]).collect())
}

#[cfg(test)]
mod tests {
    use super::{Targets, allocate};
    use crate::{
        recipe::{LayerChoice, WeightForm},
        search::{LayerSensitivity, Sensitivity},
    };

    fn table() -> Sensitivity {
        let palette = |bits| LayerChoice::weights(WeightForm::Palette { bits, group: None });
        let layer = |name: &str, divergence: [f64; 3], elems: u64| LayerSensitivity {
            layer: name.to_owned(),
            divergence: divergence.iter().map(|&value| Some(value)).collect(),
            bytes: vec![elems, elems / 2, elems / 4],
            time_ns: vec![elems, elems * 2, elems * 3],
        };
        Sensitivity {
            forms: vec![LayerChoice::W8A8, palette(4), palette(2)],
            samples: 10,
            layers: vec![
                layer("first", [0.001, 0.2, 1.0], 1000),
                layer("middle", [0.001, 0.002, 0.05], 10_000),
                layer("last", [0.001, 0.01, 0.5], 4000),
            ],
            other_bytes: 100,
        }
    }

    fn of_bytes(bytes: u64) -> Targets {
        Targets {
            bytes: Some(bytes),
            time_ns: None,
        }
    }

    #[test]
    fn time_is_kept_to_as_well() {
        let both = |bytes, time_ns| {
            let targets = Targets {
                bytes: Some(bytes),
                time_ns: Some(time_ns),
            };
            allocate(&table(), targets).map(|choices| choices[1].to_string())
        };
        assert_eq!(both(20_000, 15_000), Some("w8a8".into()));
        assert_eq!(both(11_000, 25_000), Some("pal4".into()));
        assert_eq!(both(11_000, 15_000), None);
    }

    #[test]
    fn the_layer_that_bears_it_pays_first() {
        let names = |bytes| {
            allocate(&table(), of_bytes(bytes))
                .map(|choices| choices.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(
            names(20_000),
            Some(vec!["w8a8".into(), "w8a8".into(), "w8a8".into()])
        );
        assert_eq!(
            names(10_200),
            Some(vec!["w8a8".into(), "pal4".into(), "w8a8".into()])
        );
        assert_eq!(
            names(8_200),
            Some(vec!["w8a8".into(), "pal4".into(), "pal4".into()])
        );
        assert_eq!(names(1_000), None);
    }

    #[test]
    fn what_is_allocated_keeps_to_the_target() {
        for target in (3_850..16_000).step_by(333) {
            let table = table();
            let choices = allocate(&table, of_bytes(target)).expect("the smallest forms take 3850 bytes");
            let bytes: u64 = choices
                .iter()
                .zip(&table.layers)
                .map(|(choice, layer)| {
                    layer.bytes[table.forms.iter().position(|form| form == choice).unwrap()]
                })
                .sum();
            assert!(bytes + table.other_bytes <= target, "{bytes} of {target}");
        }
    }
}
