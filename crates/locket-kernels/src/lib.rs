//! Compute kernels: slices in, slices out. Owns no thread, knows no graph.
