//! Python's operators on tensors, as calls of the table's ops.

// PyO3 expands `#[pymethods]` inside a macro into unsafe calls that it marks only outside of one.
#![allow(unsafe_op_in_unsafe_fn)]

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::pyclass::CompareOp;

use super::convert::{number, outputs};
use super::errors::guarded;
use super::tensor::PyTensor;
use crate::ops::{Entry, Value, find_overload};
use crate::{Result, err};

/// An op that an operator stands for, looked up once.
struct Slot(&'static str, OnceLock<Option<&'static Entry>>);

impl Slot {
    const fn new(name: &'static str) -> Slot {
        Slot(name, OnceLock::new())
    }

    fn entry(&self) -> Result<&'static Entry> {
        self.1
            .get_or_init(|| find_overload(self.0))
            .ok_or_else(|| err!(NotImplemented, "no operator '{}'", self.0))
    }
}

/// The other operand: a tensor or a number; `None` makes Python try the other side.
fn operand(other: &Bound<'_, PyAny>) -> Option<Value> {
    match other.cast::<PyTensor>() {
        Ok(t) => Some(Value::Tensor(t.get().tensor.clone())),
        Err(_) => number(other).map(Value::Num),
    }
}

fn call2(py: Python<'_>, slot: &Slot, left: Value, right: Value) -> PyResult<Py<PyAny>> {
    let entry = slot.entry()?;
    guarded(slot.0, || {
        outputs(py, entry, entry.call(smallvec::smallvec![left, right])?)
    })
}

fn binary(
    slf: &Bound<'_, PyTensor>,
    other: &Bound<'_, PyAny>,
    slot: &Slot,
    swapped: bool,
) -> PyResult<Py<PyAny>> {
    let py = slf.py();
    let Some(other) = operand(other) else {
        return Ok(py.NotImplemented());
    };
    let this = Value::Tensor(slf.get().tensor.clone());
    if swapped {
        call2(py, slot, other, this)
    } else {
        call2(py, slot, this, other)
    }
}

fn binary_in_place(
    slf: &Bound<'_, PyTensor>,
    other: &Bound<'_, PyAny>,
    slot: &Slot,
) -> PyResult<()> {
    let other = operand(other).ok_or_else(|| {
        err!(
            Type,
            "{}_(): argument 'other' (position 1) must be Tensor, not {}",
            slot.0,
            super::convert::type_name(other)
        )
    })?;
    let entry = slot.entry()?;
    let args = smallvec::smallvec![Value::Tensor(slf.get().tensor.clone()), other];
    guarded(slot.0, || Ok(entry.call_inplace(args)?))
}

fn unary(slf: &Bound<'_, PyTensor>, slot: &Slot) -> PyResult<Py<PyAny>> {
    let entry = slot.entry()?;
    let args = smallvec::smallvec![Value::Tensor(slf.get().tensor.clone())];
    guarded(slot.0, || outputs(slf.py(), entry, entry.call(args)?))
}

macro_rules! operators {
    (binary $($op:literal: $fwd:ident $rev:ident $inplace:ident;)* unary $($uop:literal: $umethod:ident;)*) => {
        #[pymethods]
        impl PyTensor {
            $(
                fn $fwd(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
                    static SLOT: Slot = Slot::new($op);
                    binary(slf, other, &SLOT, false)
                }
                fn $rev(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
                    static SLOT: Slot = Slot::new($op);
                    binary(slf, other, &SLOT, true)
                }
                fn $inplace(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
                    static SLOT: Slot = Slot::new($op);
                    binary_in_place(slf, other, &SLOT)
                }
            )*
            $(
                fn $umethod(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
                    static SLOT: Slot = Slot::new($uop);
                    unary(slf, &SLOT)
                }
            )*

            fn __pow__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, _modulo: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
                static SLOT: Slot = Slot::new("pow");
                binary(slf, other, &SLOT, false)
            }
            fn __rpow__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, _modulo: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
                static SLOT: Slot = Slot::new("pow");
                binary(slf, other, &SLOT, true)
            }
            fn __ipow__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, _modulo: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
                static SLOT: Slot = Slot::new("pow");
                binary_in_place(slf, other, &SLOT)
            }
            fn __richcmp__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
                static SLOTS: [Slot; 6] =
                    [Slot::new("lt"), Slot::new("le"), Slot::new("eq"), Slot::new("ne"), Slot::new("gt"), Slot::new("ge")];
                binary(slf, other, &SLOTS[op as usize], false)
            }
            fn __pos__(slf: &Bound<'_, Self>) -> Py<PyTensor> {
                slf.clone().unbind()
            }
        }
    };
}

operators! {
    binary
    "add": __add__ __radd__ __iadd__;
    "sub": __sub__ __rsub__ __isub__;
    "mul": __mul__ __rmul__ __imul__;
    "div": __truediv__ __rtruediv__ __itruediv__;
    "floor_divide": __floordiv__ __rfloordiv__ __ifloordiv__;
    "remainder": __mod__ __rmod__ __imod__;
    "matmul": __matmul__ __rmatmul__ __imatmul__;
    "bitwise_and": __and__ __rand__ __iand__;
    "bitwise_or": __or__ __ror__ __ior__;
    "bitwise_xor": __xor__ __rxor__ __ixor__;
    "bitwise_left_shift": __lshift__ __rlshift__ __ilshift__;
    "bitwise_right_shift": __rshift__ __rrshift__ __irshift__;
    unary
    "neg": __neg__;
    "abs": __abs__;
    "bitwise_not": __invert__;
}
