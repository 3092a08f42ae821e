//! The operator set: one file per operator with specification, types, cost, reference and kernel binding.
