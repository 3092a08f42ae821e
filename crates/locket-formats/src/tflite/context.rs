//! Values of the model while it is lowered: each tensor as it is stored, and as the real numbers it stands for.

use std::collections::BTreeMap;

use locket_mil::Target;
use locket_tensor::{DType, Tensor};

use super::flatbuffer::Table;
use super::schema::{self, Model, OperatorInfo, Quantization, TensorInfo};
use crate::import::{Builder, Op, QuantizedConstant, Refusal, Var, views};

/// What the lowerings work on.
pub(super) struct Context<'m> {
    /// The function being built.
    pub(super) builder: Builder<'m>,
    model: &'m Model<'m>,
    stored: BTreeMap<i32, Var>,
    real: BTreeMap<i32, Var>,
}

/// An operator with its operands.
pub(super) struct Node<'m> {
    /// TFLite's name of the operator.
    pub(super) op: &'static str,
    info: &'m OperatorInfo<'m>,
}

impl<'m> Node<'m> {
    /// Wraps an operator of the file.
    pub(super) fn new(op: &'static str, info: &'m OperatorInfo<'m>) -> Self {
        Self { op, info }
    }

    /// Operand `index` as the number of a tensor; `None` if it is absent.
    pub(super) fn input(&self, index: usize) -> Option<i32> {
        self.info.inputs.get(index).copied().filter(|&tensor| tensor >= 0)
    }

    /// All operands that are there.
    pub(super) fn inputs(&self) -> Vec<i32> {
        self.info
            .inputs
            .iter()
            .copied()
            .filter(|&tensor| tensor >= 0)
            .collect()
    }

    /// All results.
    pub(super) fn outputs(&self) -> &'m [i32] {
        &self.info.outputs
    }

    /// The operator's options.
    pub(super) fn options(&self) -> Option<Table<'m>> {
        self.info.options
    }
}

impl<'m> Context<'m> {
    /// Starts without any value.
    pub(super) fn new(builder: Builder<'m>, model: &'m Model<'m>) -> Self {
        Self {
            builder,
            model,
            stored: BTreeMap::new(),
            real: BTreeMap::new(),
        }
    }

