//! One operation as its operator sees it.

use std::fmt::Display;

use locket_mil::{Arg, Function, Literal, Operation, Type, ValueId};
use locket_tensor::{DType, Tensor, TensorRef};

use crate::{OpError, Weight};

/// An operation with the types and constants of its operands.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// The function it stands in.
    pub function: &'a Function,
    /// The operation.
    pub operation: &'a Operation,
}

impl<'a> Node<'a> {
    /// The operation in its function.
    pub fn new(function: &'a Function, operation: &'a Operation) -> Self {
        Self { function, operation }
    }

    /// An error about the operation as a whole.
    pub fn error(&self, message: impl Display) -> OpError {
        OpError::Node {
            node: self.operation.label().to_owned(),
            kind: self.operation.kind.to_string(),
            message: message.to_string(),
        }
    }

    /// An error about one parameter.
    pub fn param_error(&self, param: &str, message: impl Display) -> OpError {
        OpError::Param {
            node: self.operation.label().to_owned(),
            kind: self.operation.kind.to_string(),
            param: param.to_owned(),
            message: message.to_string(),
        }
    }

    /// True if the parameter is bound.
    pub fn has(&self, param: &str) -> bool {
        self.operation.arg(param).is_some()
    }

    fn required(&self, param: &str) -> Result<ValueId, OpError> {
        self.operation
            .input(param)
            .ok_or_else(|| self.param_error(param, "is missing"))
    }

    fn as_tensor(&self, param: &str, id: ValueId) -> Result<(DType, &'a [usize]), OpError> {
        match self.function.ty(id) {
            Type::Tensor { dtype, shape } => Ok((*dtype, shape)),
            other => Err(self.param_error(param, format_args!("expected a tensor, found {other}"))),
        }
    }

    /// Element type and shape of a required tensor.
    ///
    /// # Errors
    ///
    /// If it is missing or no tensor.
    pub fn ty(&self, param: &str) -> Result<(DType, &'a [usize]), OpError> {
        self.as_tensor(param, self.required(param)?)
    }

    /// Element type and shape of an optional tensor.
    ///
    /// # Errors
    ///
    /// If it is bound to something else.
    pub fn optional_ty(&self, param: &str) -> Result<Option<(DType, &'a [usize])>, OpError> {
        self.operation
            .input(param)
            .map(|id| self.as_tensor(param, id))
            .transpose()
    }

    /// Element types and shapes of a variadic parameter; at least one.
    ///
    /// # Errors
    ///
    /// If it is missing, empty, or one is no tensor.
    pub fn tys(&self, param: &str) -> Result<Vec<(DType, &'a [usize])>, OpError> {
        let values = self.operation.arg(param).map(Arg::values).unwrap_or_default();
        if values.is_empty() {
            return Err(self.param_error(param, "is missing"));
        }
        values.iter().map(|&id| self.as_tensor(param, id)).collect()
    }

