//! The MIL function while a reader fills it.
//!
//! A reader names every value of the file by a [`Var`]. Constants enter the function only when an operation uses
//! them, narrowed to a type that MIL has; so constants that only carry shapes leave no trace. The types of all
//! results are computed by the lowerings, from the source format's own rules.

use locket_mil::{Arg, Diagnostic, Function, Literal, Severity, Target, Type, ValueId};
use locket_tensor::{DType, Shape, Tensor};

use super::op::Operand;
use super::{Op, Refusal, codes};
use crate::limits::Limits;
use crate::{Format, FormatError};

/// A value of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Var(usize);

/// An 8-bit constant with the parameters that give its real value, `scale * (data - zero_point)`.
#[derive(Debug, Clone)]
pub(crate) struct QuantizedConstant {
    /// int8 or uint8 codes.
    pub(crate) data: Tensor,
    /// One scale, or one for each index of `axis`; fp32 or fp16, rank 0 or 1.
    pub(crate) scale: Tensor,
    /// One zero point for each scale, of the type of `data`.
    pub(crate) zero_point: Tensor,
    /// The axis of `data` that `scale` runs along; 0 for one scale.
    pub(crate) axis: usize,
}

impl QuantizedConstant {
    /// The real values, computed in single precision; `None` for codes that are no integers.
    pub(crate) fn real_values(&self) -> Option<Tensor> {
        super::views::dequantized(&self.data, &self.scale, &self.zero_point, self.axis)
    }
}

enum Content {
    Constant(Tensor),
    Quantized(Box<QuantizedConstant>),
    Computed,
}

struct Slot {
    name: String,
    content: Content,
    value: Option<ValueId>,
    ty: Option<(DType, Shape)>,
}

/// Builds one MIL function.
pub(crate) struct Builder<'a> {
    function: Function,
    diagnostics: Vec<Diagnostic>,
    slots: Vec<Slot>,
    limits: &'a Limits,
    format: Format,
    constant_bytes: u64,
    narrowed: Vec<DType>,
    /// The source's name of the operator that is being lowered.
    pub(crate) origin: String,
}

/// The type that a value of `dtype` has in MIL: 64-bit types become 32-bit ones, and so does bf16.
pub(crate) fn mil_dtype(dtype: DType) -> DType {
    match dtype {
        DType::Int64 | DType::UInt32 | DType::UInt64 => DType::Int32,
        DType::Float64 | DType::BFloat16 => DType::Float32,
        other => other,
    }
}

impl<'a> Builder<'a> {
    /// An empty function called `main`.
    pub(crate) fn new(format: Format, limits: &'a Limits) -> Self {
        Self {
            function: Function::new("main", Target::Ios15),
            diagnostics: Vec::new(),
            slots: Vec::new(),
            limits,
            format,
            constant_bytes: 0,
            narrowed: Vec::new(),
            origin: String::new(),
        }
    }

    /// Ends the construction.
    pub(crate) fn finish(self) -> (Function, Vec<Diagnostic>) {
        (self.function, self.diagnostics)
    }

    /// The caller's limits.
    pub(crate) fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// Adds a finding.
    pub(crate) fn report(&mut self, finding: Diagnostic) {
        self.diagnostics.push(finding);
    }

    /// An error about the operator that is being lowered.
    pub(crate) fn invalid(&self, expected: impl Into<String>, found: impl Into<String>) -> Refusal {
        Refusal::Broken(FormatError::Invalid {
            format: self.format,
            place: self.origin.clone(),
            expected: expected.into(),
            found: found.into(),
        })
    }

    fn slot(&self, var: Var) -> Option<&Slot> {
        self.slots.get(var.0)
    }

    fn add_slot(&mut self, slot: Slot) -> Var {
        let var = Var(self.slots.len());
        self.slots.push(slot);
        var
    }

    /// Adds an input of the function; an unknown type makes everything that reads it foreign.
    pub(crate) fn input(&mut self, name: &str, ty: Option<(DType, &[usize])>) -> Result<Var, Refusal> {
        let ty = ty.map(|(dtype, shape)| (self.narrow(name, dtype), Shape::from_slice(shape)));
        if let Some((_, shape)) = &ty {
            self.check_size(shape, name)?;
        }
        let unique = self.function.unique_name(name);
        let value = self.function.add_input(&unique, as_type(ty.as_ref()));
        Ok(self.add_slot(Slot {
            name: name.to_owned(),
            content: Content::Computed,
            value: Some(value),
            ty,
        }))
    }

