//! Constants as indices into palettes.
//!
//! `constexpr_lut_to_dense`: each index is replaced by its palette entry; y: the type of `lut`, int8, uint8, fp16, fp32.
//!
//! * iOS 16: `indices` are packed, lowest bit first, into uint8 `[ceil(bits * elements / 8)]`; `lut` has 2, 4, 16, 64 or 256
//!   entries, which gives the bits; `shape` is the shape of y
//! * iOS 18: `indices` are uint1, uint2, uint3, uint4, uint6 or uint8 with a shape of their own; `lut` is
//!   `[groups on each axis .., 2^bits, vector]`: on each axis the indices fall into so many equal groups, each with its own
//!   palette. Where an entry is a vector of more than one element, it lies along `vector_axis`, on which y is longer so many times.
//!
//! `constexpr_lut_to_sparse` (iOS 18): the same where a mask of uint1 is set. indices_nonzero_data: those indices in row-major order;
//! results: the mask (repeated along `vector_axis` for vectors), and y's values where it is set, in row-major order.

use locket_mil::{Target, Type};
use locket_tensor::{DType, Shape, TensorMut, TensorRef, packed};

use super::common::{
    checks,
    compressed::{Blocks, PALETTE_ENTRIES, PALETTE_INDICES, shape_param, sparse_types, stored},
    index::for_each_index,
    numbers::codes,
    sample_with,
};
use crate::{Availability, Call, Node, OpError, Operator, Param, Signature};

/// The operator `constexpr_lut_to_dense`.
pub static CONSTEXPR_LUT_TO_DENSE: LutToDense = LutToDense;

/// The operator `constexpr_lut_to_sparse`.
pub static CONSTEXPR_LUT_TO_SPARSE: LutToSparse = LutToSparse;

/// See the module.
#[derive(Debug)]
pub struct LutToDense;

/// See the module.
#[derive(Debug)]
pub struct LutToSparse;

/// How indices of a shape pick from palettes.
struct Palettes {
    entries: usize,
    vector: usize,
    vector_axis: usize,
    groups: Blocks,
    /// The shape of the expanded tensor.
    dense: Shape,
}

impl Palettes {
    fn of(node: &Node<'_>, bits: usize, indices: &[usize]) -> Result<Self, OpError> {
        let (_, lut) = checks::tensor_of(node, "lut", PALETTE_ENTRIES)?;
        let misfit = || {
            node.param_error(
                "lut",
                format_args!(
                    "expected [groups that divide {indices:?}.., {}, vector], found {lut:?}",
                    1usize << bits
                ),
            )
        };
        let (groups, rest) = lut.split_at_checked(indices.len()).ok_or_else(misfit)?;
        let &[entries, vector @ (1..)] = rest else {
            return Err(misfit());
        };
        let blocks = Blocks::new(indices, groups)
            .filter(|_| entries == 1 << bits)
            .ok_or_else(misfit)?;
        let mut dense = Shape::from(indices);
        let mut vector_axis = 0;
        if vector > 1 {
            if !node.has("vector_axis") {
                return Err(node.param_error(
                    "vector_axis",
                    format_args!("is missing beside vectors of {vector}"),
                ));
            }
            vector_axis = node.axis("vector_axis", 0, indices.len())?;
            dense[vector_axis] = dense[vector_axis].saturating_mul(vector);
        }
        Ok(Self {
            entries,
            vector,
            vector_axis,
            groups: blocks,
            dense,
        })
    }

    /// For each element of the expanded tensor in row-major order, the position of its value in the table; given the
    /// index at each place.
    fn lookup(&self, indices: &[u8], mut visit: impl FnMut(usize, usize)) {
        let mut place = Shape::new();
        let steps = super::common::index::strides(&self.index_shape());
        for_each_index(&self.dense, |at, index| {
            place.clear();
            place.extend_from_slice(index);
            let lane = match place.get_mut(self.vector_axis) {
                Some(position) => {
                    let lane = *position % self.vector;
                    *position /= self.vector;
                    lane
                }
                None => 0,
            };
            let picked = usize::from(indices[super::common::index::position(&place, &steps)]);
            visit(
                at,
                (self.groups.value_at(&place) * self.entries + picked) * self.vector + lane,
            );
        });
    }

