//! Reductions of one output: sums, products, means, extremes, truth.

use super::reduce_dims::{Call, DimList, Reduced, compact, dim_list, dispatch_compact, through};
use super::{Args, F, M, O, Op, Outs, STRIDED, Val, arg, kernel, out, rule};
use crate::autograd::Ctx;
use crate::cpu::reduce::{Reduction, reduce, reduce_row};
use crate::cpu::reduce_kinds::{All, Any, CountNonzero, Max, Mean, Min, NanSum, Prod, Sum, Xor};
use crate::tensor::{Bool, DType, Element, Tensor, bf16, c64, c128, f16};
use crate::{Result, call, dispatch, ensure, err, grads};

/// The dtype of a result, and what the elements are converted to before they are reduced.
#[derive(Clone, Copy, PartialEq)]
enum Promotion {
    /// Integers and bool sum up in int64.
    Total,
    /// Floating-point and complex dtypes only.
    Mean,
    /// The input's dtype; there is no result without elements.
    Same,
    /// bool, but uint8 for uint8.
    Truth,
    Count,
    /// uint64; there is no result without elements.
    Bits,
}

impl Promotion {
    fn resolve(self, name: &str, input: DType, asked: Option<DType>) -> Result<DType> {
        let dtype = asked.unwrap_or(input);
        Ok(match self {
            Promotion::Total if asked.is_none() && input.is_integral(true) => DType::I64,
            Promotion::Total => dtype,
            Promotion::Mean => {
                ensure!(
                    dtype.is_differentiable(),
                    Runtime,
                    "{name}(): could not infer output dtype. {} dtype must be either a floating point or complex dtype. Got: {}",
                    if asked.is_some() { "Optional" } else { "Input" },
                    dtype.scalar_name()
                );
                dtype
            }
            Promotion::Same => input,
            Promotion::Truth => {
                if input == DType::U8 {
                    DType::U8
                } else {
                    DType::Bool
                }
            }
            Promotion::Count => DType::I64,
            Promotion::Bits => DType::U64,
        })
    }
}

/// How a reduction's arguments are laid out: (self, dim, keepdim, dtype), as far as it has them.
struct Request<'a> {
    x: &'a Tensor,
    dims: Option<DimList>,
    reduced: Reduced,
    dtype: Option<DType>,
}

fn request(a: Args<'_>, promotion: Promotion) -> Result<Request<'_>> {
    let x = a.t(0)?;
    let dims = dim_list(a, 1)?;
    let keepdim = a.opt_bool(2)?.unwrap_or(false);
    let mut reduced = Reduced::new(x.ndim(), dims.as_deref(), keepdim)?;
    if promotion == Promotion::Truth && dims.as_ref().is_some_and(|d| d.is_empty()) {
        // An empty list is no dimension here, and all of them everywhere else.
        reduced.mask.fill(false);
    }
    Ok(Request {
        x,
        dims,
        reduced,
        dtype: a.opt_dtype(3)?,
    })
}

fn meta(a: Args, name: &str, promotion: Promotion) -> Result<Outs> {
    let r = request(a, promotion)?;
    if matches!(promotion, Promotion::Same | Promotion::Bits) {
        r.reduced
            .require_elements(r.x, name, r.dims.as_ref().is_some_and(|d| !d.is_empty()))?;
    }
    Ok(r.reduced
        .outs(r.x, promotion.resolve(name, r.x.dtype(), r.dtype)?))
}

/// Reduces into `out`, by way of a tensor of the kernel's dtype where it differs.
fn run<T: Element, R: Reduction<T>>(
    r: R,
    x: &Tensor,
    reduced: &Reduced,
    out: &Tensor,
    dtype: DType,
) -> Result<()> {
    through(out, dtype, |out| {
        if reduced.is_short_row(x) {
            // SAFETY: so many elements lie in a row; there is one result.
            unsafe {
                reduce_row(r, x.ptr::<T>(), x.numel() as usize, out.data_ptr().cast());
            }
            return Ok(());
        }
        // SAFETY: the plan was made for these layouts, whose bounds were checked when the tensors were made.
        unsafe {
            reduce(
                r,
                x.ptr::<T>(),
                &reduced.plan(x, out),
                out.data_ptr().cast(),
            );
        };
        Ok(())
    })
}

/// The dtype that sums of a dtype's elements come out in.
fn total(dtype: DType) -> DType {
    if dtype.is_integral(true) {
        DType::I64
    } else {
        dtype
    }
}

/// The input, converted where that is not the same as converting the result.
fn converted(x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() == dtype || total(x.dtype()) == dtype {
        plain(x)
    } else {
        call!("_to_copy", x.detached(), dtype).and_then(|x| plain(&x))
    }
}

/// Integers that no kernel exists for, in int64: sums and zeros are the same.
fn plain(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::I8 | DType::I16 | DType::U16 | DType::U32 => {
            call!("_to_copy", x.detached(), DType::I64)
        }
        DType::U64 => x.alias_as(x.layout().clone(), DType::I64, x.lazy()),
        _ => Ok(x.clone()),
    }
}

