//! A step gives the same whole, in parts, and in place of an input, in every layout that its operator takes.

use locket_kernels::Isa;
use locket_mil::{Function, Type, ValueId, text};
use locket_ops::{Layout, LayoutRule, Node, Operator, Packs, Prepare, Prepared, registry};
use locket_tensor::{AlignedBytes, DType};

/// Bytes that are elements of the type: small floats, small integers, truth values.
fn random_bytes(ty: &Type, seed: u64) -> AlignedBytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 32
    };
    let mut bytes = AlignedBytes::zeroed(ty.bytes());
    match ty.dtype() {
        Some(DType::Float32) => {
            let values: &mut [f32] = bytemuck::cast_slice_mut(bytes.as_mut_slice());
            values.fill_with(|| (next() % 8193) as f32 / 1024.0 - 4.0);
        }
        Some(DType::Int32) => {
            let values: &mut [i32] = bytemuck::cast_slice_mut(bytes.as_mut_slice());
            values.fill_with(|| (next() % 3) as i32);
        }
        Some(DType::Bool) => bytes.as_mut_slice().fill_with(|| (next() & 1) as u8),
        // The upper byte of a fp16 below 0x40 keeps it finite.
        _ => bytes.as_mut_slice().fill_with(|| (next() % 0x3c) as u8),
    }
    bytes
}

/// Largest difference of a float from itself, relative to the largest of all: a convolution's last rows may go through a
/// tile of another shape, which sums in another order.
const FLOAT_TOLERANCE: f32 = 1e-6;

fn same(dtype: DType, found: &[u8], expected: &[u8]) -> bool {
    if dtype != DType::Float32 || found == expected {
        return found == expected;
    }
    let floats = |bytes: &[u8]| -> Vec<f32> {
        let (chunks, _) = bytes.as_chunks::<4>();
        chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect()
    };
    let (found, expected) = (floats(found), floats(expected));
    let finite = expected.iter().filter(|x| x.is_finite());
    let largest = finite.fold(0.0f32, |max, x| max.max(x.abs()));
    let close =
        |a: f32, b: f32| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= FLOAT_TOLERANCE * largest;
    found.iter().zip(&expected).all(|(&a, &b)| close(a, b))
}

struct Case {
    context: String,
    prepared: Prepared,
    inputs: Vec<AlignedBytes>,
    dtype: DType,
    bytes: usize,
}

impl Case {
    fn of(operator: &dyn Operator, function: &Function, layout: Layout, output: usize) -> Option<Self> {
        let name = operator.signature().name;
        let operation = function
            .operations
            .iter()
            .find(|operation| operation.kind == name)?;
        let node = Node::new(function, operation);
        let out = operation.outputs[output];
        let rank = |id: ValueId| function.ty(id).shape().map_or(0, <[usize]>::len);
        let layouts: Vec<Layout> = (0..function.values().len())
            .map(ValueId::from_index)
            .map(|id| {
                if rank(id) == rank(out) {
                    layout
                } else {
                    Layout::RowMajor
                }
            })
            .collect();
        let rule = operator.layout_rule(&node);
        let as_they_lie = rule == LayoutRule::AsTheyLie;
        let planes = rule == LayoutRule::ChannelsLastOrPlanes && layout == Layout::RowMajor;
        let planes = operation.input("x").filter(|_| planes).map(ValueId::index);
        let layouts: Vec<Layout> = layouts
            .into_iter()
            .enumerate()
            .map(|(id, own)| match planes {
                Some(planes) if planes != id => Layout::ChannelsLast,
                None if as_they_lie && id != out.index() => layout,
                _ => own,
            })
            .collect();
        let prepare = Prepare {
            lean: false,
            precision: locket_ops::Precision::Float32,
            packs: &Packs::fresh(),
            node,
            isa: Isa::best(),
            output,
            layouts: &layouts,
        };
        let prepared = operator.prepare(&prepare).unwrap()?;
        let inputs = node
            .dynamic_inputs(operator.kept_weights())
            .into_iter()
            .enumerate()
            .map(|(at, id)| random_bytes(function.ty(id), 7 + at as u64))
            .collect();
        Some(Self {
            context: format!("{name} {layout:?} {}", text::print(function, 8)),
            prepared,
            inputs,
            dtype: function.ty(out).dtype().unwrap(),
            bytes: function.ty(out).bytes(),
        })
    }

