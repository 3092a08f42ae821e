//! Random graphs of the operators that passes look for: simplified and lowered, planned and run, they give what the
//! references of the original give.

use locket_kernels::Isa;
use locket_mil::{Arg, Function, Literal, Target, Type, ValueId, text};
use locket_ops::{Builder, evaluate};
use locket_passes::{lower, simplify};
use locket_runtime::{PlanOptions, Session, plan};
use locket_tensor::{AlignedBytes, DType, Tensor, TensorMut};

use crate::values::{Tolerance, assert_close, check_types, inputs, run, run_all};

/// Largest difference relative to the largest result: a dozen operations in a row, among them `softmax` and `sigmoid` of
/// sums, which turn a relative error of some 1e-6 into an absolute one.
const GRAPH_TOLERANCE: f32 = 2e-4;

/// Most elements of a value.
const MAX_ELEMS: usize = 4000;

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }

    fn float(&mut self) -> f32 {
        self.below(2001) as f32 / 1000.0 - 1.0
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

/// A function that grows, with the value of everything in it for one input.
struct Graph {
    function: Function,
    random: Random,
    /// Values to go on from.
    pool: Vec<ValueId>,
    known: Vec<Option<Tensor>>,
}

impl Graph {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut function = Function::new("main", Target::Ios18);
        let shape = [1, 1 + random.below(4), 3 + random.below(4), 3 + random.below(4)];
        let x = function.add_input("x", Type::tensor(DType::Float32, &shape));
        let mut graph = Self {
            function,
            random,
            pool: vec![x],
            known: Vec::new(),
        };
        let (_, value) = inputs(&graph.function, seed).remove(0);
        graph.know(x, value);
        graph
    }

    fn know(&mut self, id: ValueId, value: Tensor) {
        self.known
            .resize(self.function.values().len().max(id.index() + 1), None);
        self.known[id.index()] = Some(value);
    }

    fn shape(&self, id: ValueId) -> Vec<usize> {
        self.function.ty(id).shape().unwrap().to_vec()
    }

    /// Appends an operation and computes it. `None` if the operands do not fit, or the result is too large.
    fn ops(&mut self, kind: &str, args: Vec<(&str, Arg)>) -> Option<Vec<ValueId>> {
        let name = format!("{}_{}", kind.replace('.', "_"), self.function.operations.len());
        let results = Builder::new(&mut self.function)
            .op(kind, args, &name, &name)
            .ok()?;
        let elems = results.iter().map(|&id| self.function.ty(id).elems());
        if elems.clone().any(|elems| elems == 0 || elems > MAX_ELEMS) {
            self.function.operations.pop();
            return None;
        }
        let operation = self.function.operations.last().unwrap();
        let read: Vec<(ValueId, &Tensor)> = operation
            .input_values()
            .filter_map(|id| Some((id, self.known.get(id.index())?.as_ref()?)))
            .collect();
        let values = evaluate(&self.function, operation, &read).unwrap();
        for (&id, value) in results.iter().zip(values) {
            self.know(id, value);
        }
        Some(results)
    }

    fn one(&mut self, kind: &str, args: Vec<(&str, Arg)>) -> Option<ValueId> {
        self.ops(kind, args)?.into_iter().next()
    }

    fn constant(&mut self, literal: impl Into<Literal>) -> Arg {
        self.function.add_constant("c", literal).into()
    }

    fn floats(&mut self, shape: &[usize], scale: f32, offset: f32) -> Arg {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| self.random.float() * scale + offset).collect();
        self.constant(Tensor::from_slice(shape, &values).unwrap())
    }

    /// One of the last values.
    fn any(&mut self) -> ValueId {
        let recent = self.pool.len().min(4);
        self.pool[self.pool.len() - 1 - self.random.below(recent)]
    }

    fn another_like(&mut self, id: ValueId) -> ValueId {
        let alike: Vec<ValueId> = self
            .pool
            .iter()
            .copied()
            .filter(|&other| self.function.ty(other) == self.function.ty(id))
            .collect();
        alike[self.random.below(alike.len())]
    }

    fn finish(mut self) -> Function {
        let last = *self.pool.last().unwrap();
        self.function.add_output("y", last);
        let other = self.any();
        self.function.add_output("z", other);
        check_types(&self.function);
        self.function
    }
}

