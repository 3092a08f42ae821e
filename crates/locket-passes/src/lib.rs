//! Rewrites of a program: fold, simplify, fuse, lower, lint.
