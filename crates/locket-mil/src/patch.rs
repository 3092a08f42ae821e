//! Edits of a function, collected and then applied at once.

use crate::{Function, Operation, ValueId};

/// A labelled edit: operations removed, operations inserted, uses redirected. Applied as a whole.
///
/// Positions are those of the function before the edit.
#[derive(Debug, Default)]
pub struct Patch {
    label: &'static str,
    removed: Vec<usize>,
    inserted: Vec<(usize, Operation)>,
    redirected: Vec<(ValueId, ValueId)>,
}

impl Patch {
    /// An empty edit. The label says which rule makes it, for logs and tests.
    pub fn new(label: &'static str) -> Self {
        Self {
            label,
            ..Self::default()
        }
    }

    /// Which rule makes the edit.
    pub fn label(&self) -> &'static str {
        self.label
    }

    /// True if it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.inserted.is_empty() && self.redirected.is_empty()
    }

    /// Removes the operation at `position`. Its results must be redirected, redefined by an inserted operation, or unused.
    pub fn remove(&mut self, position: usize) {
        self.removed.push(position);
    }

    /// Inserts an operation before `position`; insertions at one position keep their order.
    pub fn insert_before(&mut self, position: usize, operation: Operation) {
        self.inserted.push((position, operation));
    }

    /// Replaces the operation at `position`.
    pub fn replace(&mut self, position: usize, operation: Operation) {
        self.remove(position);
        self.insert_before(position, operation);
    }

    /// Makes every use of `old`, also as a result of the function, use `new`.
    pub fn redirect(&mut self, old: ValueId, new: ValueId) {
        self.redirected.push((old, new));
    }

    /// Applies the edit; returns how many operations and uses it touched.
    ///
    /// # Panics
    ///
    /// If a position is outside the function, or redirections form a circle (a bug of the rule).
    pub fn apply(mut self, function: &mut Function) -> usize {
        let touched = self.removed.len() + self.inserted.len() + self.redirected.len();
        if touched == 0 {
            return 0;
        }
        self.inserted.sort_by_key(|(position, _)| *position);
        let mut removed = vec![false; function.operations.len()];
        for &position in &self.removed {
            removed[position] = true;
        }
        let old = std::mem::take(&mut function.operations);
        let mut inserted = self.inserted.into_iter().peekable();
        for (position, operation) in old.into_iter().enumerate() {
            while let Some((_, new)) = inserted.next_if(|(at, _)| *at <= position) {
                function.operations.push(new);
            }
            if !removed[position] {
                function.operations.push(operation);
            }
        }
        function
            .operations
            .extend(inserted.map(|(_, operation)| operation));
        redirect_uses(function, &self.redirected);
        touched
    }
}

fn redirect_uses(function: &mut Function, redirected: &[(ValueId, ValueId)]) {
    let mut target: Vec<ValueId> = (0..function.values().len()).map(ValueId::from_index).collect();
    for &(old, new) in redirected {
        target[old.index()] = new;
    }
    let resolve = |mut id: ValueId| {
        let mut hops = 0;
        while target[id.index()] != id {
            id = target[id.index()];
            hops += 1;
            assert!(hops <= redirected.len(), "redirections form a circle");
        }
        id
    };
    for operation in &mut function.operations {
        for (_, arg) in &mut operation.inputs {
            for value in arg.values_mut() {
                *value = resolve(*value);
            }
        }
    }
    for output in &mut function.outputs {
        output.value = resolve(output.value);
    }
}
