//! Helpers for tests: the test kit's place, comparison with a named tolerance, file tests.
