//! What pointwise ops reject, with PyTorch's messages.

use super::Args;
use crate::tensor::{DType, Scalar, Tensor};
use crate::{Result, dispatch, ensure, fail};

pub(super) fn not_bool(_: Args, dtype: DType) -> Result<()> {
    ensure!(
        dtype != DType::Bool,
        NotImplemented,
        "this operator is not implemented for 'Bool'"
    );
    Ok(())
}

pub(super) fn boolean_negative(_: Args, dtype: DType) -> Result<()> {
    ensure!(
        dtype != DType::Bool,
        Runtime,
        "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
    );
    Ok(())
}

pub(super) fn subtract(args: Args, dtype: DType) -> Result<()> {
    alpha(args, dtype)?;
    let is_bool = |i: usize| match args.get(i) {
        super::Value::Tensor(t) => t.dtype() == DType::Bool,
        super::Value::Num(s) => matches!(s, Scalar::Bool(_)),
        _ => false,
    };
    ensure!(
        !(is_bool(0) && is_bool(1)),
        Runtime,
        "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead."
    );
    ensure!(
        !(is_bool(0) || is_bool(1)),
        Runtime,
        "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
    );
    Ok(())
}

/// The scale of `add` and `sub` must fit the result's category.
pub(super) fn alpha(args: Args, dtype: DType) -> Result<()> {
    match args.scalar(2)? {
        Scalar::Bool(_) => ensure!(
            dtype == DType::Bool,
            Runtime,
            "Boolean alpha only supported for Boolean results."
        ),
        Scalar::Float(_) => ensure!(
            !dtype.is_integral(true),
            Runtime,
            "For integral input tensors, argument alpha must not be a floating point number."
        ),
        Scalar::Complex(_) => ensure!(
            dtype.is_complex(),
            Runtime,
            "For non-complex input tensors, argument alpha must not be a complex number."
        ),
        _ => {}
    }
    Ok(())
}

pub(super) fn not_complex(_: Args, dtype: DType) -> Result<()> {
    ensure!(
        !dtype.is_complex(),
        Runtime,
        "this operator does not support complex inputs"
    );
    Ok(())
}

/// Extremes of complex numbers are a type error, other ordered functions of them a runtime error.
pub(super) fn ordered(_: Args, dtype: DType) -> Result<()> {
    ensure!(
        !dtype.is_complex(),
        Type,
        "this operator is not implemented for complex tensors"
    );
    Ok(())
}

pub(super) fn no_complex_rounding(args: Args, dtype: DType) -> Result<()> {
    ensure!(
        !dtype.is_complex(),
        Runtime,
        "rounding is not supported for complex inputs"
    );
    not_bool(args, dtype)
}

pub(super) fn sign_of_complex(_: Args, dtype: DType) -> Result<()> {
    ensure!(
        !dtype.is_complex(),
        Runtime,
        "Unlike NumPy, torch.sign doesn't handle complex numbers. Please use torch.sgn instead."
    );
    Ok(())
}

/// An integer divisor may not be 0.
pub(super) fn nonzero_divisor(args: Args, common: DType) -> Result<()> {
    if !common.is_integral(true) {
        return Ok(());
    }
    let zero = match args.get(1) {
        super::Value::Num(s) => s.to_f64() == 0.0,
        super::Value::Tensor(t) => has_zero(t),
        _ => false,
    };
    if zero {
        fail!(Runtime, "ZeroDivisionError");
    }
    Ok(())
}

fn has_zero(t: &Tensor) -> bool {
    const CHUNK: usize = 1024;
    let layout = t.layout();
    let mut found = false;
    dispatch!(bytes t.dtype(), T => {
        let zero = <T as bytemuck::Zeroable>::zeroed();
        if layout.is_contiguous() {
            // SAFETY: the layout is this many elements in a row.
            let values = unsafe { std::slice::from_raw_parts(t.data_ptr().cast::<T>(), t.numel() as usize) };
            return values.chunks(CHUNK).any(|part| part.iter().fold(false, |any, x| any | (*x == zero)));
        }
        crate::cpu::iter::for_each_offset(&layout.shape, &layout.strides, |offset| {
            // SAFETY: the layout lies within the storage.
            found |= unsafe { *t.data_ptr().cast::<T>().offset(offset as isize) } == zero;
        });
    });
    found
}

