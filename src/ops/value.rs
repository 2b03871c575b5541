//! Arguments and results of an op, after parsing.

use std::any::Any;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::tensor::{DType, Device, Scalar, Tensor};
use crate::{Error, Result, ensure, err};

/// PyTorch's memory formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryFormat {
    Contiguous,
    Preserve,
    ChannelsLast,
    ChannelsLast3d,
}

#[derive(Clone, Default)]
pub enum Value {
    #[default]
    None,
    Num(Scalar),
    Tensor(Tensor),
    Tensors(Vec<Tensor>),
    /// `Tensor?[]`, as index lists are.
    OptTensors(Vec<Option<Tensor>>),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Bools(Vec<bool>),
    Nums(Vec<Scalar>),
    Str(Arc<str>),
    DType(DType),
    Device(Device),
    MemoryFormat(MemoryFormat),
    /// Objects that only some ops understand: a random generator, an index expression.
    Object(Arc<dyn Any + Send + Sync>),
    /// A failed computation used as an argument (see [`super::Val`]); `call` raises it.
    Failed(Error),
}

pub type Outputs = SmallVec<[Value; 2]>;

impl Value {
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Value::None)
    }

    #[must_use]
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Value::Tensor(t) => Some(t),
            _ => None,
        }
    }

    /// Calls `visit` for each tensor inside, in order.
    #[inline]
    pub fn each_tensor<'a>(&'a self, mut visit: impl FnMut(&'a Tensor)) {
        match self {
            Value::Tensor(t) => visit(t),
            Value::Tensors(list) => list.iter().for_each(visit),
            Value::OptTensors(list) => list.iter().flatten().for_each(visit),
            _ => {}
        }
    }

    pub fn into_tensor(self) -> Result<Tensor> {
        match self {
            Value::Tensor(t) => Ok(t),
            Value::Failed(e) => Err(e),
            _ => Err(err!(Runtime, "expected a tensor result")),
        }
    }

    pub fn into_tensors(self) -> Result<Vec<Tensor>> {
        match self {
            Value::Tensors(list) => Ok(list),
            Value::Tensor(t) => Ok(vec![t]),
            Value::Failed(e) => Err(e),
            _ => Err(err!(Runtime, "expected a list of tensors")),
        }
    }
}

/// The parsed arguments of a call, in the order of the schema.
#[derive(Clone, Copy)]
pub struct Args<'a>(pub &'a [Value]);

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident, $opt:ident: $pattern:pat => $value:expr, $ty:ty, $what:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(self, i: usize) -> Result<$ty> {
            match self.0.get(i) {
                Some($pattern) => Ok($value),
                Some(Value::Failed(e)) => Err(e.clone()),
                _ => Err(err!(Type, concat!("argument {} must be ", $what), i + 1)),
            }
        }

        /// As above, `None` where the argument is None or absent.
        pub fn $opt(self, i: usize) -> Result<Option<$ty>> {
            match self.0.get(i) {
                None | Some(Value::None) => Ok(None),
                Some(_) => self.$name(i).map(Some),
            }
        }
    )*};
}

impl<'a> Args<'a> {
    getters! {
        /// The tensor at a position.
        t, opt_t: Value::Tensor(t) => t, &'a Tensor, "Tensor";
        /// The list of tensors at a position.
        ts, opt_ts: Value::Tensors(list) => list.as_slice(), &'a [Tensor], "tuple of Tensors";
        scalar, opt_scalar: Value::Num(s) => *s, Scalar, "Number";
        int, opt_int: Value::Num(s) => s.to_i64(), i64, "int";
        float, opt_float: Value::Num(s) => s.to_f64(), f64, "float";
        bool, opt_bool: Value::Num(s) => s.to_bool(), bool, "bool";
        ints, opt_ints: Value::Ints(v) => v.as_slice(), &'a [i64], "tuple of ints";
        floats, opt_floats: Value::Floats(v) => v.as_slice(), &'a [f64], "tuple of floats";
        bools, opt_bools: Value::Bools(v) => v.as_slice(), &'a [bool], "tuple of bools";
        scalars, opt_scalars: Value::Nums(v) => v.as_slice(), &'a [Scalar], "tuple of Numbers";
        str, opt_str: Value::Str(s) => s.as_ref(), &'a str, "str";
        dtype, opt_dtype: Value::DType(d) => *d, DType, "torch.dtype";
        device, opt_device: Value::Device(d) => d.resolved(), Device, "torch.device";
        memory_format, opt_memory_format: Value::MemoryFormat(f) => *f, MemoryFormat, "torch.memory_format";
    }

    /// The object of a known type at a position, if there is one.
    #[must_use]
    pub fn object<T: Any + Send + Sync>(self, i: usize) -> Option<&'a T> {
        match self.0.get(i) {
            Some(Value::Object(object)) => object.downcast_ref(),
            _ => None,
        }
    }

    /// `Tensor?[]` at a position; a plain list counts as all present.
    pub fn opt_tensors(self, i: usize) -> Result<Vec<Option<Tensor>>> {
        match self.0.get(i) {
            Some(Value::OptTensors(list)) => Ok(list.clone()),
            Some(Value::Tensors(list)) => Ok(list.iter().cloned().map(Some).collect()),
            _ => Err(err!(Type, "argument {} must be tuple of Tensors", i + 1)),
        }
    }

    /// A tensor or number operand (`Tensor|Scalar`).
    #[must_use]
    pub fn get(self, i: usize) -> &'a Value {
        self.0.get(i).unwrap_or(&Value::None)
    }

    pub fn same_len(self, n: usize) -> Result<()> {
        ensure!(
            self.0.len() == n,
            Type,
            "expected {n} arguments, got {}",
            self.0.len()
        );
        Ok(())
    }
}

macro_rules! from {
    ($($ty:ty, $v:ident => $value:expr;)*) => {$(
        impl From<$ty> for Value {
            #[inline]
            fn from($v: $ty) -> Value {
                $value
            }
        }
    )*};
}

from! {
    Tensor, v => Value::Tensor(v);
    &Tensor, v => Value::Tensor(v.clone());
    Vec<Tensor>, v => Value::Tensors(v);
    &[Tensor], v => Value::Tensors(v.to_vec());
    Scalar, v => Value::Num(v);
    f64, v => Value::Num(Scalar::Float(v));
    i64, v => Value::Num(Scalar::Int(v));
    bool, v => Value::Num(Scalar::Bool(v));
    Vec<i64>, v => Value::Ints(v);
    &[i64], v => Value::Ints(v.to_vec());
    &crate::tensor::Dims, v => Value::Ints(v.to_vec());
    crate::tensor::Dims, v => Value::Ints(v.to_vec());
    &str, v => Value::Str(v.into());
    DType, v => Value::DType(v);
    Device, v => Value::Device(v);
    MemoryFormat, v => Value::MemoryFormat(v);
    &Value, v => v.clone();
}

impl<const N: usize> From<[i64; N]> for Value {
    fn from(v: [i64; N]) -> Value {
        Value::Ints(v.to_vec())
    }
}

impl<const N: usize> From<&[i64; N]> for Value {
    fn from(v: &[i64; N]) -> Value {
        Value::Ints(v.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Value {
        v.map_or(Value::None, Into::into)
    }
}

impl<T: Into<Value>> From<Result<T>> for Value {
    fn from(v: Result<T>) -> Value {
        v.map_or_else(Value::Failed, Into::into)
    }
}
