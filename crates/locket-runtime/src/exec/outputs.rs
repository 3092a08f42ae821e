//! Memory for what a session predicts.

use locket_tensor::{AlignedBytes, DType, Tensor, TensorError, TensorMut, TensorRef};

use crate::plan::Port;

/// Memory for the outputs of a plan, or for its inputs.
#[derive(Debug)]
pub struct OutputBuffers {
    ports: Vec<(DType, Vec<usize>)>,
    buffers: Vec<AlignedBytes>,
}

impl OutputBuffers {
    /// Reserves it for the outputs of [`Plan::outputs`](crate::Plan::outputs).
    pub fn new(ports: &[Port]) -> Self {
        Self::of(ports.iter().map(|port| (port.dtype, port.shape.to_vec())))
    }

    /// Reserves it for tensors of these types and shapes.
    pub fn of(ports: impl IntoIterator<Item = (DType, Vec<usize>)>) -> Self {
        let ports: Vec<(DType, Vec<usize>)> = ports.into_iter().collect();
        let bytes =
            |(dtype, shape): &(DType, Vec<usize>)| dtype.packed_bytes(shape.iter().product()).unwrap_or(0);
        Self {
            buffers: ports
                .iter()
                .map(|port| AlignedBytes::zeroed(bytes(port)))
                .collect(),
            ports,
        }
    }

    /// The outputs, to be written.
    pub fn views(&mut self) -> Vec<TensorMut<'_>> {
        self.ports
            .iter()
            .zip(&mut self.buffers)
            .map(|((dtype, shape), buffer)| TensorMut {
                dtype: *dtype,
                shape,
                bytes: buffer.as_mut_slice(),
            })
            .collect()
    }

    /// What is in it, to be read.
    pub fn contents(&self) -> Vec<TensorRef<'_>> {
        let pairs = self.ports.iter().zip(&self.buffers);
        pairs
            .map(|((dtype, shape), buffer)| TensorRef {
                dtype: *dtype,
                shape,
                bytes: buffer.as_slice(),
            })
            .collect()
    }

    /// The bytes of each output.
    pub fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.buffers.iter().map(AlignedBytes::as_slice)
    }

    /// The outputs, copied.
    ///
    /// # Errors
    ///
    /// If one is no tensor that can be made.
    pub fn tensors(&self) -> Result<Vec<Tensor>, TensorError> {
        let pairs = self.ports.iter().zip(&self.buffers);
        pairs
            .map(|((dtype, shape), buffer)| Tensor::from_bytes(*dtype, shape, buffer.as_slice()))
            .collect()
    }
}