    /// Names `var` as a result of the function. Inputs and constants pass through an `identity`, so that every
    /// result is computed, and no two results are one value.
    pub(crate) fn output(&mut self, name: &str, var: Var) -> Result<(), Refusal> {
        let id = self.value(var)?;
        let computed = matches!(
            self.function.value(id).definition,
            locket_mil::Definition::Operation
        );
        let id = if computed && !self.function.is_output(id) {
            id
        } else {
            let copy = match self.known(var) {
                Some((dtype, shape)) => self.push(Op::new("identity").var("x", var), name, dtype, &shape)?,
                None => self
                    .foreign("identity", &[var], &[(name.to_owned(), None)])?
                    .pop()
                    .ok_or(Refusal::Downstream)?,
            };
            self.value(copy)?
        };
        let taken = |name: &str| self.function.outputs.iter().any(|output| output.name == name);
        let count = self.function.outputs.len();
        let unique = if name.is_empty() || taken(name) {
            format!("{name}_{count}")
        } else {
            name.to_owned()
        };
        let unique = if taken(&unique) {
            format!("output_{count}_{unique}")
        } else {
            unique
        };
        self.function.add_output(&unique, id);
        Ok(())
    }

    /// Adds a constant; it enters the function when it is used.
    pub(crate) fn constant(&mut self, name: &str, tensor: Tensor) -> Result<Var, Refusal> {
        let bytes = u64::try_from(tensor.bytes().len()).unwrap_or(u64::MAX);
        self.constant_bytes = self.constant_bytes.saturating_add(bytes);
        if self.constant_bytes > self.limits.max_constant_bytes {
            return Err(Refusal::Broken(FormatError::Limit {
                format: self.format,
                place: "bytes of all constants".to_owned(),
                limit: self.limits.max_constant_bytes,
                found: self.constant_bytes,
            }));
        }
        let ty = Some((mil_dtype(tensor.dtype()), Shape::from_slice(tensor.shape())));
        Ok(self.add_slot(Slot {
            name: name.to_owned(),
            content: Content::Constant(tensor),
            value: None,
            ty,
        }))
    }

    /// Adds an 8-bit constant that stands for real values. It enters the function as `constexpr_affine_dequantize`.
    pub(crate) fn quantized(&mut self, name: &str, constant: QuantizedConstant) -> Var {
        let ty = Some((constant.scale.dtype(), Shape::from_slice(constant.data.shape())));
        self.add_slot(Slot {
            name: name.to_owned(),
            content: Content::Quantized(Box::new(constant)),
            value: None,
            ty,
        })
    }

    /// The constant behind `var` in the file's own type, if it is one.
    pub(crate) fn tensor(&self, var: Var) -> Option<&Tensor> {
        match &self.slot(var)?.content {
            Content::Constant(tensor) => Some(tensor),
            Content::Quantized(_) | Content::Computed => None,
        }
    }

    /// The 8-bit constant behind `var`, if it is one.
    pub(crate) fn quantized_constant(&self, var: Var) -> Option<&QuantizedConstant> {
        match &self.slot(var)?.content {
            Content::Quantized(constant) => Some(constant),
            Content::Constant(_) | Content::Computed => None,
        }
    }

    /// The real values of a constant, plain or quantised; `None` if it is computed.
    pub(crate) fn real_tensor(&self, var: Var) -> Option<Tensor> {
        let plain = self.tensor(var).cloned();
        plain.or_else(|| {
            self.quantized_constant(var)
                .and_then(QuantizedConstant::real_values)
        })
    }

    /// True if `var` is known when the program is read, plainly or as an 8-bit constant.
    pub(crate) fn is_constant(&self, var: Var) -> bool {
        self.slot(var)
            .is_some_and(|slot| !matches!(slot.content, Content::Computed))
    }

    /// The name of `var` in the file.
    pub(crate) fn name(&self, var: Var) -> &str {
        self.slot(var).map_or("", |slot| &slot.name)
    }

    fn known(&self, var: Var) -> Option<(DType, Shape)> {
        self.slot(var)?.ty.clone()
    }

    /// Element type of `var` in MIL.
    pub(crate) fn dtype(&self, var: Var) -> Result<DType, Refusal> {
        self.known(var).map(|(dtype, _)| dtype).ok_or(Refusal::Downstream)
    }

    /// Shape of `var`.
    pub(crate) fn shape(&self, var: Var) -> Result<Vec<usize>, Refusal> {
        self.known(var)
            .map(|(_, shape)| shape.to_vec())
            .ok_or(Refusal::Downstream)
    }

    /// Refuses element types other than fp16 and fp32.
    pub(crate) fn float_dtype(&self, var: Var) -> Result<DType, Refusal> {
        match self.dtype(var)? {
            dtype @ (DType::Float16 | DType::Float32) => Ok(dtype),
            other => Err(Refusal::element_type(self.name(var), other)),
        }
    }

