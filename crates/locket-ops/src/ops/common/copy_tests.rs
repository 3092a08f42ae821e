//! Any part of the output can be written on its own, in any layouts, and nothing outside it is touched.

use locket_kernels::Isa;
use locket_mil::{Function, text};
use locket_tensor::{AlignedBytes, DType};

use crate::{Layout, Node, Packs, Prepare, Prepared, ops::common::lines::physical_strides, registry};

fn prepared(function: &Function, layouts: [Layout; 2]) -> Prepared {
    let operation = &function.operations[0];
    let node = Node::new(function, operation);
    let mut all = vec![Layout::RowMajor; function.values().len()];
    all[function.inputs[0].index()] = layouts[0];
    all[operation.outputs[0].index()] = layouts[1];
    let operator = registry::find(&node).unwrap();
    let prepare = Prepare {
        lean: false,
        precision: crate::Precision::Float32,
        packs: &Packs::fresh(),
        node,
        isa: Isa::SCALAR,
        output: 0,
        layouts: &all,
    };
    operator
        .prepare(&prepare)
        .unwrap()
        .expect("the operator has a step")
}

/// The bytes of a tensor whose elements are their own row-major numbers, as they lie in a layout.
fn numbered(shape: &[usize], layout: Layout) -> Vec<u16> {
    let elems: usize = shape.iter().product();
    let steps = physical_strides(shape, layout);
    let mut values = vec![0; elems];
    super::index::for_each_index(shape, |position, index| {
        values[super::index::position(index, &steps)] = u16::try_from(position).unwrap();
    });
    values
}

fn check(call: &str, shape: &[usize], result: &[usize], expected: impl Fn(&[usize]) -> u16) {
    let dims = |shape: &[usize]| format!("{shape:?}");
    let source = format!(
        "func f opset ios17 (%x: uint16{}) -> (y: %out) {{\n%out: uint16{} = {call}\n}}",
        dims(shape),
        dims(result)
    );
    let function = text::parse(&source).unwrap();
    for layouts in [
        [Layout::RowMajor, Layout::RowMajor],
        [Layout::RowMajor, Layout::ChannelsLast],
        [Layout::ChannelsLast, Layout::RowMajor],
        [Layout::ChannelsLast, Layout::ChannelsLast],
    ] {
        let prepared = prepared(&function, layouts);
        let input = AlignedBytes::copy_of(bytemuck::cast_slice(&numbered(shape, layouts[0])));
        let steps = physical_strides(result, layouts[1]);
        let mut wanted = vec![0; prepared.units];
        super::index::for_each_index(result, |_, index| {
            wanted[super::index::position(index, &steps)] = expected(index);
        });
        assert_eq!(
            prepared.unit_bytes * prepared.units,
            DType::UInt16.bits() / 8 * wanted.len()
        );
        for start in 0..prepared.units {
            for end in (start + 1..=prepared.units).step_by(if start == 0 { 1 } else { 5 }) {
                let mut part = AlignedBytes::zeroed(2 * (end - start));
                part.as_mut_slice().fill(0xa5);
                prepared
                    .step
                    .run(start..end, &[input.as_slice()], part.as_mut_slice(), &mut []);
                let found: &[u16] = bytemuck::cast_slice(part.as_slice());
                assert_eq!(found, &wanted[start..end], "{call} {layouts:?} {start}..{end}");
            }
        }
    }
}

#[test]
fn every_part_of_a_transposition_stands_alone() {
    check(
        "transpose(x=%x, perm=[0, 3, 1, 2])",
        &[2, 3, 4, 5],
        &[2, 5, 3, 4],
        |i| u16::try_from(i[0] * 60 + i[2] * 20 + i[3] * 5 + i[1]).unwrap(),
    );
    check("transpose(x=%x, perm=[2, 1, 0])", &[2, 3, 4], &[4, 3, 2], |i| {
        u16::try_from(i[2] * 12 + i[1] * 4 + i[0]).unwrap()
    });
}

#[test]
fn every_part_of_a_padding_stands_alone() {
    check(
        "pad(x=%x, pad=[1, 0, 2, 1, 0, 1], constant_val=999.0)",
        &[1, 2, 3, 2],
        &[1, 3, 6, 3],
        |i| match (i[1].checked_sub(1), i[2].checked_sub(2), i[3]) {
            (Some(c), Some(h @ 0..3), w @ 0..2) => u16::try_from(c * 6 + h * 2 + w).unwrap(),
            _ => 999,
        },
    );
    check(
        "pad(x=%x, pad=[2, 1, 1, 2], mode=\"reflect\")",
        &[2, 1, 3, 4],
        &[2, 1, 6, 7],
        |i| {
            let mirror = |at: usize, before: usize, dim: usize| {
                let at = at.abs_diff(before);
                if at < dim { at } else { 2 * (dim - 1) - at }
            };
            u16::try_from(i[0] * 12 + mirror(i[2], 2, 3) * 4 + mirror(i[3], 1, 4)).unwrap()
        },
    );
}

#[test]
fn every_part_of_a_slice_stands_alone() {
    check(
        "slice_by_index(x=%x, begin=[0, 2, 1, 4], end=[2, 0, 4, 0], stride=[1, -2, 1, -1], end_mask=[false, true, false, true])",
        &[2, 3, 4, 5],
        &[2, 2, 3, 5],
        |i| u16::try_from(i[0] * 60 + (2 - 2 * i[1]) * 20 + (1 + i[2]) * 5 + 4 - i[3]).unwrap(),
    );
}

#[test]
fn every_part_of_a_tiling_stands_alone() {
    check(
        "tile(x=%x, reps=[1, 2, 3, 2])",
        &[2, 3, 1, 2],
        &[2, 6, 3, 4],
        |i| u16::try_from(i[0] * 6 + i[1] % 3 * 2 + i[3] % 2).unwrap(),
    );
    check(
        "depth_to_space(x=%x, block_size=2)",
        &[1, 8, 2, 3],
        &[1, 2, 4, 6],
        |i| {
            let deep = (i[2] % 2 * 2 + i[3] % 2) * 2 + i[1];
            u16::try_from(deep * 6 + i[2] / 2 * 3 + i[3] / 2).unwrap()
        },
    );
}
