//! Divides a budget of bytes over layers.

use super::Sensitivity;
use crate::recipe::LayerChoice;

/// Turns of the bisection: more than the distinct slopes of any network need.
const TURNS: usize = 60;

/// The forms with the least sum of divergences whose weights take at most `target_bytes` in the file (layers and the rest
/// together), by a Lagrange multiplier on bytes: every layer takes the form with the least `divergence + multiplier * bytes`, and the
/// multiplier is bisected to the smallest that keeps to the target. `None` if even the smallest forms are too large.
pub fn allocate(table: &Sensitivity, target_bytes: u64) -> Option<Vec<LayerChoice>> {
    let pick = |multiplier: f64| -> (Vec<usize>, u64) {
        let chosen: Vec<usize> = table
            .layers
            .iter()
            .map(|layer| {
                let cost = |form: usize| {
                    layer.divergence[form]
                        .map(|divergence| divergence.max(0.0) + multiplier * layer.bytes[form] as f64)
                };
                (0..table.forms.len())
                    .filter_map(|form| cost(form).map(|cost| (form, cost)))
                    .min_by(|a, b| a.1.total_cmp(&b.1))
                    .map_or(0, |(form, _)| form)
            })
            .collect();
        let bytes: u64 = chosen
            .iter()
            .zip(&table.layers)
            .map(|(&form, layer)| layer.bytes[form])
            .sum();
        (chosen, bytes + table.other_bytes)
    };
    let (mut low, mut high) = (0.0, 1e6);
    if pick(high).1 > target_bytes {
        return None;
    }
    for _ in 0..TURNS {
        // Geometric, because slopes span many orders of magnitude.
        let middle: f64 = if low == 0.0 {
            high * 1e-3
        } else {
            (low * high).sqrt()
        };
        if pick(middle).1 > target_bytes {
            low = middle;
        } else {
            high = middle;
        }
        if low == 0.0 && high < 1e-15 {
            break;
        }
    }
    Some(pick(high).0.into_iter().map(|form| table.forms[form]).collect())
}

#[cfg(test)]
mod tests {
    use super::allocate;
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

    #[test]
    fn the_layer_that_bears_it_pays_first() {
        let names = |bytes| {
            allocate(&table(), bytes)
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
            let choices = allocate(&table, target).expect("the smallest forms take 3850 bytes");
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
