//! What reductions share: which dimensions go, the sizes that remain, and gradients spread back over them.

use smallvec::SmallVec;

use super::{Args, Out, Outs, Val, Value};
use crate::autograd::Ctx;
use crate::cpu::pool::grain;
use crate::cpu::reduce_plan::Plan;
use crate::tensor::{DType, Dims, Tensor, wrap_dim};
use crate::{Result, backend, call, ensure};

pub type DimList = SmallVec<[i64; 4]>;

/// A `dim` argument: an int, a list, or None.
pub fn dim_list(a: Args, position: usize) -> Result<Option<DimList>> {
    match a.get(position) {
        Value::Num(_) => Ok(Some(smallvec::smallvec![a.int(position)?])),
        _ => Ok(a.opt_ints(position)?.map(DimList::from_slice)),
    }
}

/// The dimensions of one call.
pub struct Reduced {
    /// For each dimension of the input: is it reduced?
    pub mask: SmallVec<[bool; 6]>,
    pub keepdim: bool,
}

impl Reduced {
    /// `None` and an empty list mean all dimensions.
    pub fn new(ndim: usize, dims: Option<&[i64]>, keepdim: bool) -> Result<Reduced> {
        let dims = dims.unwrap_or_default();
        let mut mask: SmallVec<[bool; 6]> = smallvec::smallvec![dims.is_empty(); ndim];
        let mut seen = false;
        for &dim in dims {
            let d = wrap_dim(dim, ndim)?;
            let repeated = if ndim == 0 {
                std::mem::replace(&mut seen, true)
            } else {
                std::mem::replace(&mut mask[d], true)
            };
            ensure!(
                !repeated,
                Runtime,
                "dim {d} appears multiple times in the list of dims"
            );
        }
        Ok(Reduced { mask, keepdim })
    }

    pub fn one(ndim: usize, dim: i64, keepdim: bool) -> Result<Reduced> {
        Reduced::new(ndim, Some(&[dim]), keepdim)
    }

    /// The sizes of the result.
    #[must_use]
    pub fn shape(&self, input: &[i64]) -> Dims {
        self.sizes(input, self.keepdim)
    }

    /// The sizes of the result if the dimensions were kept.
    #[must_use]
    pub fn kept_shape(&self, input: &[i64]) -> Dims {
        self.sizes(input, true)
    }

    fn sizes(&self, input: &[i64], keepdim: bool) -> Dims {
        let sizes = input.iter().zip(&self.mask);
        sizes
            .filter(|&(_, &gone)| keepdim || !gone)
            .map(|(&n, &gone)| if gone { 1 } else { n })
            .collect()
    }

    /// How many elements go into each result.
    #[must_use]
    pub fn count(&self, input: &[i64]) -> i64 {
        input
            .iter()
            .zip(&self.mask)
            .filter(|&(_, &gone)| gone)
            .map(|(&n, _)| n)
            .product()
    }

    /// The walk over input and output.
    #[must_use]
    pub fn plan(&self, input: &Tensor, output: &Tensor) -> Plan {
        let mut strides = output.strides().iter();
        let out: Dims = self
            .mask
            .iter()
            .map(|&gone| {
                if !gone || self.keepdim {
                    strides.next().copied().unwrap_or(0)
                } else {
                    0
                }
            })
            .collect();
        Plan::new(input.shape(), input.strides(), &out, |i| self.mask[i])
    }

    /// Is the input one row of so few elements that planning would take longer than reducing them to one?
    #[must_use]
    pub fn is_short_row(&self, input: &Tensor) -> bool {
        input.numel() <= grain::REDUCE as i64
            && self.mask.iter().all(|&gone| gone)
            && input.is_contiguous()
    }

    /// Reductions without an identity need elements.
    pub fn require_elements(&self, input: &Tensor, name: &str, given: bool) -> Result<()> {
        if input.numel() != 0 {
            return Ok(());
        }
        ensure!(
            given,
            Runtime,
            "{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
        );
        for (d, (&n, &gone)) in input.shape().iter().zip(&self.mask).enumerate() {
            ensure!(
                !gone || n != 0,
                Index,
                "{name}(): Expected reduction dim {d} to have non-zero size."
            );
        }
        Ok(())
    }

    /// One output with the result's sizes.
    #[must_use]
    pub fn out(&self, input: &Tensor, dtype: DType) -> Out {
        Out {
            shape: self.shape(input.shape()),
            dtype,
            strides: None,
        }
    }