/// The elements' bits, widened to 64 in their category.
fn words(x: &Tensor) -> Result<Tensor> {
    let wide = match x.dtype() {
        dtype if dtype.is_complex() => return Ok(x.clone()),
        dtype if dtype.is_float() => call!("_to_copy", x.detached(), DType::F64)?,
        DType::U64 => x.clone(),
        _ => call!("_to_copy", x.detached(), DType::I64)?,
    };
    wide.alias_as(wide.layout().clone(), DType::I64, wide.lazy())
}

fn unsupported(name: &str, dtype: DType) -> crate::Error {
    err!(
        NotImplemented,
        "\"{name}_cpu\" not implemented for '{}'",
        dtype.scalar_name()
    )
}

/// Where a kind's kernel result lies: in the total's dtype, the input's, or a fixed one.
macro_rules! result_dtype {
    (total $x:expr) => {
        total($x)
    };
    (same $x:expr) => {
        $x
    };
    (truth $x:expr) => {
        DType::Bool
    };
    (count $x:expr) => {
        DType::I64
    };
    (bits $x:expr) => {
        DType::U64
    };
}

/// The dtypes that kernels exist for, after `converted` or `compact`.
macro_rules! over {
    (all $dtype:expr, $T:ident => $body:expr, $name:expr) => {
        dispatch!(@arms $dtype, $T, $body, Err(unsupported($name, $dtype)), Bool Bool, U8 u8, I32 i32, I64 i64,
            F16 f16, BF16 bf16, F32 f32, F64 f64, C64 c64, C128 c128)
    };
    (inexact $dtype:expr, $T:ident => $body:expr, $name:expr) => {
        dispatch!(@arms $dtype, $T, $body, Err(unsupported($name, $dtype)), F16 f16, BF16 bf16, F32 f32, F64 f64, C64 c64, C128 c128)
    };
    (words $dtype:expr, $T:ident => $body:expr, $name:expr) => {
        dispatch!(@arms $dtype, $T, $body, Err(unsupported($name, $dtype)), I64 i64)
    };
    (ordered $dtype:expr, $T:ident => $body:expr, $name:expr) => {
        dispatch_compact!($dtype, $T => $body, else Err(unsupported($name, $dtype)))
    };
}

macro_rules! signature {
    (single) => {
        "(Tensor self, int? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
    };
    (typed) => {
        "(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
    };
    (plain) => {
        "(Tensor self, int[1]? dim=None, bool keepdim=False) -> Tensor"
    };
    (bare) => {
        "(Tensor self, int[1]? dim=None) -> Tensor"
    };
}

