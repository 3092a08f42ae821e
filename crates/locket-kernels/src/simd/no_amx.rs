//! Stands for the tile unit where there is none: types without values.

use super::matrix::{Elements, Product, Sums};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Amx {}

impl Amx {
    pub(crate) const NAME: &'static str = "amx";
}

pub(crate) struct Tiles {
    amx: Amx,
}

impl Tiles {
    pub(crate) fn new(amx: Amx) -> Self {
        Self { amx }
    }

    pub(crate) fn multiply(&mut self, _elements: Elements, _product: &Product<'_>, _sums: &mut Sums) {
        match self.amx {}
    }
}
