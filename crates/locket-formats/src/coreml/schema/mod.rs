//! The messages of a Core ML model file that an ML Program needs, as plain structs.
//!
//! Field numbers are facts of the format and stand in each message's two functions, once for reading and once
//! for writing. Here is structure only: what a data type or an operation means, and whether the parts fit each
//! other, is decided where a program is made of them. Unknown fields are skipped and remembered by the
//! [`Context`](super::wire::Context); a struct cannot hold one, so a file written from it has none.

mod description;
mod feature;
mod program;
mod types;
mod value;

pub use description::{
    FeatureDescription, FunctionDescription, Metadata, Model, ModelDescription, ModelKind,
};
pub use feature::{
    ArrayDataType, ArrayFeature, ArrayShapes, ColorSpace, FeatureKind, FeatureType, ImageFeature, ImageSizes,
    KeyKind, SizeRange,
};
pub use program::{Argument, Binding, Block, Function, NamedValueType, Operation, Program};
pub use types::{DataType, Dimension, TensorType, ValueType};
pub use value::{BlobFileValue, Payload, TensorPayload, Value};
