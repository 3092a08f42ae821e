//! The operations that expand compressed weights.

use locket_mil::{Arg, Function, Literal, Name, Operation, Type, ValueId};
use locket_tensor::{DType, Tensor, packed};

use super::{Encoded, float_tensor};

/// A compressed weight as MIL holds it: operations with their constants, not yet part of a function.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    steps: Vec<Step>,
}

/// One `constexpr_*` operation.
#[derive(Clone, Debug)]
struct Step {
    kind: &'static str,
    constants: Vec<(&'static str, Literal)>,
    /// Parameters bound to results of the step before, by their position there.
    earlier: Vec<(&'static str, usize)>,
    results: Vec<(&'static str, Type)>,
}

impl Stored {
    /// The form that a compressed weight takes for a tensor of this type (float32 or float16) and shape.
    pub(crate) fn new(encoded: &Encoded, dtype: DType, shape: &[usize]) -> Self {
        let dense = Type::tensor(dtype, shape);
        let one = |kind, constants| Self {
            steps: vec![Step {
                kind,
                constants,
                earlier: Vec::new(),
                results: vec![("expanded", dense.clone())],
            }],
        };
        match encoded {
            Encoded::Float16(values) => one(
                "constexpr_cast",
                vec![
                    ("source_val", of(Tensor::from_slice(shape, values))),
                    ("output_dtype", "fp32".into()),
                ],
            ),
            Encoded::Int8 { codes, scale } => one(
                "constexpr_affine_dequantize",
                vec![
                    ("quantized_data", of(Tensor::from_slice(shape, codes))),
                    ("zero_point", Tensor::scalar(0i8).into()),
                    ("scale", float_tensor(dtype, &[scale.len()], scale).into()),
                    ("axis", Tensor::scalar(0i32).into()),
                ],
            ),
            Encoded::Int4 { codes, scale, blocks } => {
                let mut counts = vec![1; shape.len()];
                counts[0] = shape[0];
                counts[1] = *blocks;
                let raw: Vec<u8> = codes.iter().map(|&code| code as u8 & 0xf).collect();
                one(
                    "constexpr_blockwise_shift_scale",
                    vec![
                        ("data", of(Tensor::from_codes(DType::Int4, shape, &raw))),
                        ("scale", float_tensor(dtype, &counts, scale).into()),
                    ],
                )
            }
            Encoded::Palette {
                bits,
                indices,
                tables,
            } => one(
                "constexpr_lut_to_dense",
                palette(encoded, *bits, indices, tables, dtype, shape),
            ),
            Encoded::PaletteInt8 {
                bits,
                indices,
                tables,
                scale,
            } => palette_int8((*bits, indices, tables), scale, dtype, shape),
            Encoded::Sparse(values) => {
                let kept: Vec<f32> = values.iter().copied().filter(|value| *value != 0.0).collect();
                let mask: Vec<u8> = values.iter().map(|value| u8::from(*value != 0.0)).collect();
                one(
                    "constexpr_sparse_to_dense",
                    vec![
                        ("nonzero_data", float_tensor(dtype, &[kept.len()], &kept).into()),
                        ("mask", Tensor::vector(&packed::pack(&mask, 1)).into()),
                        ("shape", dims(shape)),
                    ],
                )
            }
            Encoded::SparseInt8 { codes, scale } => sparse_int8(codes, scale, dtype, shape),
        }
    }

    /// Bytes of all its constants, as a file stores them.
    pub(crate) fn bytes(&self) -> u64 {
        let constants = self.steps.iter().flat_map(|step| &step.constants);
        let tensors = constants.filter_map(|(_, literal)| literal.tensor());
        tensors.map(|tensor| tensor.bytes().len() as u64).sum()
    }

    /// Adds the constants to a function, and gives the operations and the value that holds the expanded weight. `name` is the start of
    /// the names of all.
    pub(crate) fn add(self, function: &mut Function, name: &str) -> (Vec<Operation>, ValueId) {
        let mut operations: Vec<Operation> = Vec::new();
        for step in self.steps {
            let constants = step.constants.into_iter().map(|(param, literal)| {
                let id = function.add_constant(&format!("{name}_{param}"), literal);
                (Name::from(param), Arg::One(id))
            });
            let mut inputs: Vec<(Name, Arg)> = constants.collect();
            let before = operations
                .last()
                .map(|operation| operation.outputs.clone())
                .unwrap_or_default();
            let links = step.earlier.iter();
            inputs.extend(links.map(|&(param, result)| (Name::from(param), Arg::One(before[result]))));
            let results = step.results.into_iter();
            operations.push(Operation {
                kind: step.kind.into(),
                inputs,
                outputs: results
                    .map(|(part, ty)| function.add_result(&format!("{name}_{part}"), ty))
                    .collect(),
                origin: Vec::new(),
            });
        }
        let last = operations.last().expect("there is at least one step");
        let result = *last.outputs.last().expect("a step has results");
        (operations, result)
    }
}

fn of(tensor: Result<Tensor, locket_tensor::TensorError>) -> Literal {
    tensor.expect("there is a code for each element").into()
}

/// A shape as iOS 16's packed forms have it.
fn dims(shape: &[usize]) -> Literal {
    let dims: Vec<u32> = shape
        .iter()
        .map(|&dim| u32::try_from(dim).unwrap_or(u32::MAX))
        .collect();
    Tensor::vector(&dims).into()
}

fn palette(
    encoded: &Encoded,
    bits: u8,
    indices: &[u8],
    tables: &[f32],
    dtype: DType,
    shape: &[usize],
) -> Vec<(&'static str, Literal)> {
    let width = usize::from(bits);
    if encoded.plain_palette() {
        return vec![
            ("indices", Tensor::vector(&packed::pack(indices, width)).into()),
            ("lut", float_tensor(dtype, &[tables.len()], tables).into()),
            ("shape", dims(shape)),
        ];
    }
    let lut = table_shape(shape, encoded.groups(), 1 << bits);
    vec![
        (
            "indices",
            of(Tensor::from_codes(index_type(bits), shape, indices)),
        ),
        ("lut", float_tensor(dtype, &lut, tables).into()),
    ]
}

/// The type of an index of so many bits.
fn index_type(bits: u8) -> DType {
    match bits {
        1 => DType::UInt1,
        2 => DType::UInt2,
        3 => DType::UInt3,
        4 => DType::UInt4,
        6 => DType::UInt6,
        _ => DType::UInt8,
    }
}

/// The shape of tables for groups of rows of a weight, as iOS 18 has them: `[groups, 1.., entries, 1]`.
fn table_shape(weight: &[usize], groups: usize, entries: usize) -> Vec<usize> {
    let mut shape = vec![1; weight.len()];
    shape[0] = groups;
    shape.extend([entries, 1]);
    shape
}

/// Tables of codes are expanded by their scales, then indices by the tables: the order that Core ML's own tools write.
fn palette_int8(
    (bits, indices, tables): (u8, &[u8], &[i8]),
    scale: &[f32],
    dtype: DType,
    shape: &[usize],
) -> Stored {
    let table = table_shape(shape, scale.len(), 1 << bits);
    let counts = table_shape(shape, scale.len(), 1);
    let entries = Step {
        kind: "constexpr_blockwise_shift_scale",
        constants: vec![
            ("data", of(Tensor::from_slice(&table, tables))),
            ("scale", float_tensor(dtype, &counts, scale).into()),
        ],
        earlier: Vec::new(),
        results: vec![("lut", Type::tensor(dtype, &table))],
    };
    let spread = Step {
        kind: "constexpr_lut_to_dense",
        constants: vec![(
            "indices",
            of(Tensor::from_codes(index_type(bits), shape, indices)),
        )],
        earlier: vec![("lut", 0)],
        results: vec![("expanded", Type::tensor(dtype, shape))],
    };
    Stored {
        steps: vec![entries, spread],
    }
}

fn sparse_int8(codes: &[i8], scale: &[f32], dtype: DType, shape: &[usize]) -> Stored {
    let kept: Vec<i8> = codes.iter().copied().filter(|&code| code != 0).collect();
    let mask: Vec<u8> = codes.iter().map(|&code| u8::from(code != 0)).collect();
    let mut counts = vec![1; shape.len()];
    counts[0] = shape[0];
    let values = Type::tensor(dtype, &[kept.len()]);
    let expand = Step {
        kind: "constexpr_sparse_blockwise_shift_scale",
        constants: vec![
            ("data_mask", of(Tensor::from_codes(DType::UInt1, shape, &mask))),
            ("nonzero_data", Tensor::vector(&kept).into()),
            ("scale", float_tensor(dtype, &counts, scale).into()),
        ],
        earlier: Vec::new(),
        results: vec![("mask", Type::tensor(DType::UInt1, shape)), ("nonzero", values)],
    };
    let spread = Step {
        kind: "constexpr_sparse_to_dense",
        constants: Vec::new(),
        earlier: vec![("nonzero_data", 1), ("mask", 0)],
        results: vec![("expanded", Type::tensor(dtype, shape))],
    };
    Stored {
        steps: vec![expand, spread],
    }
}
