//! From a program to a plan with exact memory, and from a plan to predictions.
