//! Element types down to one bit, shapes, quantisation parameters and tensors.
