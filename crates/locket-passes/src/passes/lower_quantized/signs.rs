//! Moves int8 activations to uint8.
//!
//! One sweep in program order. Codes that `quantize` makes, and what operations that move elements make of them, become uint8 in
//! place: codes and zero points grow by 128. Where int8 codes come in (an input) or are asked for (a result, an operation that is not
//! known here), a table of 256 entries turns the sign.

use locket_mil::{Function, Operation, Patch, ValueId};
use locket_tensor::{DType, Tensor};

use super::{
    moves::{is_sign_free, shifted_zero_point, unsigned},
    tables::flip_sign,
};

/// Rewrites a function. Returns how many values became uint8.
pub(super) fn to_unsigned(function: &mut Function) -> usize {
    let count = function.values().len();
    let mut sweep = Sweep {
        function,
        signed: vec![None; count],
        unsigned: vec![false; count],
        inputs: vec![None; count],
        patch: Patch::new("to_unsigned"),
        changes: 0,
    };
    for index in 0..sweep.function.operations.len() {
        sweep.visit(index);
    }
    sweep.finish();
    sweep.changes
}

struct Sweep<'a> {
    function: &'a mut Function,
    /// For a value that became uint8, its int8 form if one is needed.
    signed: Vec<Option<ValueId>>,
    /// Values that became uint8.
    unsigned: Vec<bool>,
    /// For a value that is int8, its uint8 form if one is needed.
    inputs: Vec<Option<ValueId>>,
    patch: Patch,
    changes: usize,
}

impl Sweep<'_> {
    fn is(&self, id: ValueId, dtype: DType) -> bool {
        self.function.ty(id).dtype() == Some(dtype)
    }

    fn became_unsigned(&self, id: ValueId) -> bool {
        self.unsigned.get(id.index()).is_some_and(|&unsigned| unsigned)
    }

    fn visit(&mut self, index: usize) {
        let operation = self.function.operations[index].clone();
        match &*operation.kind {
            "quantize" => self.quantize(index, &operation),
            "dequantize" => self.dequantize(index, operation),
            _ if is_sign_free(self.function, &operation) && self.reads_only_unsigned(&operation) => {
                self.become_unsigned(operation.outputs[0]);
            }
            _ => self.turn_operands_back(index, operation),
        }
    }

    fn reads_only_unsigned(&self, operation: &Operation) -> bool {
        let mut codes = operation
            .input_values()
            .filter(|&id| self.function.literal(id).is_none())
            .peekable();
        codes.peek().is_some() && codes.all(|id| self.became_unsigned(id))
    }

    fn become_unsigned(&mut self, id: ValueId) {
        let ty = unsigned(self.function.ty(id));
        self.function.set_type(id, ty);
        self.unsigned[id.index()] = true;
        self.changes += 1;
    }

    /// The zero point of a per-tensor operation, 128 higher.
    fn shifted(&self, operation: &Operation) -> Option<u8> {
        let zero_point = match operation.input("zero_point") {
            None => None,
            Some(id) => Some(self.function.const_tensor(id)?),
        };
        shifted_zero_point(zero_point).filter(|_| operation.input("axis").is_none())
    }

    fn set_zero_point(&mut self, index: usize, value: u8) {
        let id = self.function.add_constant("zero_point", Tensor::scalar(value));
        self.function.operations[index].set_input("zero_point", id);
    }

    fn quantize(&mut self, index: usize, operation: &Operation) {
        let (Some(zero_point), true) = (
            self.shifted(operation),
            self.is(operation.outputs[0], DType::Int8),
        ) else {
            return;
        };
        self.set_zero_point(index, zero_point);
        let dtype = self.function.add_constant("output_dtype", "uint8");
        self.function.operations[index].set_input("output_dtype", dtype);
        self.become_unsigned(operation.outputs[0]);
    }

    fn dequantize(&mut self, index: usize, operation: Operation) {
        let Some(codes) = operation.input("input") else {
            return;
        };
        let Some(zero_point) = self.shifted(&operation) else {
            return self.turn_operands_back(index, operation);
        };
        if !self.became_unsigned(codes) {
            if !self.is(codes, DType::Int8) || self.function.literal(codes).is_some() {
                return;
            }
            let turned = self.turned(index, codes);
            self.function.operations[index].set_input("input", turned);
        }
        self.set_zero_point(index, zero_point);
    }

    /// The uint8 form of int8 codes that come in.
    fn turned(&mut self, index: usize, codes: ValueId) -> ValueId {
        if let Some(known) = self.inputs[codes.index()] {
            return known;
        }
        let name = format!("{}_unsigned", self.function.value(codes).name);
        let ty = unsigned(self.function.ty(codes));
        let turned = self.function.add_result(&name, ty);
        let operation = flip_sign(self.function, codes, turned);
        self.patch.insert_before(index, operation);
        self.inputs[codes.index()] = Some(turned);
        self.changes += 1;
        turned
    }

    /// Gives an operation that is not known here the int8 codes it was written for.
    fn turn_operands_back(&mut self, index: usize, mut operation: Operation) {
        let mut changed = false;
        for (_, arg) in &mut operation.inputs {
            for id in arg.values_mut() {
                if self.became_unsigned(*id) {
                    *id = self.turned_back(index, *id);
                    changed = true;
                }
            }
        }
        if changed {
            self.function.operations[index] = operation;
        }
    }

    fn turned_back(&mut self, index: usize, id: ValueId) -> ValueId {
        if let Some(known) = self.signed[id.index()] {
            return known;
        }
        let name = format!("{}_signed", self.function.value(id).name);
        let shape = self.function.ty(id).shape().unwrap_or_default().to_vec();
        let signed = self
            .function
            .add_result(&name, locket_mil::Type::tensor(DType::Int8, &shape));
        let operation = flip_sign(self.function, id, signed);
        self.patch.insert_before(index, operation);
        self.signed[id.index()] = Some(signed);
        signed
    }

    fn finish(&mut self) {
        let end = self.function.operations.len();
        for index in 0..self.function.outputs.len() {
            let value = self.function.outputs[index].value;
            if self.became_unsigned(value) {
                self.function.outputs[index].value = self.turned_back(end, value);
            }
        }
        std::mem::take(&mut self.patch).apply(self.function);
    }
}