    /// Refuses element types other than fp16, fp32 and int32.
    pub(crate) fn number_dtype(&self, var: Var) -> Result<DType, Refusal> {
        match self.dtype(var)? {
            dtype @ (DType::Float16 | DType::Float32 | DType::Int32) => Ok(dtype),
            other => Err(Refusal::element_type(self.name(var), other)),
        }
    }

    fn narrow(&mut self, name: &str, dtype: DType) -> DType {
        let narrow = mil_dtype(dtype);
        if narrow != dtype && !self.narrowed.contains(&dtype) {
            self.narrowed.push(dtype);
            let severity = if dtype == DType::Float64 {
                Severity::Warning
            } else {
                Severity::Note
            };
            let finding = Diagnostic::new(
                codes::NARROWED,
                severity,
                name,
                format!("{dtype} values are computed as {narrow}"),
            )
            .why(format!(
                "Core ML does not compute in {dtype}; what {narrow} cannot hold would change"
            ))
            .rewritten_to(narrow.name())
            .help("nothing to do when the values are indices, sizes or ordinary numbers");
            self.diagnostics.push(finding);
        }
        narrow
    }

    fn report_saturated(&mut self, name: &str, dtype: DType) {
        let message = format!("constant of {dtype} has values out of the range of int32, moved to its ends");
        let finding = Diagnostic::new(codes::NARROWED, Severity::Warning, name, message)
            .why("Core ML does not compute in 64 bits")
            .help("harmless where the value stands for \"no limit\"; otherwise export with smaller numbers");
        self.diagnostics.push(finding);
    }

    /// The function's value for `var`, made on first use.
    pub(crate) fn value(&mut self, var: Var) -> Result<ValueId, Refusal> {
        let Some(slot) = self.slots.get(var.0) else {
            return Err(Refusal::Downstream);
        };
        if let Some(value) = slot.value {
            return Ok(value);
        }
        let name = slot.name.clone();
        let value = match &slot.content {
            Content::Constant(tensor) => {
                let tensor = tensor.clone();
                self.narrow(&name, tensor.dtype());
                let (narrowed, saturated) = narrowed(&tensor);
                if saturated {
                    self.report_saturated(&name, tensor.dtype());
                }
                self.function.add_constant(&name, narrowed)
            }
            Content::Quantized(constant) => {
                let constant = constant.clone();
                self.push_quantized(&name, &constant)?
            }
            Content::Computed => return Err(Refusal::Downstream),
        };
        if let Some(slot) = self.slots.get_mut(var.0) {
            slot.value = Some(value);
        }
        Ok(value)
    }

    fn push_quantized(&mut self, name: &str, constant: &QuantizedConstant) -> Result<ValueId, Refusal> {
        let op = Op::new("constexpr_affine_dequantize")
            .since(Target::Ios16)
            .literal("quantized_data", constant.data.clone())
            .literal("zero_point", constant.zero_point.clone())
            .literal("scale", constant.scale.clone())
            .int("axis", constant.axis);
        let user = std::mem::replace(&mut self.origin, name.to_owned());
        let var = self.push(op, name, constant.scale.dtype(), constant.data.shape());
        self.origin = user;
        self.value(var?)
    }

    fn check_size(&self, shape: &[usize], name: &str) -> Result<(), Refusal> {
        let elems = super::shapes::product(shape)
            .and_then(|n| u64::try_from(n).ok())
            .unwrap_or(u64::MAX);
        let limit = |place: String, limit: u64, found: u64| {
            Err(Refusal::Broken(FormatError::Limit {
                format: self.format,
                place,
                limit,
                found,
            }))
        };
        if elems > self.limits.max_tensor_elems {
            return limit(format!("elements of {name}"), self.limits.max_tensor_elems, elems);
        }
        if shape.len() > self.limits.max_rank {
            let as_u64 = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
            return limit(
                format!("rank of {name}"),
                as_u64(self.limits.max_rank),
                as_u64(shape.len()),
            );
        }
        Ok(())
    }

    /// Appends `op` with one result.
    pub(crate) fn push(&mut self, op: Op, name: &str, dtype: DType, shape: &[usize]) -> Result<Var, Refusal> {
        let mut vars = self.push_many(op, &[(name.to_owned(), dtype, shape.to_vec())])?;
        vars.pop().ok_or(Refusal::Downstream)
    }