/// The geometry of a convolution: output channels, groups, kernel.
fn geometry(graph: &mut Graph, channels: usize) -> (usize, usize, usize) {
    let depthwise = channels > 1 && graph.random.below(3) == 0;
    let kernel = 1 + 2 * graph.random.below(2);
    if depthwise {
        (channels, channels, kernel)
    } else {
        (1 + graph.random.below(5), 1, kernel)
    }
}

fn conv(graph: &mut Graph, x: ValueId, weight: Arg, channels: usize, groups: usize) -> Option<ValueId> {
    let mut args = vec![("x", x.into()), ("weight", weight)];
    if graph.random.below(2) == 0 {
        args.push(("bias", graph.floats(&[channels], 1.0, 0.0)));
    }
    let stride = 1 + graph.random.below(2) as i32;
    args.push(("strides", graph.constant([stride, stride])));
    let pad_type = graph.random.pick(&["same", "valid", "custom"]);
    args.push(("pad_type", graph.constant(pad_type)));
    if pad_type == "custom" {
        args.push(("pad", graph.constant([1, 0, 1, 1])));
    }
    args.push(("groups", graph.constant(groups as i32)));
    graph.one("conv", args)
}

fn float_conv(graph: &mut Graph, x: ValueId) -> Option<ValueId> {
    let channels = graph.shape(x)[1];
    let (out, groups, kernel) = geometry(graph, channels);
    let inner = channels / groups * kernel * kernel;
    let scale = 1.5 / (inner as f32).sqrt();
    let weight = graph.floats(&[out, channels / groups, kernel, kernel], scale, 0.0);
    conv(graph, x, weight, out, groups)
}

/// Per-channel or single constants after whatever made the value.
fn affine(graph: &mut Graph, x: ValueId) -> Option<ValueId> {
    let channels = graph.shape(x)[1];
    if graph.random.below(3) == 0 {
        let args = vec![
            ("x", x.into()),
            ("mean", graph.floats(&[channels], 0.5, 0.0)),
            ("variance", graph.floats(&[channels], 0.5, 1.0)),
            ("gamma", graph.floats(&[channels], 1.0, 0.2)),
        ];
        return graph.one("batch_norm", args);
    }
    let shape: &[usize] = if graph.random.below(2) == 0 {
        &[]
    } else {
        &[channels, 1, 1]
    };
    let kind = graph.random.pick(&["add", "sub", "mul", "real_div"]);
    let constant = graph.floats(shape, 0.6, if kind == "add" { 0.0 } else { 1.0 });
    if kind != "real_div" && graph.random.below(2) == 0 {
        return graph.one(kind, vec![("x", constant), ("y", x.into())]);
    }
    graph.one(kind, vec![("x", x.into()), ("y", constant)])
}

fn activation(graph: &mut Graph, x: ValueId) -> Option<ValueId> {
    let kind = graph
        .random
        .pick(&["relu", "relu6", "clip", "sigmoid", "tanh", "leaky_relu"]);
    let mut args = vec![("x", x.into())];
    if kind == "clip" {
        args.push(("alpha", graph.constant(-0.5f32)));
        args.push(("beta", graph.constant(1.25f32)));
    } else if kind == "leaky_relu" {
        args.push(("alpha", graph.constant(0.1f32)));
    }
    graph.one(kind, args)
}

fn transpose(graph: &mut Graph, x: ValueId) -> Option<ValueId> {
    let permutations = [[0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2], [0, 3, 2, 1]];
    let perm = permutations[graph.random.below(permutations.len())];
    let perm = graph.constant(perm);
    graph.one("transpose", vec![("x", x.into()), ("perm", perm)])
}

fn pool(graph: &mut Graph, x: ValueId) -> Option<ValueId> {
    let kind = graph.random.pick(&["max_pool", "avg_pool"]);
    let args = vec![
        ("x", x.into()),
        ("kernel_sizes", graph.constant([2, 2])),
        ("strides", graph.constant([2, 2])),
        ("pad_type", graph.constant("valid")),
    ];
    graph.one(kind, args)
}