    /// The file's description of tensor `index`.
    pub(super) fn info(&self, index: i32) -> Result<&'m TensorInfo, Refusal> {
        self.model.tensor(index).ok_or_else(|| {
            self.builder
                .invalid("a tensor of the sub-graph", index.to_string())
        })
    }

    /// Operand `index` of `node`, which must be there.
    pub(super) fn operand(&self, node: &Node<'_>, index: usize) -> Result<i32, Refusal> {
        node.input(index)
            .ok_or_else(|| self.builder.invalid(format!("an input {index}"), "none"))
    }

    /// Result `index` of `node`, which must be there.
    pub(super) fn result(&self, node: &Node<'_>, index: usize) -> Result<i32, Refusal> {
        let result = node.outputs().get(index).copied();
        result.ok_or_else(|| self.builder.invalid(format!("an output {index}"), "none"))
    }

    /// Names the value that tensor `index` is stored as.
    pub(super) fn define(&mut self, index: i32, var: Var) -> Result<(), Refusal> {
        if self.stored.insert(index, var).is_some() {
            return Err(self.builder.invalid(
                "one definition of each tensor",
                format!("tensor {index} a second time"),
            ));
        }
        Ok(())
    }

    /// Names the value of a result of an operator that stays foreign, whatever its lowering had begun.
    pub(super) fn redefine(&mut self, index: i32, var: Var) {
        self.stored.insert(index, var);
    }

    /// Contents of tensor `index`, if it is constant.
    pub(super) fn constant(&self, index: i32) -> Result<Option<Tensor>, Refusal> {
        let info = self.info(index)?;
        let Some(bytes) = self.model.contents(info) else {
            return Ok(None);
        };
        if info.is_sparse {
            return Err(Refusal::form(
                format!("{} is a sparse constant", info.name),
                "convert without sparsity",
            ));
        }
        let dtype = schema::dtype(info.element_type);
        let dtype =
            dtype.ok_or_else(|| Refusal::element_type(&info.name, schema::type_name(info.element_type)))?;
        let tensor = Tensor::from_bytes(dtype, &info.shape, bytes);
        tensor.map(Some).map_err(|error| {
            self.builder.invalid(
                format!("contents that fit tensor {}", info.name),
                error.to_string(),
            )
        })
    }

    /// Integers of the constant tensor `index`; refused as data-dependent if it is computed.
    pub(super) fn constant_ints(&self, index: i32, what: &str) -> Result<Vec<i64>, Refusal> {
        let Some(tensor) = self.constant(index)? else {
            return Err(Refusal::data_dependent(format!("{what} is computed at run time")));
        };
        tensor.to_i64().ok_or_else(|| {
            self.builder
                .invalid(format!("integers as {what}"), tensor.dtype().to_string())
        })
    }

    /// Tensor `index` as it is stored.
    pub(super) fn stored(&mut self, index: i32) -> Result<Var, Refusal> {
        if let Some(&var) = self.stored.get(&index) {
            return Ok(var);
        }
        let info = self.info(index)?;
        let Some(tensor) = self.constant(index)? else {
            if info.is_variable {
                return Err(Refusal::form(
                    format!("{} is state kept between runs", info.name),
                    "pass the state explicitly",
                ));
            }
            return Err(self
                .builder
                .invalid("inputs that are computed before", format!("tensor {}", info.name)));
        };
        let var = self.builder.constant(&info.name, tensor)?;
        self.stored.insert(index, var);
        Ok(var)
    }

    /// Tensor `index` as the numbers it stands for: dequantised if it has scales, itself if not.
    pub(super) fn real(&mut self, index: i32) -> Result<Var, Refusal> {
        if let Some(&var) = self.real.get(&index) {
            return Ok(var);
        }
        let info = self.info(index)?;
        let var = match (&info.quantization, schema::dtype(info.element_type)) {
            (Some(quantization), Some(dtype)) if dtype.is_int() => match self.constant(index)? {
                Some(tensor) => self.real_constant(info, tensor, quantization, None)?,
                None => {
                    let stored = self.stored(index)?;
                    self.dequantize(info, stored, quantization)?
                }
            },
            _ => self.stored(index)?,
        };
        self.real.insert(index, var);
        Ok(var)
    }

    /// Constant tensor `index` with its axes in another order; codes stay codes. `None` if it is computed.
    pub(super) fn weight(&mut self, index: i32, order: &[usize]) -> Result<Option<Var>, Refusal> {
        let info = self.info(index)?;
        let Some(tensor) = self.constant(index)? else {
            return Ok(None);
        };
        if let Some(quantization) = info.quantization.as_ref().filter(|_| tensor.dtype().is_int()) {
            return self
                .real_constant(info, tensor, quantization, Some(order))
                .map(Some);
        }
        let moved = views::transposed(&tensor, order);
        let moved = moved.ok_or_else(|| {
            self.builder
                .invalid(format!("a tensor of {} axes", order.len()), &*info.name)
        })?;
        self.builder.constant(&info.name, moved).map(Some)
    }

    /// A quantised constant as real numbers, its axes in another order if one is given.
    fn real_constant(
        &mut self,
        info: &TensorInfo,
        tensor: Tensor,
        quantization: &Quantization,
        order: Option<&[usize]>,
    ) -> Result<Var, Refusal> {
        let (scale, zero_point, axis) =
            self.parameters(info, tensor.dtype(), tensor.shape(), quantization)?;
        let mut constant = QuantizedConstant {
            data: tensor,
            scale,
            zero_point,
            axis: axis.unwrap_or(0),
        };
        if let Some(order) = order {
            let data = views::transposed(&constant.data, order);
            let at = order.iter().position(|&from| from == constant.axis);
            let (data, at) = data.zip(at).ok_or_else(|| {
                self.builder
                    .invalid(format!("a tensor of {} axes", order.len()), &*info.name)
            })?;
            (constant.data, constant.axis) = (data, if axis.is_some() { at } else { 0 });
        }
        if matches!(constant.data.dtype(), DType::Int8 | DType::UInt8) && !constant.data.shape().is_empty() {
            return Ok(self.builder.quantized(&info.name, constant));
        }
        let real = constant.real_values();
        let real = real.ok_or_else(|| Refusal::element_type(&info.name, constant.data.dtype()))?;
        self.builder.constant(&info.name, real)
    }

    /// Scales and zero points as MIL takes them, with their axis if they are vectors.
    fn parameters(
        &self,
        info: &TensorInfo,
        dtype: DType,
        shape: &[usize],
        quantization: &Quantization,
    ) -> Result<(Tensor, Tensor, Option<usize>), Refusal> {
        let count = quantization.scale.len();
        let mut zeros = quantization.zero_point.clone();
        // A single zero point, or none, serves all scales.
        if zeros.len() <= 1 {
            zeros = vec![zeros.first().copied().unwrap_or(0); count];
        }
        let axis = usize::try_from(quantization.axis)
            .ok()
            .filter(|&axis| count > 1 && axis < shape.len());
        let fits = count == 1 || axis.and_then(|axis| shape.get(axis)) == Some(&count);
        if !fits || zeros.len() != count {
            let expected = format!(
                "one scale and zero point for tensor {}, or one for each index of its axis",
                info.name
            );
            return Err(self
                .builder
                .invalid(expected, format!("{count} and {}", zeros.len())));
        }
        let flat: &[usize] = if axis.is_some() { &[count] } else { &[] };
        let failed = |error: locket_tensor::TensorError| self.builder.invalid("scales", error.to_string());
        let scale = Tensor::from_slice(flat, &quantization.scale).map_err(failed)?;
        let range = || {
            self.builder.invalid(
                format!("zero points of tensor {} in the range of {dtype}", info.name),
                "others",
            )
        };
        let zero_point = match dtype {
            DType::Int8 => narrow::<i8>(flat, &zeros),
            DType::UInt8 => narrow::<u8>(flat, &zeros),
            DType::Int16 => narrow::<i16>(flat, &zeros),
            _ => narrow::<i32>(flat, &zeros),
        };
        Ok((scale, zero_point.ok_or_else(range)?, axis))
    }

    fn dequantize(
        &mut self,
        info: &TensorInfo,
        stored: Var,
        quantization: &Quantization,
    ) -> Result<Var, Refusal> {
        let dtype = self.builder.dtype(stored)?;
        if !matches!(dtype, DType::Int8 | DType::UInt8) {
            return Err(Refusal::element_type(&info.name, dtype));
        }
        let shape = self.builder.shape(stored)?;
        let (scale, zero_point, axis) = self.parameters(info, dtype, &shape, quantization)?;
        let op = Op::new("dequantize")
            .since(Target::Ios17)
            .var("input", stored)
            .literal("zero_point", zero_point);
        let op = with_axis(op.literal("scale", scale), axis);
        self.builder
            .push(op, &format!("{}_real", info.name), DType::Float32, &shape)
    }

    /// Makes the real numbers `var` the value of tensor `index`, quantised if the tensor is.
    pub(super) fn finish(&mut self, index: i32, var: Var) -> Result<(), Refusal> {
        let info = self.info(index)?;
        let dtype = schema::dtype(info.element_type);
        let Some((quantization, dtype)) = info
            .quantization
            .as_ref()
            .zip(dtype)
            .filter(|(_, dtype)| dtype.is_int())
        else {
            return self.define(index, var);
        };
        if !matches!(dtype, DType::Int8 | DType::UInt8) {
            return Err(Refusal::element_type(&info.name, dtype));
        }
        let shape = self.builder.shape(var)?;
        let (scale, zero_point, axis) = self.parameters(info, dtype, &shape, quantization)?;
        let op = Op::new("quantize")
            .since(Target::Ios17)
            .var("input", var)
            .literal("zero_point", zero_point);
        let op = with_axis(op.literal("scale", scale), axis).text("output_dtype", dtype.name());
        let stored = self.builder.push(op, &info.name, dtype, &shape)?;
        self.define(index, stored)
    }

    /// True if two tensors store the same number as the same integer.
    pub(super) fn same_codes(&self, a: i32, b: i32) -> Result<bool, Refusal> {
        let (a, b) = (self.info(a)?, self.info(b)?);
        Ok(a.element_type == b.element_type && a.quantization == b.quantization)
    }

    /// The name for a real-valued step of tensor `index`: its own name if nothing follows that step.
    pub(super) fn name(&self, index: i32) -> Result<String, Refusal> {
        let info = self.info(index)?;
        let quantized =
            info.quantization.is_some() && schema::dtype(info.element_type).is_some_and(DType::is_int);
        Ok(if quantized {
            format!("{}_exact", info.name)
        } else {
            info.name.clone()
        })
    }

    /// Appends a transposition.
    pub(super) fn transpose(&mut self, x: Var, order: &[usize], name: &str) -> Result<Var, Refusal> {
        let (dtype, shape) = (self.builder.dtype(x)?, self.builder.shape(x)?);
        let dims: Option<Vec<usize>> = order.iter().map(|&axis| shape.get(axis).copied()).collect();
        let dims = dims.filter(|dims| dims.len() == shape.len());
        let dims = dims.ok_or_else(|| {
            self.builder
                .invalid(format!("a tensor of {} axes", order.len()), format!("{shape:?}"))
        })?;
        let since = if matches!(dtype, DType::Int8 | DType::UInt8) {
            Target::Ios17
        } else {
            Target::Ios15
        };
        self.builder.push(
            Op::new("transpose").since(since).var("x", x).ints("perm", order),
            name,
            dtype,
            &dims,
        )
    }
}

fn with_axis(op: Op, axis: Option<usize>) -> Op {
    match axis {
        Some(axis) => op.int("axis", axis),
        None => op,
    }
}

fn narrow<T: locket_tensor::Element + TryFrom<i64>>(shape: &[usize], values: &[i64]) -> Option<Tensor> {
    let values: Option<Vec<T>> = values.iter().map(|&value| T::try_from(value).ok()).collect();
    Tensor::from_slice(shape, &values?).ok()
}