    /// The constant tensor that a parameter is bound to; `None` if it is not bound or not constant.
    pub fn tensor(&self, param: &str) -> Option<&'a Tensor> {
        self.operation
            .input(param)
            .and_then(|id| self.function.const_tensor(id))
    }

    fn constant(&self, param: &str) -> Result<Option<&'a Tensor>, OpError> {
        let Some(id) = self.operation.input(param) else {
            return Ok(None);
        };
        match self.function.const_tensor(id) {
            Some(tensor) => Ok(Some(tensor)),
            None => Err(self.param_error(param, "must be a constant")),
        }
    }

    /// The integers of a constant parameter (rank 0 gives one); `None` if it is not bound.
    ///
    /// # Errors
    ///
    /// If it is not a constant of integers.
    pub fn ints(&self, param: &str) -> Result<Option<Vec<i64>>, OpError> {
        let Some(tensor) = self.constant(param)? else {
            return Ok(None);
        };
        let found = tensor.dtype();
        tensor
            .to_i64()
            .map(Some)
            .ok_or_else(|| self.param_error(param, format_args!("expected integers, found {found}")))
    }

    /// The non-negative integers of a constant parameter; `default` if it is not bound.
    ///
    /// # Errors
    ///
    /// If it is not a constant of non-negative integers.
    pub fn sizes(&self, param: &str, default: &[usize]) -> Result<Vec<usize>, OpError> {
        let Some(values) = self.ints(param)? else {
            return Ok(default.to_vec());
        };
        values
            .iter()
            .map(|&value| usize::try_from(value))
            .collect::<Result<_, _>>()
            .map_err(|_| {
                self.param_error(
                    param,
                    format_args!("expected no negative number, found {values:?}"),
                )
            })
    }

    /// One integer of a constant parameter; `default` if it is not bound.
    ///
    /// # Errors
    ///
    /// If it is not one constant integer.
    pub fn int(&self, param: &str, default: i64) -> Result<i64, OpError> {
        match self.ints(param)?.as_deref() {
            None => Ok(default),
            Some([value]) => Ok(*value),
            Some(values) => {
                Err(self.param_error(param, format_args!("expected one number, found {}", values.len())))
            }
        }
    }

    /// An axis of a tensor of this rank, counted from the end if negative; `default` if it is not bound.
    ///
    /// # Errors
    ///
    /// If it is not one constant integer in `-rank..rank`.
    pub fn axis(&self, param: &str, default: i64, rank: usize) -> Result<usize, OpError> {
        self.resolve_axis(param, self.int(param, default)?, rank)
    }

    /// Axes of a tensor of this rank, counted from the end if negative; all axes if it is not bound.
    ///
    /// # Errors
    ///
    /// If they are not constant integers in `-rank..rank`.
    pub fn axes(&self, param: &str, rank: usize) -> Result<Vec<usize>, OpError> {
        match self.ints(param)? {
            None => Ok((0..rank).collect()),
            Some(axes) => axes
                .into_iter()
                .map(|axis| self.resolve_axis(param, axis, rank))
                .collect(),
        }
    }

    fn resolve_axis(&self, param: &str, axis: i64, rank: usize) -> Result<usize, OpError> {
        let wrapped = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(wrapped)
            .ok()
            .filter(|&axis| axis < rank)
            .ok_or_else(|| {
                self.param_error(
                    param,
                    format_args!("expected an axis of rank {rank}, found {axis}"),
                )
            })
    }

    /// The numbers of a constant parameter as `f32`; `None` if it is not bound.
    ///
    /// # Errors
    ///
    /// If it is not a constant of numbers.
    pub fn floats(&self, param: &str) -> Result<Option<Vec<f32>>, OpError> {
        let Some(tensor) = self.constant(param)? else {
            return Ok(None);
        };
        tensor
            .to_f32()
            .map(Some)
            .ok_or_else(|| self.param_error(param, "expected numbers, found text"))
    }

    /// One number of a constant parameter; `default` if it is not bound.
    ///
    /// # Errors
    ///
    /// If it is not one constant number.
    pub fn float(&self, param: &str, default: f32) -> Result<f32, OpError> {
        match self.floats(param)?.as_deref() {
            None => Ok(default),
            Some([value]) => Ok(*value),
            Some(values) => {
                Err(self.param_error(param, format_args!("expected one number, found {}", values.len())))
            }
        }
    }

    /// A constant truth value; `default` if it is not bound.
    ///
    /// # Errors
    ///
    /// If it is not one constant truth value.
    pub fn flag(&self, param: &str, default: bool) -> Result<bool, OpError> {
        Ok(self.int(param, i64::from(default))? != 0)
    }

    /// A constant text; `default` if it is not bound.
    ///
    /// # Errors
    ///
    /// If it is no constant text.
    pub fn text(&self, param: &str, default: &'a str) -> Result<&'a str, OpError> {
        let Some(id) = self.operation.input(param) else {
            return Ok(default);
        };
        match self.function.literal(id) {
            Some(Literal::Text(text)) => Ok(text),
            _ => Err(self.param_error(
                param,
                format_args!("expected text, found {}", self.function.ty(id)),
            )),
        }
    }

    /// The weight behind a parameter: a constant, or the compressed form that a `constexpr_*` operation expands.
    /// `None` if it is not bound or only known at run time.
    pub fn weight(&self, param: &str) -> Option<Weight<'a>> {
        self.operation
            .input(param)
            .and_then(|id| Weight::of(self.function, id))
    }

    /// The inputs that are not constant, in parameter order: what a step is given at run time. Inputs for which
    /// `skip` is true (weights that a step keeps) are left out.
    pub fn dynamic_inputs(&self, skip: &[&str]) -> Vec<ValueId> {
        let kept = self
            .operation
            .inputs
            .iter()
            .filter(|(param, _)| !skip.contains(&&**param));
        kept.flat_map(|(_, arg)| arg.values())
            .copied()
            .filter(|&id| self.function.literal(id).is_none())
            .collect()
    }

    /// Bytes of all inputs and outputs, each once, constants as stored.
    pub fn traffic_bytes(&self) -> u64 {
        let ids = self
            .operation
            .input_values()
            .chain(self.operation.outputs.iter().copied());
        ids.map(|id| self.function.ty(id).bytes() as u64).sum()
    }

    /// Elements of the first output.
    pub fn output_elems(&self) -> u64 {
        self.operation
            .outputs
            .first()
            .map_or(0, |&id| self.function.ty(id).elems() as u64)
    }

    /// Element type and shape of output `index`, as declared.
    ///
    /// # Errors
    ///
    /// If it is no tensor.
    pub fn output_ty(&self, index: usize) -> Result<(DType, &'a [usize]), OpError> {
        match self.operation.outputs.get(index).map(|&id| self.function.ty(id)) {
            Some(Type::Tensor { dtype, shape }) => Ok((*dtype, shape)),
            _ => Err(self.error(format_args!("output {index} has no tensor type"))),
        }
    }
}