fn shuffle(graph: &mut Graph, x: ValueId) -> Option<ValueId> {
    let axis = 1 + graph.random.below(3);
    match graph.random.below(5) {
        0 => {
            let other = graph.another_like(x);
            let axis = graph.constant(axis as i32);
            graph.one("concat", vec![("values", vec![x, other].into()), ("axis", axis)])
        }
        1 => {
            let args = vec![
                ("x", x.into()),
                ("pad", graph.constant([0, 1, 1, 0])),
                ("constant_val", graph.constant(0.25f32)),
            ];
            graph.one("pad", args)
        }
        2 => {
            let (axes, keep) = (graph.constant([axis as i32]), graph.constant(true));
            graph.one(
                "reduce_mean",
                vec![("x", x.into()), ("axes", axes), ("keep_dims", keep)],
            )
        }
        3 => {
            let end: Vec<i32> = graph.shape(x).iter().map(|&dim| dim as i32).collect();
            let args = vec![
                ("x", x.into()),
                ("begin", graph.constant([0, 0, 1, 0])),
                ("end", graph.constant(end.as_slice())),
            ];
            graph.one("slice_by_index", args)
        }
        _ => {
            let (axis, parts) = (graph.constant(axis as i32), graph.constant(2));
            let args = vec![("x", x.into()), ("num_splits", parts), ("axis", axis)];
            let results = graph.ops("split", args)?;
            graph.pool.push(results[0]);
            Some(results[1])
        }
    }
}

pub(crate) fn float_graph(seed: u64) -> Function {
    let mut graph = Graph::new(seed);
    for _ in 0..4 + graph.random.below(10) {
        let x = graph.any();
        let made = match graph.random.below(8) {
            0 | 1 => float_conv(&mut graph, x),
            2 => affine(&mut graph, x),
            3 => activation(&mut graph, x),
            4 => transpose(&mut graph, x),
            5 => pool(&mut graph, x),
            6 => shuffle(&mut graph, x),
            _ => {
                let other = graph.another_like(x);
                graph.one("add", vec![("x", x.into()), ("y", other.into())])
            }
        };
        graph.pool.extend(made);
    }
    dense(&mut graph);
    graph.finish()
}

/// Ends the graph with a flatten and a fully connected layer, or a softmax.
fn dense(graph: &mut Graph) {
    let x = graph.any();
    let elems = graph.function.ty(x).elems();
    let made = match graph.random.below(3) {
        0 => {
            let shape = graph.constant([1, elems as i32]);
            let weight = graph.floats(&[elems, 3], 1.0 / (elems as f32).sqrt(), 0.0);
            let flat = graph.one("reshape", vec![("x", x.into()), ("shape", shape)]);
            let flat = flat.expect("a flatten of a value fits");
            graph.one("matmul", vec![("x", flat.into()), ("y", weight)])
        }
        1 => {
            let axis = graph.constant(1);
            graph.one("softmax", vec![("x", x.into()), ("axis", axis)])
        }
        _ => None,
    };
    graph.pool.extend(made);
}

/// Plans and runs a function with real kernels.
pub(crate) fn run_planned(function: &Function, values: &[(ValueId, Tensor)], threads: usize) -> Vec<Tensor> {
    let options = PlanOptions {
        isa: Isa::best(),
        threads,
        lean: false,
        precision: locket_runtime::Precision::Float32,
        depth_first: true,
        hand_over_ns: PlanOptions::HAND_OVER_NS,
    };
    let plan =
        plan(function, options).unwrap_or_else(|error| panic!("{error}\n{}", text::print(function, 8)));
    let mut session = Session::new(plan).unwrap();
    let given: Vec<_> = values.iter().map(|(_, tensor)| tensor.view()).collect();
    let types: Vec<Type> = function
        .outputs
        .iter()
        .map(|output| function.ty(output.value).clone())
        .collect();
    let mut buffers: Vec<AlignedBytes> = types.iter().map(|ty| AlignedBytes::zeroed(ty.bytes())).collect();
    let mut outputs: Vec<TensorMut<'_>> = types
        .iter()
        .zip(&mut buffers)
        .map(|(ty, buffer)| TensorMut {
            dtype: ty.dtype().unwrap(),
            shape: ty.shape().unwrap(),
            bytes: buffer.as_mut_slice(),
        })
        .collect();
    session.predict(&given, &mut outputs, None).unwrap();
    types
        .iter()
        .zip(&buffers)
        .map(|(ty, buffer)| {
            Tensor::from_bytes(ty.dtype().unwrap(), ty.shape().unwrap(), buffer.as_slice()).unwrap()
        })
        .collect()
}

