//! Packed weights on their way into a compiled file, and back out of one.
//!
//! Operators are prepared in the same order each time, so what kernels keep is recorded as a list and handed out again as
//! one. An operator reads the values of its weights only inside [`Packs::unless_stored`], for then they may be left out of the
//! compiled file.

use std::cell::RefCell;

use locket_kernels::{Keep, Parts, PartsError, TakeParts};
use locket_mil::ValueId;

use crate::{Node, OpError};

/// Where kernels get their packed weights from, and where they are noted.
#[derive(Debug)]
pub struct Packs(RefCell<Mode>);

#[derive(Debug)]
enum Mode {
    Fresh,
    Recording(Record),
    Stored(std::vec::IntoIter<Parts>),
}

/// What was recorded while operators were prepared.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What kernels keep, in the order in which they were made.
    pub parts: Vec<Parts>,
    /// First result of an operation, and one of its parameters whose values were only read to be packed.
    pub packed: Vec<(ValueId, &'static str)>,
}

impl Packs {
    /// Packs from the weights of the program.
    pub fn fresh() -> Self {
        Self(RefCell::new(Mode::Fresh))
    }

    /// Packs from the weights of the program and keeps a record.
    pub fn recording() -> Self {
        Self(RefCell::new(Mode::Recording(Record::default())))
    }

    /// Takes what was recorded.
    pub fn stored(parts: Vec<Parts>) -> Self {
        Self(RefCell::new(Mode::Stored(parts.into_iter())))
    }

    /// What was recorded; nothing if that was not asked for.
    pub fn into_record(self) -> Record {
        match self.0.into_inner() {
            Mode::Recording(record) => record,
            Mode::Fresh | Mode::Stored(_) => Record::default(),
        }
    }

    /// Whether it packs from the weights of the program and keeps no record, so that the order of operators does not matter.
    pub fn is_fresh(&self) -> bool {
        matches!(&*self.0.borrow(), Mode::Fresh)
    }

    /// How many stored parts nobody has taken.
    pub fn left(&self) -> usize {
        match &*self.0.borrow() {
            Mode::Stored(parts) => parts.len(),
            Mode::Fresh | Mode::Recording(_) => 0,
        }
    }

    /// Reads the weights `params` of a node, unless what is made of them is stored.
    pub(crate) fn unless_stored<T>(
        &self,
        node: &Node<'_>,
        params: &[&'static str],
        read: impl FnOnce() -> Result<T, OpError>,
    ) -> Result<Option<T>, OpError> {
        match &mut *self.0.borrow_mut() {
            Mode::Stored(_) => return Ok(None),
            Mode::Fresh => {}
            Mode::Recording(record) => {
                let result = node.operation.outputs.first();
                let packed = params.iter().filter_map(|&param| Some((*result?, param)));
                record.packed.extend(packed);
            }
        }
        read().map(Some)
    }

    /// What depends on the weights: `fresh` if they were read, else as it was recorded.
    pub(crate) fn decide(&self, node: &Node<'_>, fresh: Option<bool>) -> Result<bool, OpError> {
        if let Some(choice) = fresh {
            let words = vec![u64::from(choice)];
            self.note(|| Parts {
                words,
                buffers: Vec::new(),
            });
            return Ok(choice);
        }
        self.take(node, |parts| Ok(parts.word(2)? == 1))
    }

    /// The kernel: `fresh` if weights were read, else made of what was recorded.
    pub(crate) fn kernel<K: Keep>(
        &self,
        node: &Node<'_>,
        fresh: Option<K>,
        stored: impl FnOnce(&mut TakeParts<'_>) -> Result<K, PartsError>,
    ) -> Result<K, OpError> {
        let Some(kernel) = fresh else {
            return self.take(node, stored);
        };
        self.note(|| {
            let mut parts = Parts::default();
            kernel.keep(&mut parts);
            parts
        });
        Ok(kernel)
    }

    fn note(&self, parts: impl FnOnce() -> Parts) {
        if let Mode::Recording(record) = &mut *self.0.borrow_mut() {
            record.parts.push(parts());
        }
    }

    fn take<T>(
        &self,
        node: &Node<'_>,
        make: impl FnOnce(&mut TakeParts<'_>) -> Result<T, PartsError>,
    ) -> Result<T, OpError> {
        let parts = match &mut *self.0.borrow_mut() {
            Mode::Stored(parts) => parts.next(),
            Mode::Fresh | Mode::Recording(_) => None,
        };
        let parts = parts.ok_or_else(|| node.error("its packed weights are missing"))?;
        make(&mut TakeParts::new(&parts)).map_err(|error| node.error(format_args!("packed weights, {error}")))
    }
}