    /// Appends `op` with results of the given names and types.
    pub(crate) fn push_many(
        &mut self,
        op: Op,
        results: &[(String, DType, Vec<usize>)],
    ) -> Result<Vec<Var>, Refusal> {
        if op.overflow {
            return Err(self.invalid("parameters in the range of int32", "a larger number"));
        }
        for (name, _, shape) in results {
            self.check_size(shape, name)?;
        }
        let stem = results
            .first()
            .map_or("", |(name, _, _)| name.as_str())
            .to_owned();
        let mut inputs = Vec::with_capacity(op.args.len());
        for (param, operand) in op.args {
            let arg = match operand {
                Operand::One(var) => Arg::One(self.value(var)?),
                Operand::Many(vars) => {
                    let ids: Result<Vec<ValueId>, Refusal> =
                        vars.into_iter().map(|var| self.value(var)).collect();
                    Arg::Many(ids?)
                }
                Operand::Literal(literal) => {
                    Arg::One(self.function.add_constant(&format!("{stem}_{param}"), literal))
                }
            };
            inputs.push((param, arg));
        }
        self.function.opset = self.function.opset.max(op.since);
        self.check_count()?;
        let types = results
            .iter()
            .map(|(name, dtype, shape)| (name.as_str(), Type::tensor(*dtype, shape)));
        let ids = self.function.push(op.kind, inputs, types.collect(), &self.origin);
        let vars = ids.into_iter().zip(results).map(|(id, (name, dtype, shape))| {
            let ty = Some((*dtype, Shape::from_slice(shape)));
            (name.clone(), id, ty)
        });
        let vars: Vec<_> = vars.collect();
        Ok(vars
            .into_iter()
            .map(|(name, id, ty)| self.computed(name, id, ty))
            .collect())
    }

    fn computed(&mut self, name: String, value: ValueId, ty: Option<(DType, Shape)>) -> Var {
        self.add_slot(Slot {
            name,
            content: Content::Computed,
            value: Some(value),
            ty,
        })
    }

    fn check_count(&self) -> Result<(), Refusal> {
        let count = self.function.operations.len();
        if count < self.limits.max_operations {
            return Ok(());
        }
        Err(Refusal::Broken(FormatError::Limit {
            format: self.format,
            place: "number of operations".to_owned(),
            limit: u64::try_from(self.limits.max_operations).unwrap_or(u64::MAX),
            found: u64::try_from(count).unwrap_or(u64::MAX).saturating_add(1),
        }))
    }

    /// Appends a foreign operation of the source operator `kind`. A result has a type only where the file states it.
    pub(crate) fn foreign(
        &mut self,
        kind: &str,
        inputs: &[Var],
        results: &[(String, Option<(DType, Vec<usize>)>)],
    ) -> Result<Vec<Var>, Refusal> {
        self.check_count()?;
        let prefix = match self.format {
            Format::CoreMl => "coreml",
            Format::Onnx => "onnx",
            Format::Tflite => "tflite",
        };
        let ids: Result<Vec<ValueId>, Refusal> = inputs.iter().map(|&var| self.value(var)).collect();
        let mut types = Vec::with_capacity(results.len());
        for (name, ty) in results {
            let ty = ty
                .as_ref()
                .map(|(dtype, shape)| (mil_dtype(*dtype), Shape::from_slice(shape)));
            let ty = ty.filter(|(_, shape)| self.check_size(shape, name).is_ok());
            types.push((name.as_str(), ty));
        }
        let outputs = types
            .iter()
            .map(|(name, ty)| (*name, as_type(ty.as_ref())))
            .collect();
        let args = vec![("values", Arg::Many(ids?))];
        let ids = self
            .function
            .push(&format!("{prefix}.{kind}"), args, outputs, &self.origin);
        let made: Vec<_> = ids
            .into_iter()
            .zip(types)
            .map(|(id, (name, ty))| (name.to_owned(), id, ty))
            .collect();
        Ok(made
            .into_iter()
            .map(|(name, id, ty)| self.computed(name, id, ty))
            .collect())
    }
}

fn as_type(ty: Option<&(DType, Shape)>) -> Type {
    ty.map_or(Type::Unknown, |(dtype, shape)| Type::tensor(*dtype, shape))
}

/// The constant in a type that MIL has, and whether a value had to be moved to the end of the range.
fn narrowed(tensor: &Tensor) -> (Literal, bool) {
    let mut saturated = false;
    let converted = match tensor.dtype() {
        DType::Int64 | DType::UInt32 | DType::UInt64 => {
            let clamp = |value: i64| {
                let near = value.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
                saturated |= near != value;
                i32::try_from(near).unwrap_or_default()
            };
            let narrow: Vec<i32> = tensor
                .to_i64()
                .unwrap_or_default()
                .into_iter()
                .map(clamp)
                .collect();
            Tensor::from_slice(tensor.shape(), &narrow)
        }
        DType::Float64 | DType::BFloat16 => {
            Tensor::from_slice(tensor.shape(), &tensor.to_f32().unwrap_or_default())
        }
        _ => return (Literal::Tensor(tensor.clone()), false),
    };
    // The shape is the tensor's own, so the lengths agree.
    (
        Literal::Tensor(converted.unwrap_or_else(|_| tensor.clone())),
        saturated,
    )
}