/// An operation with the values of its operands.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The operation.
    pub node: Node<'a>,
    values: &'a [(ValueId, TensorRef<'a>)],
}

impl<'a> Call<'a> {
    /// An operation with the tensors that its non-constant inputs hold.
    pub fn new(node: Node<'a>, values: &'a [(ValueId, TensorRef<'a>)]) -> Self {
        Self { node, values }
    }

    fn lookup(&self, param: &str, id: ValueId) -> Result<TensorRef<'a>, OpError> {
        if let Some(tensor) = self.node.function.const_tensor(id) {
            return Ok(tensor.view());
        }
        let found = self
            .values
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, tensor)| *tensor);
        found.ok_or_else(|| self.node.param_error(param, "has no value"))
    }

    /// The value of a required tensor.
    ///
    /// # Errors
    ///
    /// If it is missing.
    pub fn tensor(&self, param: &str) -> Result<TensorRef<'a>, OpError> {
        self.lookup(param, self.node.required(param)?)
    }

    /// The value of an optional tensor.
    ///
    /// # Errors
    ///
    /// If it is bound but has no value.
    pub fn optional(&self, param: &str) -> Result<Option<TensorRef<'a>>, OpError> {
        self.node
            .operation
            .input(param)
            .map(|id| self.lookup(param, id))
            .transpose()
    }

    /// The values of a variadic parameter.
    ///
    /// # Errors
    ///
    /// If one has no value.
    pub fn tensors(&self, param: &str) -> Result<Vec<TensorRef<'a>>, OpError> {
        let values = self
            .node
            .operation
            .arg(param)
            .map(Arg::values)
            .unwrap_or_default();
        values.iter().map(|&id| self.lookup(param, id)).collect()
    }
}
