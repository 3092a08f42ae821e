//! Steps around float convolutions, of `conv` and `linear`, in float32 and in bf16.

use std::{fmt, ops::Range};

use bytemuck::{cast_slice, cast_slice_mut};
use locket_kernels::{Activation, ConvBf16, ConvF32, ConvGeometry};

use crate::{
    OpError, Precision, Prepare, Prepared, RowWindow, Step, Strip,
    ops::conv::{row_window, strip_of},
    packing::Packing,
};

/// A float convolution in one of the arithmetics.
pub(crate) trait FloatConv: Send + Sync + fmt::Debug + Sized + 'static {
    fn geometry(&self) -> &ConvGeometry;
    fn weight_bytes(&self) -> usize;
    fn scratch_bytes(&self) -> usize;
    fn column_grain(&self) -> usize;
    fn kernel_name(&self) -> &'static str;
    fn with_rows(&self, geometry: ConvGeometry) -> Self;
    fn run(
        &self,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
        rows: Range<usize>,
        scratch: &mut [u8],
    );
    fn run_columns(&self, input: &[f32], output: &mut [f32], columns: Range<usize>, scratch: &mut [u8]);
}

macro_rules! float_conv {
    ($kernel:ty, $scratch:ty) => {
        impl FloatConv for $kernel {
            fn geometry(&self) -> &ConvGeometry {
                self.geometry()
            }

            fn weight_bytes(&self) -> usize {
                self.weight_bytes()
            }

            fn scratch_bytes(&self) -> usize {
                self.scratch_elems() * size_of::<$scratch>()
            }

            fn column_grain(&self) -> usize {
                self.column_grain()
            }

            fn kernel_name(&self) -> &'static str {
                self.kernel_name()
            }

            fn with_rows(&self, geometry: ConvGeometry) -> Self {
                self.with_rows(geometry)
            }

            fn run(
                &self,
                input: &[f32],
                residual: Option<&[f32]>,
                output: &mut [f32],
                rows: Range<usize>,
                scratch: &mut [u8],
            ) {
                self.run(
                    input,
                    residual,
                    output,
                    rows,
                    cast_slice_mut::<u8, $scratch>(scratch),
                );
            }

            fn run_columns(
                &self,
                input: &[f32],
                output: &mut [f32],
                columns: Range<usize>,
                scratch: &mut [u8],
            ) {
                self.run_columns(
                    input,
                    output,
                    columns,
                    cast_slice_mut::<u8, $scratch>(scratch),
                );
            }
        }
    };
}

float_conv!(ConvF32, f32);
float_conv!(ConvBf16, u16);

/// The layer in bf16, if that is asked for and suits it: `fresh` are its weights and bias, unless they are stored.
pub(crate) fn bf16_step(
    prepare: &Prepare<'_>,
    geometry: &ConvGeometry,
    fresh: Option<&(Packing<'_>, Option<Vec<f32>>)>,
    activation: Activation,
) -> Result<Option<Prepared>, OpError> {
    let (node, isa, packs) = (&prepare.node, prepare.isa, prepare.packs);
    if prepare.precision != Precision::Bf16 || !ConvBf16::suits(geometry) {
        return Ok(None);
    }
    let fresh = fresh.map(|(packing, bias)| {
        ConvBf16::new(
            isa,
            geometry.clone(),
            &packing.weights(),
            bias.as_deref(),
            activation,
        )
    });
    if !packs.decide(node, fresh.as_ref().map(Option::is_some))? {
        return Ok(None);
    }
    let kernel = packs.kernel(node, fresh.flatten(), |parts| {
        ConvBf16::stored(isa, geometry.clone(), activation, parts)
    })?;
    Ok(Some(float_step(kernel, node.has("residual"))))
}

/// The layer in float32; `fresh` as for [`bf16_step`].
pub(crate) fn f32_kernel(
    prepare: &Prepare<'_>,
    geometry: &ConvGeometry,
    fresh: Option<&(Packing<'_>, Option<Vec<f32>>)>,
    activation: Activation,
) -> Result<ConvF32, OpError> {
    let (isa, geometry) = (prepare.isa, || geometry.clone());
    let fresh = fresh.map(|(packing, bias)| {
        ConvF32::new(isa, geometry(), &packing.weights(), bias.as_deref(), activation)
    });
    prepare.packs.kernel(&prepare.node, fresh, |parts| {
        ConvF32::stored(isa, geometry(), activation, parts)
    })
}

/// A step around a float convolution; one pixel output (a fully connected layer) is divided by channels.
pub(crate) fn float_step(kernel: impl FloatConv, residual: bool) -> Prepared {
    let geometry = kernel.geometry();
    let (pixels, channels) = (geometry.out_pixels(), geometry.out_channels);
    let (bytes, scratch) = (kernel.weight_bytes(), kernel.scratch_bytes());
    let prepared = if pixels == 1 && !residual && geometry.groups == 1 {
        let grain = kernel.column_grain().max(1);
        Prepared::new(
            ColumnStep {
                kernel,
                grain,
                channels,
            },
            channels.div_ceil(grain),
            grain * 4,
        )
    } else {
        Prepared::new(ConvStep { kernel, residual }, pixels, channels * 4)
    };
    prepared.weights(bytes).scratch(scratch)
}

#[derive(Debug)]
struct ConvStep<K> {
    kernel: K,
    residual: bool,
}

impl<K: FloatConv> Step for ConvStep<K> {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], scratch: &mut [u8]) {
        let channels = self.kernel.geometry().out_channels;
        let residual = self
            .residual
            .then(|| &cast_slice::<u8, f32>(inputs[1])[units.start * channels..units.end * channels]);
        let (input, output) = (cast_slice(inputs[0]), cast_slice_mut(output));
        self.kernel.run(input, residual, output, units, scratch);
    }

    fn kernel(&self) -> &str {
        self.kernel.kernel_name()
    }

    fn row_window(&self) -> Option<RowWindow> {
        row_window(self.kernel.geometry(), 4, 4)
    }

    fn strip(&self, strip: Strip) -> Option<Box<dyn Step>> {
        let geometry = strip_of(self.kernel.geometry(), strip)?;
        Some(Box::new(Self {
            kernel: self.kernel.with_rows(geometry),
            residual: self.residual,
        }))
    }
}

#[derive(Debug)]
struct ColumnStep<K> {
    kernel: K,
    grain: usize,
    channels: usize,
}

impl<K: FloatConv> Step for ColumnStep<K> {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], scratch: &mut [u8]) {
        let columns = units.start * self.grain..(units.end * self.grain).min(self.channels);
        let (input, output) = (cast_slice(inputs[0]), cast_slice_mut(output));
        self.kernel.run_columns(input, output, columns, scratch);
    }

    fn kernel(&self) -> &str {
        self.kernel.kernel_name()
    }
}