/// A negative whole power of an integer is no integer.
pub(super) fn whole_power(args: Args, common: DType) -> Result<()> {
    if let (true, super::Value::Num(exponent)) = (common.is_integral(true), args.get(1)) {
        ensure!(
            exponent.to_f64() >= 0.0,
            Runtime,
            "Integers to negative integer powers are not allowed."
        );
    }
    let number = args.get(1).tensor().is_none();
    ensure!(
        common != DType::Bool || number,
        NotImplemented,
        "\"pow\" not implemented for 'Bool'"
    );
    Ok(())
}

/// The condition of `where`.
pub(super) fn condition(args: Args, _: DType) -> Result<()> {
    let dtype = args.t(0)?.dtype();
    ensure!(
        matches!(dtype, DType::Bool | DType::U8),
        Runtime,
        "where expected condition to be a boolean tensor, but got a tensor with dtype {}",
        dtype.scalar_name()
    );
    Ok(())
}

pub(super) fn divides_floats(_: Args, common: DType) -> Result<()> {
    ensure!(
        !common.is_integral(true),
        Runtime,
        "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for float inputs. The future addcdiv behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all dtypes."
    );
    Ok(())
}

/// `lerp` takes operands of one dtype.
pub(super) fn one_dtype(args: Args, common: DType) -> Result<()> {
    for value in &args.0[..3.min(args.0.len())] {
        if let super::Value::Tensor(t) = value {
            let wrapped = t.ndim() == 0;
            ensure!(
                t.dtype() == common || wrapped,
                Runtime,
                "expected dtype {} for `end` but got dtype {}",
                common.name(),
                t.dtype().name()
            );
        }
    }
    Ok(())
}

/// Two numbers do not make an op's operands.
pub(super) fn a_tensor(args: Args, _: DType) -> Result<()> {
    let any = args.get(0).tensor().is_some() || args.get(1).tensor().is_some();
    ensure!(
        any,
        Type,
        "expected a Tensor among the arguments, got two numbers"
    );
    Ok(())
}

pub(super) fn shifts(args: Args, dtype: DType) -> Result<()> {
    a_tensor(args, dtype)?;
    not_bool(args, dtype)
}

pub(super) fn same_dtype(args: Args, _: DType) -> Result<()> {
    let (a, b) = (args.t(0)?.dtype(), args.t(1)?.dtype());
    ensure!(
        !a.is_complex() && !b.is_complex(),
        Runtime,
        "heaviside is not yet implemented for complex tensors."
    );
    ensure!(
        a == b,
        Runtime,
        "heaviside is not yet implemented for tensors with different dtypes."
    );
    Ok(())
}

/// `complex` and `polar` take two floats of one dtype.
pub(super) fn parts_of_complex(args: Args, _: DType) -> Result<()> {
    let (a, b) = (args.t(0)?.dtype(), args.t(1)?.dtype());
    let fits = |d: DType| matches!(d, DType::F16 | DType::F32 | DType::F64);
    ensure!(
        fits(a) && fits(b),
        Runtime,
        "Expected both inputs to be Half, Float or Double tensors but got {} and {}",
        a.scalar_name(),
        b.scalar_name()
    );
    ensure!(
        a == b,
        Runtime,
        "Expected object of scalar type {} but got scalar type {} for second argument",
        a.scalar_name(),
        b.scalar_name()
    );
    ensure!(
        a != DType::F16,
        NotImplemented,
        "complex numbers of half precision are not implemented"
    );
    Ok(())
}

pub(super) fn positive_lambda(args: Args, _: DType) -> Result<()> {
    let lambda = args.float(1)?;
    ensure!(
        lambda >= 0.0,
        Runtime,
        "lambda must be greater or equal to 0, but found to be {lambda}."
    );
    Ok(())
}