    fn index_shape(&self) -> Shape {
        let mut shape = self.dense.clone();
        if let Some(dim) = shape.get_mut(self.vector_axis) {
            *dim /= self.vector;
        }
        shape
    }
}

/// Bits of an index into a flat table of `entries`, as iOS 16 has them.
fn flat_bits(node: &Node<'_>, lut: &[usize]) -> Result<usize, OpError> {
    match lut {
        [2] => Ok(1),
        [4] => Ok(2),
        [16] => Ok(4),
        [64] => Ok(6),
        [256] => Ok(8),
        _ => Err(node.param_error(
            "lut",
            format_args!("expected 2, 4, 16, 64 or 256 entries, found shape {lut:?}"),
        )),
    }
}

impl Operator for LutToDense {
    fn signature(&self) -> Signature {
        Signature {
            name: "constexpr_lut_to_dense",
            params: const {
                &[
                    Param::required("indices"),
                    Param::required("lut"),
                    Param::attribute("shape"),
                    Param::attribute("vector_axis"),
                ]
            },
            available: Availability::From(Target::Ios16),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, lut) = stored(node, "lut", PALETTE_ENTRIES)?;
        let (index, indices) = stored(node, "indices", PALETTE_INDICES)?;
        if !node.has("shape") {
            return checks::results(node, dtype, &Palettes::of(node, index.bits(), indices)?.dense);
        }
        checks::expect_dtype(node, "indices", index, &[DType::UInt8])?;
        let bits = flat_bits(node, lut)?;
        let shape = shape_param(node, "shape")?;
        let elems: usize = shape.iter().product();
        let bytes = elems.saturating_mul(bits).div_ceil(8);
        if indices != [bytes] {
            return Err(node.param_error(
                "indices",
                format_args!("expected {bytes} bytes for {shape:?} of {bits} bits, found shape {indices:?}"),
            ));
        }
        checks::results(node, dtype, &shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (indices, lut) = (call.tensor("indices")?, call.tensor("lut")?);
        let width = lut.dtype.bits() / 8;
        let output = &mut *outputs[0].bytes;
        let mut copy = |to: usize, from: usize| {
            output[to * width..][..width].copy_from_slice(&lut.bytes[from * width..][..width]);
        };
        if call.node.has("shape") {
            let bits = flat_bits(&call.node, lut.shape)?;
            let elems = outputs[0].shape.iter().product();
            let picks = packed::unpack(indices.bytes, bits, elems);
            picks
                .into_iter()
                .enumerate()
                .for_each(|(to, pick)| copy(to, usize::from(pick)));
        } else {
            let palettes = Palettes::of(&call.node, indices.dtype.bits(), indices.shape)?;
            palettes.lookup(&codes(indices), copy);
        }
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        let of = |lines: &[&str], y: &str, args: &str| {
            sample_with(
                "%x: fp32[1]",
                lines,
                y,
                &format!("constexpr_lut_to_dense({args})"),
            )
        };
        vec![
            of(
                &[
                    "%i: uint8[2] = [228, 27]",
                    "%t: fp32[4] = [0.5, -1.0, 2.0, 4.0]",
                    "%s: uint32[3] = [1, 2, 4]",
                ],
                "fp32[1, 2, 4]",
                "indices=%i, lut=%t, shape=%s",
            ),
            of(
                &[
                    "%i: uint2[4, 3] = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]",
                    "%t: fp16[2, 1, 4, 1] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]",
                ],
                "fp16[4, 3]",
                "indices=%i, lut=%t",
            ),
            of(
                &[
                    "%i: uint1[2, 2] = [0, 1, 1, 0]",
                    "%t: fp32[1, 1, 2, 3] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]",
                ],
                "fp32[6, 2]",
                "indices=%i, lut=%t, vector_axis=0",
            ),
            of(
                &[
                    "%i: uint3[5] = [7, 6, 5, 0, 1]",
                    "%t: int8[1, 8, 1] = [0, 10, 20, 30, 40, 50, 60, -70]",
                ],
                "int8[5]",
                "indices=%i, lut=%t",
            ),
        ]
    }
}

impl Operator for LutToSparse {
    fn signature(&self) -> Signature {
        Signature {
            name: "constexpr_lut_to_sparse",
            params: const {
                &[
                    Param::required("indices_mask"),
                    Param::required("indices_nonzero_data"),
                    Param::required("lut"),
                    Param::attribute("vector_axis"),
                ]
            },
            available: Availability::From(Target::Ios18),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, mask) = stored(node, "indices_mask", &[DType::UInt1])?;
        let (index, nonzero) = stored(node, "indices_nonzero_data", PALETTE_INDICES)?;
        let (dtype, _) = stored(node, "lut", PALETTE_ENTRIES)?;
        checks::expect_rank(node, "indices_nonzero_data", nonzero, 1..=1)?;
        let palettes = Palettes::of(node, index.bits(), mask)?;
        let values = nonzero[0].saturating_mul(palettes.vector);
        sparse_types(node, &palettes.dense, dtype, values)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (mask, nonzero) = (call.tensor("indices_mask")?, call.tensor("indices_nonzero_data")?);
        let lut = call.tensor("lut")?;
        let palettes = Palettes::of(&call.node, nonzero.dtype.bits(), mask.shape)?;
        let set = codes(mask);
        let indices = spread(&call.node, &set, nonzero)?;
        let width = lut.dtype.bits() / 8;
        // The mask as seen from the expanded tensor: looked up like an index, each lane of a vector the same.
        let mut dense_mask = vec![0u8; palettes.dense.iter().product()];
        let steps = super::common::index::strides(mask.shape);
        for_each_index(&palettes.dense, |at, index| {
            let mut place = Shape::from(index);
            if let Some(position) = place.get_mut(palettes.vector_axis) {
                *position /= palettes.vector;
            }
            dense_mask[at] = set[super::common::index::position(&place, &steps)];
        });
        let (masks, values) = outputs.split_at_mut(1);
        let mut slots = values[0].bytes.chunks_exact_mut(width);
        palettes.lookup(&indices, |at, from| {
            if dense_mask[at] != 0
                && let Some(slot) = slots.next()
            {
                slot.copy_from_slice(&lut.bytes[from * width..][..width]);
            }
        });
        masks[0].bytes.copy_from_slice(&packed::pack(&dense_mask, 1));
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        let of = |shapes: [&str; 2], table: &str, args: &str| {
            format!(
                "func f opset ios18 (%x: fp32[1]) -> (m: %m, y: %y) {{\n%mask: uint1[2, 3] = [1, 0, 1, 0, 1, 1]\n\
                 %i: uint1[4] = [1, 0, 0, 1]\n%t: {table}\n%m: {}, %y: {} = constexpr_lut_to_sparse(indices_mask=%mask, \
                 indices_nonzero_data=%i, lut=%t{args})\n}}",
                shapes[0], shapes[1]
            )
        };
        vec![
            of(
                ["uint1[2, 3]", "fp32[4]"],
                "fp32[2, 1, 2, 1] = [1.0, 2.0, 3.0, 4.0]",
                "",
            ),
            of(
                ["uint1[4, 3]", "fp16[8]"],
                "fp16[1, 1, 2, 2] = [1.0, 2.0, 3.0, 4.0]",
                ", vector_axis=0",
            ),
        ]
    }
}

/// Puts the nonzero indices in their places; elsewhere 0.
fn spread(node: &Node<'_>, set: &[u8], nonzero: TensorRef<'_>) -> Result<Vec<u8>, OpError> {
    let expected = set.iter().filter(|&&bit| bit != 0).count();
    if expected != nonzero.elems() {
        return Err(node.param_error(
            "indices_nonzero_data",
            format_args!(
                "expected {expected} indices as the mask has, found {}",
                nonzero.elems()
            ),
        ));
    }
    let mut next = codes(nonzero).into_iter();
    Ok(set
        .iter()
        .map(|&bit| if bit == 0 { 0 } else { next.next().unwrap_or(0) })
        .collect())
}
