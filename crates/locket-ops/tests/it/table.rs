//! Runs over every sample of every operator: inferred type, text round trip, cost, and every kernel against the reference.

use locket_kernels::Isa;
use locket_mil::{Function, Type, ValueId, text};
use locket_ops::{Layout, LayoutRule, Node, Operator, Packs, Prepare, evaluate, registry};
use locket_tensor::{AlignedBytes, DType, Shape, Tensor};

/// Largest difference of a float kernel from the reference, relative to the largest output: kernels sum in another
/// order and use polynomials with bounds of a few ulp, the reference sums in `f64`.
const FLOAT_TOLERANCE: f32 = 2e-5;

fn samples() -> impl Iterator<Item = (&'static dyn Operator, Function)> {
    registry::OPERATORS.iter().flat_map(|operator| {
        operator.samples().into_iter().map(move |sample| {
            let function = text::parse(&sample).unwrap_or_else(|error| panic!("{error}\n{sample}"));
            locket_mil::verify(&function).unwrap();
            (*operator, function)
        })
    })
}

fn the_operation<'a>(operator: &dyn Operator, function: &'a Function) -> Node<'a> {
    let name = operator.signature().name;
    let operation = function
        .operations
        .iter()
        .find(|operation| operation.kind == name);
    Node::new(
        function,
        operation.unwrap_or_else(|| panic!("a sample of {name} does not use it")),
    )
}

/// Reproducible values: floats in about -4..4 with both zeros, integers over their whole range where narrow.
fn random_tensor(ty: &Type, seed: u64) -> Tensor {
    let (dtype, shape) = (ty.dtype().unwrap(), ty.shape().unwrap());
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 32
    };
    let elems = ty.elems();
    match dtype {
        DType::Float32 => {
            let values: Vec<f32> = (0..elems)
                .map(|_| (next() % 8193) as f32 / 1024.0 - 4.0)
                .collect();
            Tensor::from_slice(shape, &values).unwrap()
        }
        DType::Float16 => {
            let values: Vec<half::f16> = (0..elems)
                .map(|_| half::f16::from_f32((next() % 8193) as f32 / 1024.0 - 4.0))
                .collect();
            Tensor::from_slice(shape, &values).unwrap()
        }
        DType::Int32 => {
            let values: Vec<i32> = (0..elems).map(|_| (next() % 3) as i32).collect();
            Tensor::from_slice(shape, &values).unwrap()
        }
        DType::Int16 => {
            let values: Vec<i16> = (0..elems).map(|_| next() as i16).collect();
            Tensor::from_slice(shape, &values).unwrap()
        }
        DType::UInt16 => {
            let values: Vec<u16> = (0..elems).map(|_| next() as u16).collect();
            Tensor::from_slice(shape, &values).unwrap()
        }
        _ => {
            let mask = if dtype == DType::Bool { 1 } else { 0xff };
            let codes: Vec<u8> = (0..elems).map(|_| (next() & mask) as u8).collect();
            Tensor::from_codes(dtype, shape, &codes).unwrap()
        }
    }
}

#[test]
fn names_are_unique_and_sorted_out() {
    let mut names: Vec<&str> = registry::OPERATORS
        .iter()
        .map(|operator| operator.signature().name)
        .collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "an operator is registered twice");
}

#[test]
fn every_operator_has_samples_that_use_it() {
    for operator in registry::OPERATORS {
        assert!(
            !operator.samples().is_empty(),
            "{} has no sample",
            operator.signature().name
        );
    }
    for (operator, function) in samples() {
        the_operation(operator, &function);
    }
}

#[test]
fn inferred_types_are_the_declared_ones() {
    for (operator, function) in samples() {
        let node = the_operation(operator, &function);
        registry::check(&node).unwrap_or_else(|error| panic!("{error}"));
        let inferred = operator.infer(&node).unwrap_or_else(|error| panic!("{error}"));
        let declared: Vec<Type> = node
            .operation
            .outputs
            .iter()
            .map(|&output| function.ty(output).clone())
            .collect();
        assert_eq!(inferred, declared, "{}", text::print(&function, 16));
    }
}

