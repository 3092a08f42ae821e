//! The facade: the API with a stability promise.
