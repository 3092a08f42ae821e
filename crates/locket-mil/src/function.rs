//! A function: values, and operations in the order they run.

use indexmap::{IndexMap, IndexSet};

use locket_tensor::Tensor;

use crate::{Arg, Literal, Operation, Target, Type};

/// A value of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(u32);

impl ValueId {
    /// The position in [`Function::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The value at a position of [`Function::values`]. For dense maps only.
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).expect("a function has fewer than 2^32 values"))
    }
}

/// How a value comes to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Definition {
    /// Given by the caller.
    Input,
    /// Known when the program is read.
    Constant(Literal),
    /// The result of an operation.
    Operation,
}

/// A value: its name, type and definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Name, unique in the function.
    pub name: String,
    /// Type.
    pub ty: Type,
    /// How it comes to be.
    pub definition: Definition,
}

/// A named result of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The name that callers see.
    pub name: String,
    /// The value.
    pub value: ValueId,
}

/// A function.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Name, such as `main`.
    pub name: String,
    /// The operator set its operations are taken from.
    pub opset: Target,
    /// Values that the caller gives, in order; their names are the interface.
    pub inputs: Vec<ValueId>,
    /// Results, in order.
    pub outputs: Vec<Output>,
    /// Operations in the order they run.
    pub operations: Vec<Operation>,
    values: Vec<Value>,
    names: Names,
}

/// The names in use. Looked up, never iterated.
#[derive(Clone, Debug, Default)]
struct Names {
    used: IndexSet<String>,
    /// For a stem, a number from which on names may be free; a guess that only saves time.
    free_from: IndexMap<String, usize>,
}

fn stem(wish: &str) -> &str {
    if wish.is_empty() { "value" } else { wish }
}

impl Names {
    /// A free name, and the number after the one in it.
    fn unique(&self, wish: &str) -> (String, Option<usize>) {
        if !wish.is_empty() && !self.used.contains(wish) {
            return (wish.to_owned(), None);
        }
        let stem = stem(wish);
        let mut number = self.free_from.get(stem).copied().unwrap_or(1);
        loop {
            let name = format!("{stem}_{number}");
            number += 1;
            if !self.used.contains(&name) {
                return (name, Some(number));
            }
        }
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.used == other.used
    }
}

impl Function {
    /// A function without values.
    pub fn new(name: &str, opset: Target) -> Self {
        Self {
            name: name.to_owned(),
            opset,
            inputs: Vec::new(),
            outputs: Vec::new(),
            operations: Vec::new(),
            values: Vec::new(),
            names: Names::default(),
        }
    }

    /// All values ever made, used or not.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// One value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// Changes the type of a value that is not a constant.
    pub fn set_type(&mut self, id: ValueId, ty: Type) {
        self.values[id.index()].ty = ty;
    }

    /// Replaces a constant's data, and its type with it.
    pub fn set_constant(&mut self, id: ValueId, literal: impl Into<Literal>) {
        let literal = literal.into();
        let value = &mut self.values[id.index()];
        value.ty = literal.ty();
        value.definition = Definition::Constant(literal);
    }

    /// Renames a value; the name is made unique.
    pub fn rename(&mut self, id: ValueId, name: &str) {
        if self.value(id).name == name {
            return;
        }
        let name = self.take_name(name);
        let old = std::mem::replace(&mut self.values[id.index()].name, name.clone());
        self.names.used.swap_remove(&old);
        self.names.used.insert(name);
    }

    /// `wish` if no value has that name, else `wish_1`, `wish_2`, ...
    pub fn unique_name(&self, wish: &str) -> String {
        self.names.unique(wish).0
    }

    /// As [`Self::unique_name`], and remembers where it found one.
    fn take_name(&mut self, wish: &str) -> String {
        let (name, next) = self.names.unique(wish);
        if let Some(next) = next {
            match self.names.free_from.get_mut(stem(wish)) {
                Some(known) => *known = next,
                None => {
                    self.names.free_from.insert(stem(wish).to_owned(), next);
                }
            }
        }
        name
    }