#[test]
fn samples_survive_the_text_form() {
    for (_, function) in samples() {
        let printed = text::print(&function, usize::MAX);
        let again = text::parse(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(text::print(&again, usize::MAX), printed);
    }
}

#[test]
fn costs_are_not_zero() {
    for (operator, function) in samples() {
        let cost = operator.cost(&the_operation(operator, &function));
        assert!(cost.bytes > 0, "{} moves no bytes", operator.signature().name);
    }
}

fn to_layout(tensor: &Tensor, layout: Layout) -> Vec<u8> {
    let order = layout.order(tensor.shape().len());
    permute(tensor.bytes(), tensor.dtype(), tensor.shape(), &order)
}

/// Moves elements so that logical axes lie in `order`.
fn permute(bytes: &[u8], dtype: DType, shape: &[usize], order: &[usize]) -> Vec<u8> {
    if order.iter().enumerate().all(|(at, &axis)| at == axis) {
        return bytes.to_vec();
    }
    let width = dtype.bits() / 8;
    let mut strides = vec![1usize; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    let moved: Shape = order.iter().map(|&axis| shape[axis]).collect();
    let mut result = Vec::with_capacity(bytes.len());
    for index in 0..moved.iter().product::<usize>() {
        let (mut rest, mut source) = (index, 0);
        for (position, &dim) in moved.iter().enumerate().rev() {
            source += rest % dim * strides[order[position]];
            rest /= dim;
        }
        result.extend_from_slice(&bytes[source * width..(source + 1) * width]);
    }
    result
}

fn assert_close(dtype: DType, found: &[u8], expected: &[u8], context: &str) {
    if dtype != DType::Float32 {
        assert!(found == expected, "{context}: {found:?} is not {expected:?}");
        return;
    }
    let (found, expected): (Vec<f32>, Vec<f32>) = (floats(found), floats(expected));
    let largest = expected
        .iter()
        .filter(|x| x.is_finite())
        .fold(1e-3f32, |max, x| max.max(x.abs()));
    for (index, (&a, &b)) in found.iter().zip(&expected).enumerate() {
        let same = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= FLOAT_TOLERANCE * largest;
        assert!(
            same,
            "{context}: element {index} is {a}, the reference has {b} (largest {largest})"
        );
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()))
        .collect()
}

/// Runs step `output` of the node in two parts and returns its bytes, or `None` if there is no step.
fn run_step(
    operator: &dyn Operator,
    node: &Node<'_>,
    isa: Isa,
    layouts: &[Layout],
    inputs: &[(ValueId, Tensor)],
    output: usize,
) -> Option<(Vec<u8>, String)> {
    let prepare = Prepare {
        lean: false,
        precision: locket_ops::Precision::Float32,
        packs: &Packs::fresh(),
        node: *node,
        isa,
        output,
        layouts,
    };
    let prepared = operator
        .prepare(&prepare)
        .unwrap_or_else(|error| panic!("{error}"))?;
    let given: Vec<AlignedBytes> = node
        .dynamic_inputs(operator.kept_weights())
        .into_iter()
        .map(|id| {
            let tensor = &inputs.iter().find(|(known, _)| *known == id).unwrap().1;
            AlignedBytes::copy_of(&to_layout(tensor, layouts[id.index()]))
        })
        .collect();
    let bytes = node.function.ty(node.operation.outputs[output]).bytes();
    let mut result = AlignedBytes::zeroed(bytes);
    result.as_mut_slice().fill(0xa5);
    let mut scratch = AlignedBytes::zeroed(prepared.scratch_bytes);
    let half = (prepared.units / 2)
        .next_multiple_of(prepared.grain)
        .min(prepared.units);
    let border = (half * prepared.unit_bytes).min(bytes);
    let slices: Vec<&[u8]> = given.iter().map(AlignedBytes::as_slice).collect();
    for (units, range) in [(0..half, 0..border), (half..prepared.units, border..bytes)] {
        if !units.is_empty() {
            // A part must start aligned for its type as it does in the arena.
            let mut part = AlignedBytes::copy_of(&result.as_slice()[range.clone()]);
            prepared
                .step
                .run(units, &slices, part.as_mut_slice(), scratch.as_mut_slice());
            result.as_mut_slice()[range].copy_from_slice(part.as_slice());
        }
    }
    Some((result.as_slice().to_vec(), prepared.step.kernel().to_owned()))
}

fn layout_choices(rule: LayoutRule) -> &'static [Layout] {
    match rule {
        LayoutRule::RowMajor => &[Layout::RowMajor],
        LayoutRule::ChannelsLast => &[Layout::ChannelsLast],
        _ => &[Layout::RowMajor, Layout::ChannelsLast],
    }
}