    #[must_use]
    pub fn outs(&self, input: &Tensor, dtype: DType) -> Outs {
        smallvec::smallvec![self.out(input, dtype)]
    }
}

/// The input in one of the dtypes that kernels over ordered elements exist for: other integers go by way
/// of int64, bool as bytes.
pub fn compact(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::Bool => x.alias_as(x.layout().clone(), DType::U8, x.lazy()),
        DType::I8 | DType::I16 | DType::U16 | DType::U32 => {
            call!("_to_copy", x.detached(), DType::I64)
        }
        _ => Ok(x.clone()),
    }
}

/// As `compact`, with few dtypes more: for kernels whose results are positions.
pub fn widest(x: &Tensor) -> Result<Tensor> {
    let dtype = match x.dtype() {
        DType::F16 | DType::BF16 => DType::F32,
        dtype if dtype.is_integral(true) && dtype != DType::U64 => DType::I64,
        dtype => dtype,
    };
    Val::from(x.detached()).to(dtype).get()
}

/// Runs the body with `$T` bound to the type of a dtype that `compact` gives.
macro_rules! dispatch_compact {
    ($dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        $crate::dispatch!(@arms $dtype, $T, $body, $other, U8 u8, I32 i32, I64 i64, U64 u64,
            F16 $crate::tensor::f16, BF16 $crate::tensor::bf16, F32 f32, F64 f64)
    };
}
pub(super) use dispatch_compact;

/// Runs the body with `$T` bound to the type of a dtype that `widest` gives.
macro_rules! dispatch_widest {
    ($dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        $crate::dispatch!(@arms $dtype, $T, $body, $other, I64 i64, U64 u64, F32 f32, F64 f64)
    };
}
pub(super) use dispatch_widest;

/// Gives `body` a tensor of the kernel's dtype to write, and copies it to `out` where that is another one.
pub fn through(out: &Tensor, dtype: DType, body: impl FnOnce(&Tensor) -> Result<()>) -> Result<()> {
    if out.dtype() == dtype {
        return body(out);
    }
    let target = Tensor::empty(out.shape(), dtype)?;
    body(&target)?;
    backend::copy(out, &target)
}

/// A result (or its gradient) with the reduced dimensions put back as size 1.
#[must_use]
pub fn unreduced(value: &Val, input: &[i64], dims: Option<&[i64]>, keepdim: bool) -> Val {
    match Reduced::new(input.len(), dims, keepdim) {
        Ok(_) if keepdim => value.clone(),
        Ok(reduced) => value.reshape(reduced.kept_shape(input)),
        Err(e) => Val(Err(e)),
    }
}

/// What a rule of `f(Tensor self, int[]? dim, bool keepdim, ...)` needs of its call.
pub struct Call {
    pub input: Dims,
    pub dims: Option<DimList>,
    pub keepdim: bool,
}

impl Call {
    /// Reads `dim` and `keepdim` at these positions; `dim` may be one int, a list, or None.
    #[must_use]
    pub fn at(c: &Ctx, dim: usize, keepdim: usize) -> Call {
        let dims = dim_list(c.args(), dim).ok().flatten();
        Call {
            input: c.shape(0),
            dims,
            keepdim: c.args().bool(keepdim).unwrap_or(false),
        }
    }

    #[must_use]
    pub fn of(c: &Ctx) -> Call {
        Call::at(c, 1, 2)
    }

    /// With the reduced dimensions as size 1.
    #[must_use]
    pub fn restore(&self, value: &Val) -> Val {
        unreduced(value, &self.input, self.dims.as_deref(), self.keepdim)
    }

    /// Expanded to the input's sizes.
    #[must_use]
    pub fn spread(&self, value: &Val) -> Val {
        if value.ndim() == 0 {
            return value.spread(&self.input);
        }
        self.restore(value).spread(&self.input)
    }

    /// How many elements went into each result.
    #[must_use]
    pub fn count(&self) -> f64 {
        Reduced::new(self.input.len(), self.dims.as_deref(), false)
            .map_or(0, |r| r.count(&self.input)) as f64
    }

    /// Sums over the reduced dimensions and keeps them.
    #[must_use]
    pub fn total(&self, value: &Val) -> Val {
        value.sum(self.dims.as_ref().map(|d| Value::Ints(d.to_vec())), true)
    }
}