    /// Runs the units on either side of `border`, with one input's memory taken if there is a donor.
    fn run(&self, border: usize, donor: Option<usize>) -> Vec<u8> {
        let prepared = &self.prepared;
        let mut result = match donor {
            Some(donor) => self.inputs[donor].clone(),
            None => AlignedBytes::zeroed(self.bytes),
        };
        let slices: Vec<&[u8]> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(at, bytes)| if donor == Some(at) { &[] } else { bytes.as_slice() })
            .collect();
        let mut scratch = AlignedBytes::zeroed(prepared.scratch_bytes);
        let middle = (border * prepared.unit_bytes).min(self.bytes);
        for (units, range) in [
            (0..border, 0..middle),
            (border..prepared.units, middle..self.bytes),
        ] {
            if units.is_empty() {
                continue;
            }
            scratch.as_mut_slice().fill(0x5a);
            let mut part = AlignedBytes::copy_of(&result.as_slice()[range.clone()]);
            prepared
                .step
                .run(units, &slices, part.as_mut_slice(), scratch.as_mut_slice());
            result.as_mut_slice()[range].copy_from_slice(part.as_slice());
        }
        result.as_slice().to_vec()
    }
}

fn cases() -> impl Iterator<Item = Case> {
    let samples = registry::OPERATORS.iter().flat_map(|operator| {
        operator
            .samples()
            .into_iter()
            .map(move |sample| (*operator, sample))
    });
    samples.flat_map(|(operator, sample)| {
        let function = text::parse(&sample).unwrap();
        let name = operator.signature().name;
        let operation = function
            .operations
            .iter()
            .find(|operation| operation.kind == name);
        let operation = operation.unwrap();
        let layouts: &[Layout] = match operator.layout_rule(&Node::new(&function, operation)) {
            LayoutRule::RowMajor => &[Layout::RowMajor],
            LayoutRule::ChannelsLast => &[Layout::ChannelsLast],
            _ => &[Layout::RowMajor, Layout::ChannelsLast],
        };
        let outputs = operation.outputs.len();
        let choices = layouts
            .iter()
            .flat_map(|&layout| (0..outputs).map(move |output| (layout, output)));
        let found: Vec<Case> = choices
            .filter_map(|(layout, output)| Case::of(operator, &function, layout, output))
            .collect();
        found
    })
}

#[test]
fn parts_are_the_whole() {
    for case in cases() {
        let Prepared { units, grain, .. } = case.prepared;
        let whole = case.run(units, None);
        for border in [
            grain,
            2 * grain,
            (units / 2).next_multiple_of(grain),
            units / grain * grain,
        ] {
            let border = border.min(units);
            let parts = case.run(border, None);
            assert!(
                same(case.dtype, &parts, &whole),
                "{} in parts at unit {border}",
                case.context
            );
        }
    }
}

#[test]
fn in_place_is_the_same() {
    let mut found = 0;
    for case in cases() {
        if let Some(donor) = case.prepared.in_place {
            found += 1;
            let Prepared { units, grain, .. } = case.prepared;
            assert_eq!(case.inputs[donor].len(), case.bytes, "{}", case.context);
            let whole = case.run(units, None);
            for border in [units, (units / 2).next_multiple_of(grain).min(units)] {
                let in_place = case.run(border, Some(donor));
                assert!(same(case.dtype, &in_place, &whole), "{} in place", case.context);
            }
        }
    }
    assert!(found > 100, "only {found} steps run in place");
}