#[test]
fn every_kernel_is_its_reference() {
    for (operator, function) in samples() {
        let node = the_operation(operator, &function);
        let rule = operator.layout_rule(&node);
        for seed in 1..3 {
            let inputs: Vec<(ValueId, Tensor)> = function
                .inputs
                .iter()
                .map(|&id| (id, random_tensor(function.ty(id), seed * 100 + id.index() as u64)))
                .collect();
            let known: Vec<(ValueId, &Tensor)> = inputs.iter().map(|(id, tensor)| (*id, tensor)).collect();
            let known: Vec<(ValueId, Tensor)> = expand_constants(&function, &known);
            let views: Vec<(ValueId, &Tensor)> = known.iter().map(|(id, tensor)| (*id, tensor)).collect();
            let expected =
                evaluate(&function, node.operation, &views).unwrap_or_else(|error| panic!("{error}"));
            for isa in Isa::available() {
                for &choice in layout_choices(rule) {
                    compare(operator, &node, isa, choice, &inputs, &expected);
                }
            }
        }
    }
}

/// The inputs, and the values of `constexpr_*` operations that feed the one under test.
fn expand_constants(function: &Function, inputs: &[(ValueId, &Tensor)]) -> Vec<(ValueId, Tensor)> {
    let mut known: Vec<(ValueId, Tensor)> = inputs
        .iter()
        .map(|(id, tensor)| (*id, (*tensor).clone()))
        .collect();
    for operation in &function.operations {
        for &output in &operation.outputs {
            if let Some(tensor) = locket_ops::fold(function, output) {
                known.push((output, tensor));
            }
        }
    }
    known
}

fn compare(
    operator: &dyn Operator,
    node: &Node<'_>,
    isa: Isa,
    choice: Layout,
    inputs: &[(ValueId, Tensor)],
    expected: &[Tensor],
) {
    for (output, expected) in expected.iter().enumerate() {
        let out_id = node.operation.outputs[output];
        let rank = |id: ValueId| node.function.ty(id).shape().map_or(0, <[usize]>::len);
        let rule = operator.layout_rule(node);
        let as_they_lie = rule == LayoutRule::AsTheyLie;
        let planes = rule == LayoutRule::ChannelsLastOrPlanes && choice == Layout::RowMajor;
        let layouts: Vec<Layout> = (0..node.function.values().len())
            .map(ValueId::from_index)
            .map(|id| {
                let is_alone = as_they_lie && !inputs.iter().any(|(input, _)| rank(*input) == rank(out_id));
                if planes && node.operation.input("x") != Some(id) {
                    Layout::ChannelsLast
                } else if choice == Layout::RowMajor || is_alone && id == out_id {
                    Layout::RowMajor
                } else if as_they_lie || rank(id) == rank(out_id) {
                    choice
                } else {
                    Layout::RowMajor
                }
            })
            .collect();
        let Some((found, kernel)) = run_step(operator, node, isa, &layouts, inputs, output) else {
            continue;
        };
        let expected = to_layout(expected, layouts[out_id.index()]);
        let name = operator.signature().name;
        let context = format!(
            "{name} {kernel} {isa:?} {choice:?}\n{}",
            text::print(node.function, 8)
        );
        assert_close(
            node.function.ty(out_id).dtype().unwrap(),
            &found,
            &expected,
            &context,
        );
    }
}