    /// The type of a value.
    pub fn ty(&self, id: ValueId) -> &Type {
        &self.value(id).ty
    }

    /// The constant behind a value, if it is one.
    pub fn literal(&self, id: ValueId) -> Option<&Literal> {
        match &self.value(id).definition {
            Definition::Constant(literal) => Some(literal),
            Definition::Input | Definition::Operation => None,
        }
    }

    /// The constant tensor behind a value, if it is one.
    pub fn const_tensor(&self, id: ValueId) -> Option<&Tensor> {
        self.literal(id).and_then(Literal::tensor)
    }

    fn add(&mut self, name: &str, ty: Type, definition: Definition) -> ValueId {
        let id = ValueId::from_index(self.values.len());
        self.names.used.insert(name.to_owned());
        self.values.push(Value {
            name: name.to_owned(),
            ty,
            definition,
        });
        id
    }

    /// Adds an input. The name must be new.
    pub fn add_input(&mut self, name: &str, ty: Type) -> ValueId {
        let id = self.add(name, ty, Definition::Input);
        self.inputs.push(id);
        id
    }

    /// Adds a constant; `name` is made unique.
    pub fn add_constant(&mut self, name: &str, literal: impl Into<Literal>) -> ValueId {
        let literal = literal.into();
        let name = self.take_name(name);
        self.add(&name, literal.ty(), Definition::Constant(literal))
    }

    /// Adds a value that an operation will define; `name` is made unique.
    pub fn add_result(&mut self, name: &str, ty: Type) -> ValueId {
        let name = self.take_name(name);
        self.add(&name, ty, Definition::Operation)
    }

    /// Appends an operation with the given results. See `locket_ops::Builder` for the form that infers types.
    pub fn push(
        &mut self,
        kind: &str,
        inputs: Vec<(&str, Arg)>,
        results: Vec<(&str, Type)>,
        origin: &str,
    ) -> Vec<ValueId> {
        let outputs: Vec<ValueId> = results
            .into_iter()
            .map(|(name, ty)| self.add_result(name, ty))
            .collect();
        self.operations.push(Operation {
            kind: kind.into(),
            inputs: inputs.into_iter().map(|(name, arg)| (name.into(), arg)).collect(),
            outputs: outputs.clone(),
            origin: vec![origin.to_owned()],
        });
        outputs
    }

    /// Names a value as a result.
    pub fn add_output(&mut self, name: &str, value: ValueId) {
        self.outputs.push(Output {
            name: name.to_owned(),
            value,
        });
    }

    /// For each value, the index of the operation that defines it.
    pub fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.values.len()];
        for (index, operation) in self.operations.iter().enumerate() {
            for output in &operation.outputs {
                producers[output.index()] = Some(index);
            }
        }
        producers
    }

    /// For each value, the operations that read it, ascending, each once.
    pub fn users(&self) -> Vec<Vec<usize>> {
        let mut users = vec![Vec::new(); self.values.len()];
        for (index, operation) in self.operations.iter().enumerate() {
            for value in operation.input_values() {
                let list: &mut Vec<usize> = &mut users[value.index()];
                if list.last() != Some(&index) {
                    list.push(index);
                }
            }
        }
        users
    }

    /// True if the value is a result of the function.
    pub fn is_output(&self, id: ValueId) -> bool {
        self.outputs.iter().any(|output| output.value == id)
    }

    /// Constants that an operation or a result uses, in order of first use.
    pub fn used_constants(&self) -> Vec<ValueId> {
        let mut seen = vec![false; self.values.len()];
        let read = self.operations.iter().flat_map(Operation::input_values);
        let returned = self.outputs.iter().map(|output| output.value);
        read.chain(returned)
            .filter(|id| self.literal(*id).is_some() && !std::mem::replace(&mut seen[id.index()], true))
            .collect()
    }
}
