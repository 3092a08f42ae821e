//! The thread pool: a fixed set of threads that run disjoint parts of one output.