/// One reduction per line: name(signature): kind of `n` elements, dtypes, kernel's result, promotion, gradient.
macro_rules! reduce {
    ($($(#[doc = $doc:literal])+ $name:ident($sig:ident): |$n:ident| $kind:expr, $set:ident -> $result:ident, $promotion:ident
        $(, grad $grad:expr)?;)*) => {
        pub static OPS: &[Op] = &[$(Op {
            schema: concat!(stringify!($name), signature!($sig)),
            doc: concat!($($doc, "\n"),+),
            variants: F | M | O | STRIDED,
            body: kernel(
                |a| meta(a, stringify!($name), Promotion::$promotion),
                |a, outs| {
                    let r = request(a, Promotion::$promotion)?;
                    let x = reduce!(@convert $result r.x, outs[0].dtype());
                    let $n = r.reduced.count(x.shape()) as f64;
                    let dtype = result_dtype!($result x.dtype());
                    over!($set x.dtype(), T => run::<T, _>($kind, &x, &r.reduced, &outs[0], dtype), stringify!($name))
                },
            ),
            grad: reduce!(@grad $($grad)?),
        }),*];
    };
    (@convert total $x:expr, $dtype:expr) => { converted($x, $dtype)? };
    (@convert same $x:expr, $dtype:expr) => { compact($x)? };
    (@convert bits $x:expr, $dtype:expr) => { words($x)? };
    (@convert $other:ident $x:expr, $dtype:expr) => { plain($x)? };
    (@grad) => { None };
    (@grad $grad:expr) => { Some($grad) };
}

/// `amax` and its kin: equal extremes share the gradient.
fn shared(c: &Ctx) -> super::Grads {
    let call = Call::of(c);
    let mask = c.x(0).eq(call.restore(&c.y(0))).to(c.g().dtype());
    let each = call.restore(&c.g()) / call.total(&mask);
    grads![mask * each]
}

/// The gradient of a product: the product of all others, from both sides where an element is zero.
fn prod_rule(c: &Ctx) -> super::Grads {
    let (call, x) = (Call::of(c), c.x(0));
    let grad = match has_zero(&x) {
        Err(e) => Val(Err(e)),
        Ok(false) => call.restore(&(c.g() * c.y(0).conj_if_complex())) / x.conj_if_complex(),
        Ok(true) => match call.dims.as_deref() {
            Some([dim]) => call.restore(&c.g()) * others(&x, *dim).conj_if_complex(),
            _ => {
                let flat = x.reshape([-1]);
                (c.g().reshape([1]) * others(&flat, 0).conj_if_complex()).reshape(&call.input)
            }
        },
    };
    grads![grad]
}

fn has_zero(x: &Val) -> Result<bool> {
    let zeros = call!("any", x.eq(0.0))?;
    Ok(zeros.item()?.to_bool())
}

/// For each element the product of the others along a dimension.
fn others(x: &Val, dim: i64) -> Val {
    let n = match x.0.as_ref().map(|t| crate::tensor::wrap_dim(dim, t.ndim())) {
        Ok(Ok(d)) => x.shape().get(d).copied().unwrap_or(1),
        _ => 1,
    };
    if n == 1 {
        return x.ones_like();
    }
    let ones = x.narrow(dim, 0, 1).ones_like();
    let join = |part: Val| match (ones.clone().get(), part.get()) {
        (Ok(ones), Ok(part)) => Val(call!("cat", vec![ones, part], dim)),
        (Err(e), _) | (_, Err(e)) => Val(Err(e)),
    };
    let before = call!("cumprod", join(x.narrow(dim, 0, n - 1)), dim);
    let after = call!("cumprod", join(x.narrow(dim, 1, n - 1).flip([dim])), dim);
    Val(before) * Val(after).flip([dim])
}

reduce! {
    /// The sum of the elements, of all or along dimensions. Integers sum up in int64.
    sum(typed): |_n| Sum, all -> total, Total, grad rule(0, |c| grads![Call::of(c).spread(&c.g())]);

    /// The sum of the elements that are not NaN.
    nansum(typed): |_n| NanSum, all -> total, Total, grad rule(arg(0), |c| {
        grads![Call::of(c).spread(&c.g()) * Val(call!("logical_not", c.x(0).isnan()))]
    });

    /// The mean of the elements, of all or along dimensions.
    mean(typed): |n| Mean(n), inexact -> total, Mean, grad rule(0, |c| {
        let call = Call::of(c);
        grads![call.spread(&c.g()) / call.count()]
    });

    /// The product of the elements, of all or along a dimension. Integers multiply in int64.
    prod(single): |_n| Prod, all -> total, Total, grad rule(arg(0) | out(0), prod_rule);

    /// The greatest element along dimensions; equal ones share the gradient.
    amax(plain): |_n| Max, ordered -> same, Same, grad rule(arg(0) | out(0), shared);

    /// The least element along dimensions; equal ones share the gradient.
    amin(plain): |_n| Min, ordered -> same, Same, grad rule(arg(0) | out(0), shared);

    /// Is any element true (not zero)?
    any(plain): |_n| Any, all -> truth, Truth;

    /// Are all elements true (not zero)?
    all(plain): |_n| All, all -> truth, Truth;

    /// How many elements are not zero.
    count_nonzero(bare): |_n| CountNonzero, all -> count, Count;

    /// A hash of the elements: the exclusive or of their bits, as float64 or as int64.
    hash_tensor(plain): |_n| Xor, words -> bits, Bits;
}
