//! Programs written by hand.