#[test]
fn random_float_graphs_keep_their_values() {
    for seed in 0..150 {
        let original = float_graph(seed);
        let values = inputs(&original, seed + 1);
        let expected = run(&original, &values);
        let mut function = original.clone();
        simplify(&mut function);
        check_types(&function);
        lower(&mut function);
        check_types(&function);
        let found = run_planned(&function, &values, 1 + seed as usize % 2);
        for (expected, found) in expected.iter().zip(&found) {
            let context = format!(
                "seed {seed}\n{}\n{}",
                text::print(&original, 8),
                text::print(&function, 8)
            );
            assert_close(expected, found, Tolerance::Relative(GRAPH_TOLERANCE), &context);
        }
    }
}

/// A quantisation of a value to a grid that holds it, and the way back.
fn through_grid(graph: &mut Graph, x: ValueId, signed: bool) -> Option<ValueId> {
    let values = graph.known[x.index()].as_ref()?.to_f32()?;
    let low = values.iter().copied().fold(0f32, f32::min);
    let high = values.iter().copied().fold(0f32, f32::max);
    let scale = ((high - low) / 255.0).max(1e-3);
    let zero = (-low / scale).round().clamp(0.0, 255.0) as i16;
    let (dtype, zero) = match signed {
        true => (
            "int8",
            Tensor::from_codes(DType::Int8, &[], &[(zero - 128) as u8]),
        ),
        false => ("uint8", Tensor::from_codes(DType::UInt8, &[], &[zero as u8])),
    };
    let (zero, scale) = (graph.constant(zero.unwrap()), graph.constant(scale));
    let dtype = graph.constant(dtype);
    let args = vec![
        ("input", x.into()),
        ("zero_point", zero.clone()),
        ("scale", scale.clone()),
        ("output_dtype", dtype),
    ];
    let codes = graph.one("quantize", args)?;
    graph.one(
        "dequantize",
        vec![("input", codes.into()), ("zero_point", zero), ("scale", scale)],
    )
}

fn quantized_weight(graph: &mut Graph, shape: &[usize]) -> Arg {
    let count: usize = shape.iter().product();
    let codes: Vec<i8> = (0..count)
        .map(|_| (graph.random.below(255) as i16 - 127) as i8)
        .collect();
    let codes = graph.constant(Tensor::from_slice(shape, &codes).unwrap());
    let inner: usize = shape[1..].iter().product();
    let size = 1.5 / 127.0 / (inner as f32).sqrt();
    let scale = graph.floats(&[shape[0]], size * 0.5, size);
    let zero = graph.constant(Tensor::zeros(DType::Int8, &[shape[0]]).unwrap());
    let args = vec![
        ("quantized_data", codes),
        ("zero_point", zero),
        ("scale", scale),
        ("axis", graph.constant(0)),
    ];
    graph.one("constexpr_affine_dequantize", args).unwrap().into()
}

fn quantized_conv(graph: &mut Graph, x: ValueId) -> Option<ValueId> {
    let channels = graph.shape(x)[1];
    let (out, groups, kernel) = geometry(graph, channels);
    let weight = quantized_weight(graph, &[out, channels / groups, kernel, kernel]);
    let made = conv(graph, x, weight, out, groups)?;
    match graph.random.below(3) {
        0 => graph.one("relu", vec![("x", made.into())]),
        // Onto which a residual may be added before anything is quantised.
        1 => {
            let other = graph.another_like_or(made)?;
            graph.one("add", vec![("x", made.into()), ("y", other.into())])
        }
        _ => Some(made),
    }
}

