//! What the creation ops share: their options, the check of fill values, and the tensor they give back.

use smallvec::smallvec;

use super::memory_format::{empty_laid_out, format_strides};
use super::{Args, Outputs, Value};
use crate::tensor::{DType, Device, Scalar, Tensor, c128, default_device, default_dtype};
use crate::{Result, backend, dispatch, ensure};

/// The options that every creation op ends with: dtype, layout, device, `pin_memory`, `requires_grad`.
pub(super) struct Options {
    pub dtype: Option<DType>,
    pub device: Option<Device>,
    pub pin_memory: bool,
    pub requires_grad: bool,
}

impl Options {
    /// Reads the five options from a position on.
    pub fn read(args: Args, at: usize) -> Result<Options> {
        Ok(Options {
            dtype: args.opt_dtype(at)?,
            device: args.opt_device(at + 2)?,
            pin_memory: args.opt_bool(at + 3)?.unwrap_or(false),
            requires_grad: args.opt_bool(at + 4)?.unwrap_or(false),
        })
    }

    pub fn dtype(&self) -> DType {
        self.dtype.unwrap_or_else(default_dtype)
    }

    pub fn device(&self) -> Device {
        self.device.unwrap_or_else(default_device).resolved()
    }

    /// A row-major tensor, not initialised.
    pub fn empty(&self, shape: &[i64]) -> Result<Tensor> {
        backend::empty(self.device(), shape, self.dtype())
    }

    /// The finished tensor as the op's result; it was made on the CPU or on the device asked for.
    pub fn finish(&self, made: Tensor) -> Result<Outputs> {
        let mut result = on_device(made, self.device())?;
        if self.pin_memory {
            result = backend::pinned(&result)?;
        }
        if self.requires_grad {
            ensure!(
                result.dtype().is_differentiable(),
                Runtime,
                "Only Tensors of floating point and complex dtype can require gradients"
            );
            result.set_requires_grad_flag(true);
        }
        one(result)
    }
}

/// The tensor itself, or a copy of it on the device.
pub(super) fn on_device(made: Tensor, device: Device) -> Result<Tensor> {
    if made.device() == device {
        return Ok(made);
    }
    let moved = backend::empty(device, made.shape(), made.dtype())?;
    backend::copy(&moved, &made)?;
    Ok(moved)
}

/// A single tensor as an op's outputs.
pub(super) fn one(result: Tensor) -> Result<Outputs> {
    Ok(smallvec![Value::Tensor(result)])
}

/// Writes a value to a fresh tensor.
pub(super) fn fill_tensor(target: &Tensor, value: Scalar) -> Result<()> {
    check_fits(value, target.dtype())?;
    backend::fill(target, value)
}

/// A number that the dtype cannot hold is an error, except for negative whole ones in unsigned types, which wrap.
pub(super) fn check_fits(value: Scalar, dtype: DType) -> Result<()> {
    let number = value.to_f64();
    let imaginary = value.to_c128().im != 0.0;
    let inside = || number.abs() <= largest(dtype) || !number.is_finite();
    let fits = match dtype {
        DType::Bool | DType::C128 => true,
        DType::C64 => inside(),
        float if float.is_float() => !imaginary && inside(),
        int => !imaginary && number.is_finite() && fits_int(value, int),
    };
    ensure!(
        fits,
        Runtime,
        "value cannot be converted to type {} without overflow",
        cpp_name(dtype)
    );
    Ok(())
}

/// The largest finite value of a floating-point dtype.
pub(super) fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 65_504.0,
        DType::BF16 => f64::from(half::bf16::MAX),
        DType::F32 | DType::C64 => f64::from(f32::MAX),
        _ => f64::MAX,
    }
}

fn fits_int(value: Scalar, dtype: DType) -> bool {
    let wide = match value {
        Scalar::UInt(v) => i128::from(v),
        Scalar::Float(v) | Scalar::Complex(c128 { re: v, .. }) => {
            // Fractions between the bounds are cut off, but none may lie beyond them.
            return dispatch!(int dtype, T => (T::MIN as f64..=T::MAX as f64).contains(&v), else true);
        }
        other => i128::from(other.to_i64()),
    };
    dispatch!(int dtype, T => {
        let (low, high) = (i128::from(T::MIN), i128::from(T::MAX));
        wide <= high && wide >= if low == 0 { -high } else { low }
    }, else true)
}

fn cpp_name(dtype: DType) -> &'static str {
    match dtype {
        DType::U8 => "uint8_t",
        DType::I8 => "int8_t",
        DType::I16 => "int16_t",
        DType::I32 => "int",
        DType::I64 => "int64_t",
        DType::F16 => "c10::Half",
        DType::BF16 => "c10::BFloat16",
        DType::F32 => "float",
        DType::F64 => "double",
        DType::C64 => "c10::complex<float>",
        other => other.name(),
    }
}

/// The dtype that a number fills a tensor with.
pub(super) fn dtype_of_number(value: Scalar) -> DType {
    match value {
        Scalar::Bool(_) => DType::Bool,
        Scalar::Int(_) | Scalar::UInt(_) => DType::I64,
        Scalar::Float(_) => default_dtype(),
        Scalar::Complex(_) => default_dtype().to_complex(),
    }
}

/// Reads options whose dtype and device come from a tensor where they are not given.
pub(super) fn options_like(args: Args, source: &Tensor, at: usize) -> Result<Options> {
    let mut options = Options::read(args, at)?;
    options.dtype.get_or_insert(source.dtype());
    options.device.get_or_insert(source.device());
    Ok(options)
}

/// An uninitialised tensor like the first argument, with the options and the memory format from a position on.
pub(super) fn empty_as(args: Args, at: usize) -> Result<(Tensor, Options)> {
    let source = args.t(0)?;
    let options = options_like(args, source, at)?;
    let strides = format_strides(source.layout(), args.opt_memory_format(at + 5)?)?;
    Ok((
        empty_laid_out(options.device(), source.shape(), strides, options.dtype())?,
        options,
    ))
}
