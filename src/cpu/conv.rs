//! Convolutions in one to three dimensions. The three maps here are each other's derivatives, so they serve every order
//! of gradient.

use super::{conv_columns, conv_direct, conv_weight};
use num_complex::Complex;

/// How a window moves over the input, along depth, height and width.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub padding: [usize; 3],
    pub dilation: [usize; 3],
}

/// A convolution of `batch` images with `groups` groups of `channels` inputs and `filters` outputs each.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub batch: usize,
    pub groups: usize,
    pub channels: usize,
    pub filters: usize,
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub window: Window,
}

impl Geometry {
    /// Elements of a column: what one output position sees of one group.
    pub(super) fn column(&self) -> usize {
        self.channels * self.window.kernel.iter().product::<usize>()
    }

    /// Rows and columns of the columns of a whole image.
    pub fn columns(&self) -> (usize, usize) {
        (self.column(), self.positions())
    }

    pub(super) fn positions(&self) -> usize {
        self.output.iter().product()
    }

    pub(super) fn image(&self) -> usize {
        self.channels * self.input.iter().product::<usize>()
    }
}

/// A number that convolutions take. Operands are contiguous: `input` [batch, groups * channels, input..], `weight`
/// [groups * filters, channels, kernel..], `output` [batch, groups * filters, output..].
pub trait Convolve: Sized {
    /// `output = convolution(input, weight) + bias`. Returns false if scratch memory cannot be had, as all three do.
    ///
    /// # Safety
    /// The pointers lead to contiguous arrays of the shapes of `g`, `output` to one of its own; `bias` has one element per
    /// filter.
    unsafe fn forward(
        g: &Geometry,
        input: *const Self,
        weight: *const Self,
        bias: Option<*const Self>,
        output: *mut Self,
    ) -> bool;

    /// The adjoint in the input, with a bias per channel of it. Also the transposed convolution.
    ///
    /// # Safety
    /// As for `forward`; here `input` is written.
    unsafe fn grad_input(
        g: &Geometry,
        output: *const Self,
        weight: *const Self,
        bias: Option<*const Self>,
        input: *mut Self,
    ) -> bool;

    /// The adjoint in the weight.
    ///
    /// # Safety
    /// As for `forward`; here `weight` is written.
    unsafe fn grad_weight(
        g: &Geometry,
        input: *const Self,
        output: *const Self,
        weight: *mut Self,
    ) -> bool;
}

macro_rules! convolve {
    ($($T:ty: $way:ident $weight:ident;)*) => {$(
        impl Convolve for $T {
            unsafe fn forward(
                g: &Geometry,
                input: *const Self,
                weight: *const Self,
                bias: Option<*const Self>,
                output: *mut Self,
            ) -> bool {
                // SAFETY: the caller's promise.
                unsafe { $way::forward(g, input, weight, bias, output) }
            }

            unsafe fn grad_input(
                g: &Geometry,
                output: *const Self,
                weight: *const Self,
                bias: Option<*const Self>,
                input: *mut Self,
            ) -> bool {
                // SAFETY: the caller's promise.
                unsafe { $way::grad_input(g, output, weight, bias, input) }
            }

            unsafe fn grad_weight(
                g: &Geometry,
                input: *const Self,
                output: *const Self,
                weight: *mut Self,
            ) -> bool {
                // SAFETY: the caller's promise.
                unsafe { $weight::grad_weight(g, input, output, weight) }
            }
        }
    )*};
}

convolve! {
    f32: conv_direct conv_weight;
    f64: conv_direct conv_weight;
    i64: conv_columns conv_columns;
    Complex<f32>: conv_columns conv_columns;
    Complex<f64>: conv_columns conv_columns;
}