impl Graph {
    /// A value of the same type from the pool.
    fn another_like_or(&mut self, id: ValueId) -> Option<ValueId> {
        let ty = self.function.ty(id);
        self.pool
            .iter()
            .copied()
            .find(|&other| self.function.ty(other) == ty)
    }
}

pub(crate) fn quantized_graph(seed: u64) -> Function {
    let mut graph = Graph::new(seed);
    let signed = seed.is_multiple_of(2);
    let x = graph.pool[0];
    let first = through_grid(&mut graph, x, signed).unwrap();
    graph.pool = vec![first];
    for _ in 0..3 + graph.random.below(6) {
        let x = graph.any();
        let made = match graph.random.below(7) {
            0..3 => quantized_conv(&mut graph, x),
            3 => activation(&mut graph, x),
            4 => pool(&mut graph, x),
            5 => transpose(&mut graph, x),
            _ => {
                let other = graph.another_like(x);
                graph.one("add", vec![("x", x.into()), ("y", other.into())])
            }
        };
        let made = made.and_then(|value| through_grid(&mut graph, value, signed));
        graph.pool.extend(made);
    }
    graph.finish()
}

/// The codes of int8 as uint8 that stand 128 higher, as the lowered function has them; others as they are.
fn as_lowered(tensor: &Tensor, ty: &Type) -> Option<Tensor> {
    let (dtype, shape) = (ty.dtype()?, ty.shape()?);
    if tensor.shape() != shape {
        return None;
    }
    match (tensor.dtype(), dtype) {
        (DType::Int8, DType::UInt8) => {
            let codes: Vec<u8> = tensor.bytes().iter().map(|code| code ^ 0x80).collect();
            Tensor::from_codes(DType::UInt8, shape, &codes).ok()
        }
        (from, to) => (from == to).then(|| tensor.clone()),
    }
}

/// Computes each operation of the lowered function from what its operands are in the original, so that no error grows,
/// and compares it with the value that the original has in its place. Returns how many integer operations were compared.
pub(crate) fn compare_each(original: &Function, lowered: &Function, seed: u64) -> usize {
    let values = inputs(original, seed);
    let truth = run_all(original, &values);
    let mut known: Vec<Option<Tensor>> = vec![None; lowered.values().len()];
    for (id, tensor) in values {
        known[id.index()] = Some(tensor);
    }
    let mut compared = 0;
    for operation in &lowered.operations {
        let read: Vec<(ValueId, &Tensor)> = operation
            .input_values()
            .filter_map(|id| Some((id, known[id.index()].as_ref()?)))
            .collect();
        let results = evaluate(lowered, operation, &read).unwrap();
        for (&id, found) in operation.outputs.iter().zip(results) {
            let expected = truth.get(id.index()).and_then(Option::as_ref);
            let expected = expected.and_then(|tensor| as_lowered(tensor, lowered.ty(id)));
            let Some(expected) = expected else {
                known[id.index()] = Some(found);
                continue;
            };
            let step = if found.dtype() == DType::UInt8 {
                Tolerance::Absolute(1.0)
            } else {
                Tolerance::Relative(2e-3)
            };
            let context = format!("seed {seed}, {}\n{}", operation.label(), text::print(original, 8));
            assert_close(&expected, &found, step, &context);
            compared += usize::from(operation.kind.ends_with("_u8"));
            known[id.index()] = Some(expected);
        }
    }
    compared
}

#[test]
fn random_quantized_graphs_agree_within_a_step() {
    let mut compared = 0;
    for seed in 0..150 {
        let original = quantized_graph(seed);
        let mut lowered = original.clone();
        lower(&mut lowered);
        check_types(&lowered);
        compared += compare_each(&original, &lowered, seed + 1);
        let values = inputs(&original, seed + 1);
        let (expected, found) = (run(&lowered, &values), run_planned(&lowered, &values, 2));
        for (expected, found) in expected.iter().zip(&found) {
            let context = format!("seed {seed}\n{}", text::print(&lowered, 8));
            // Integers are exact; the last dequantisation is one product.
            assert_close(expected, found, Tolerance::Relative(1e-6), &context);
        }
    }
    assert!(compared > 300, "only {compared} integer operations were compared");
}
