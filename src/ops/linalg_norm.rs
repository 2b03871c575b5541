//! Matrix norms and conditions, tensors as linear maps, exponentials.

use super::linalg::{check_matrix, with_lead};
use super::matmul::single;
use super::{Args, Body, F, M, O, Outputs, Val, Value};
use crate::tensor::{Tensor, wrap_dim};
use crate::{Result, call, call_all, ensure, err, fail, ops};

/// A norm of matrices: by name, or by number.
#[derive(Clone, PartialEq)]
enum Order {
    Frobenius,
    Nuclear,
    Number(f64),
}

fn named_order(text: &str, op: &str) -> Result<Order> {
    match text {
        "fro" => Ok(Order::Frobenius),
        "nuc" => Ok(Order::Nuclear),
        _ => fail!(Runtime, "{op}: Order {text} not supported."),
    }
}

/// A vector norm along dimensions, all if none are given.
fn vector(v: &Val, p: f64, dims: Option<&[i64]>, keep: bool, dtype: Value) -> Val {
    Val(call!(
        "linalg.vector_norm",
        v,
        p,
        dims.map(<[i64]>::to_vec),
        keep,
        dtype
    ))
}

fn matrix_norm_of(
    x: &Tensor,
    order: &Order,
    dims: &[i64],
    keep: bool,
    dtype: Value,
) -> Result<Val> {
    check_dtype_of_norm(x)?;
    ensure!(
        dims.len() == 2,
        Runtime,
        "linalg.matrix_norm: dim must be a 2-tuple. Got {dims:?}"
    );
    ensure!(
        x.ndim() >= 2,
        Runtime,
        "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
    );
    let (rows, cols) = (
        wrap_dim(dims[0], x.ndim())? as i64,
        wrap_dim(dims[1], x.ndim())? as i64,
    );
    ensure!(
        rows != cols,
        Runtime,
        "linalg.matrix_norm: dims must be different. Got ({}, {})",
        dims[0],
        dims[1]
    );
    let v = Val::from(x);
    let spectral = |reduce: &dyn Fn(Val) -> Val| {
        let v = match dtype {
            Value::DType(d) => v.to(d),
            _ => v.clone(),
        };
        let values = Val(call!(
            "linalg.svdvals",
            Val(call!("movedim", v, [rows, cols], [-2i64, -1]))
        ));
        let result = reduce(values);
        if !keep {
            return result;
        }
        let (low, high) = (rows.min(cols), rows.max(cols));
        result.unsqueeze(low).unsqueeze(high)
    };
    let extreme = |v: Val, largest: bool, dim: i64, keep: bool| {
        let n = v.ndim() as i64;
        let is_empty = v.shape().get(((dim + n) % n.max(1)) as usize) == Some(&0);
        match largest {
            // No columns add up to zero; there is no smallest of none.
            true if is_empty => v.sum([dim], keep),
            true => Val(call!("amax", v, [dim], keep)),
            false => Val(call!("amin", v, [dim], keep)),
        }
    };
    Ok(match order {
        Order::Frobenius => vector(&v, 2.0, Some(&[rows, cols]), keep, dtype),
        Order::Nuclear => spectral(&|s| s.sum([-1i64], false)),
        Order::Number(p) if p.abs() == 2.0 => spectral(&|s| extreme(s, *p > 0.0, -1, false)),
        Order::Number(p) if p.abs() == 1.0 || p.is_infinite() => {
            let (sum_over, best_over) = if p.is_infinite() {
                (cols, rows)
            } else {
                (rows, cols)
            };
            let sums = vector(&v, 1.0, Some(&[sum_over]), keep, dtype);
            let best_over = if !keep && best_over > sum_over {
                best_over - 1
            } else {
                best_over
            };
            extreme(sums, *p > 0.0, best_over, keep)
        }
        Order::Number(p) => fail!(Runtime, "linalg.matrix_norm: Order {p} not supported."),
    })
}

fn check_dtype_of_norm(x: &Tensor) -> Result<()> {
    ensure!(
        x.dtype().is_differentiable(),
        Runtime,
        "linalg.matrix_norm: Expected a floating point or complex tensor as input. Got {}",
        x.dtype().scalar_name()
    );
    Ok(())
}

fn matrix_norm(a: Args) -> Result<Outputs> {
    let order = Order::Number(a.float(1)?);
    single(matrix_norm_of(
        a.t(0)?,
        &order,
        a.ints(2)?,
        a.bool(3)?,
        a.get(4).clone(),
    )?)
}

fn matrix_norm_named(a: Args) -> Result<Outputs> {
    let order = named_order(a.str(1)?, "linalg.matrix_norm")?;
    single(matrix_norm_of(
        a.t(0)?,
        &order,
        a.ints(2)?,
        a.bool(3)?,
        a.get(4).clone(),
    )?)
}

/// linalg.norm: of a vector, of matrices, or of all elements, as order and dimensions tell.
fn norm_of(
    x: &Tensor,
    order: Option<Order>,
    dims: Option<&[i64]>,
    keep: bool,
    dtype: Value,
) -> Result<Val> {
    if let Some(dims) = dims {
        ensure!(
            (1..=2).contains(&dims.len()),
            Runtime,
            "linalg.norm: If dim is specified, it must be of length 1 or 2. Got {dims:?}"
        );
    } else if order.is_some() {
        ensure!(
            (1..=2).contains(&x.ndim()),
            Runtime,
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {}D.",
            x.ndim()
        );
    }
    let both: Vec<i64> = vec![-2, -1];
    let matrix_dims = match dims {
        Some(dims) if dims.len() == 2 => Some(dims.to_vec()),
        None if order.is_some() && x.ndim() == 2 => Some(both),
        _ => None,
    };
    match (order, matrix_dims) {
        (Some(order), Some(dims)) => matrix_norm_of(x, &order, &dims, keep, dtype),
        (Some(Order::Number(p)), None) => Ok(vector(&x.into(), p, dims, keep, dtype)),
        (Some(_), None) => fail!(
            Runtime,
            "linalg.norm: 'fro' and 'nuc' need matrices, got dim={dims:?}"
        ),
        (None, _) => Ok(vector(&x.into(), 2.0, dims, keep, dtype)),
    }
}

fn norm(a: Args) -> Result<Outputs> {
    let order = a.opt_float(1)?.map(Order::Number);
    single(norm_of(
        a.t(0)?,
        order,
        a.opt_ints(2)?,
        a.bool(3)?,
        a.get(4).clone(),
    )?)
}

fn norm_named(a: Args) -> Result<Outputs> {
    let order = named_order(a.str(1)?, "linalg.norm")?;
    single(norm_of(
        a.t(0)?,
        Some(order),
        a.opt_ints(2)?,
        a.bool(3)?,
        a.get(4).clone(),
    )?)
}

/// torch.norm: 'fro' is the 2-norm of all elements, numbers are vector norms always.
fn old_norm(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    let (dims, keep, dtype) = (a.opt_ints(2)?, a.bool(3)?, a.get(4).clone());
    let dims = dims.filter(|d| !d.is_empty());
    let v = Val::from(x);
    let result = match a.get(1) {
        Value::Str(text) => match named_order(text, "norm")? {
            Order::Nuclear => {
                let all: Vec<i64> = (0..x.ndim() as i64).collect();
                matrix_norm_of(x, &Order::Nuclear, dims.unwrap_or(&all), keep, dtype)?
            }
            _ => vector(&v, 2.0, dims, keep, dtype),
        },
        Value::None => vector(&v, 2.0, dims, keep, dtype),
        _ => vector(&v, a.float(1)?, dims, keep, dtype),
    };
    single(result)
}

fn cond_number(a: Args) -> Result<Outputs> {
    cond(a.t(0)?, a.opt_float(1)?.map(Order::Number))
}

fn cond_named(a: Args) -> Result<Outputs> {
    cond(a.t(0)?, Some(named_order(a.str(1)?, "linalg.cond")?))
}

fn cond(x: &Tensor, order: Option<Order>) -> Result<Outputs> {
    check_matrix(x, "linalg.cond")?;
    let order = order.unwrap_or(Order::Number(2.0));
    if let Order::Number(p) = order
        && p.abs() == 2.0
    {
        let s = Val(call!("linalg.svdvals", x));
        let (first, last) = (s.select(-1, 0), s.select(-1, -1));
        return single(if p > 0.0 {
            first.div(last)
        } else {
            last.div(first)
        });
    }
    super::contract::square_matrix(x, "linalg.cond")?;
    if x.numel() == 0 {
        return single(Val::from(x).new_zeros(with_lead(x, &[]), x.dtype().to_real()));
    }
    let mut parts = call_all!("linalg.inv_ex", x, false)?
        .into_iter()
        .map(Value::into_tensor);
    let inverse = parts
        .next()
        .unwrap_or_else(|| Err(err!(Runtime, "linalg.cond: no inverse")))?;
    let of = |t: &Tensor| matrix_norm_of(t, &order, &[-2, -1], false, Value::None);
    let product = of(x)?.mul(of(&inverse)?);
    // The inverse of a singular matrix has NaN and infinities.
    single(product.masked_fill(product.isnan(), f64::INFINITY))
}

fn tensorinv(a: Args) -> Result<Outputs> {
    let (x, ind) = (a.t(0)?, a.int(1)?);
    ensure!(
        ind > 0,
        Runtime,
        "Expected a strictly positive integer for 'ind', but got {ind}"
    );
    let at = (ind as usize).min(x.ndim());
    let (first, last) = x.shape().split_at(at);
    let (rows, cols): (i64, i64) = (first.iter().product(), last.iter().product());
    ensure!(
        rows == cols,
        Runtime,
        "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got {cols} != {rows}"
    );
    let inverse = Val(call!("linalg.inv", Val::from(x).reshape([rows, cols])));
    single(inverse.reshape([last, first].concat()))
}

fn tensorsolve(a: Args) -> Result<Outputs> {
    let (x, b) = (a.t(0)?, a.t(1)?);
    let n = x.ndim();
    let mut v = Val::from(x);
    if let Some(dims) = a.opt_ints(2)? {
        let moved: Vec<i64> = dims
            .iter()
            .map(|&d| wrap_dim(d, n).map(|d| d as i64))
            .collect::<Result<_>>()?;
        let kept = (0..n as i64).filter(|d| !moved.contains(d));
        v = v.permute(kept.chain(moved.iter().copied()).collect::<Vec<_>>());
    }
    let result: Vec<i64> = v.shape()[b.ndim().min(n)..].to_vec();
    let (rows, cols): (i64, i64) = (b.numel(), result.iter().product());
    ensure!(
        rows == cols && v.shape().iter().product::<i64>() == rows * cols,
        Runtime,
        "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), but got {cols} != {rows}"
    );
    let solution = Val(call!(
        "linalg.solve",
        v.reshape([rows, cols]),
        Val::from(b).reshape([rows])
    ));
    single(solution.reshape(result))
}

/// Sub-tensors along a dimension scaled down to a p-norm of at most `maxnorm`.
fn renorm(a: Args) -> Result<Outputs> {
    let (x, p, dim, most) = (a.t(0)?, a.float(1)?, a.int(2)?, a.float(3)?);
    ensure!(p > 0.0, Runtime, "renorm: non-positive-norm not supported");
    ensure!(
        most >= 0.0,
        Runtime,
        "renorm: expected maxnorm to be >= 0 but got {most}"
    );
    ensure!(
        x.ndim() > 1,
        Runtime,
        "renorm: input needs at least 2 dimensions, got {} dimensions",
        x.ndim()
    );
    let dim = wrap_dim(dim, x.ndim())? as i64;
    let others: Vec<i64> = (0..x.ndim() as i64).filter(|&d| d != dim).collect();
    let v = Val::from(x);
    let wide = x.dtype().compute();
    let dtype = if wide == x.dtype() {
        Value::None
    } else {
        wide.into()
    };
    let norms = vector(&v, p, Some(&others), true, dtype);
    let factor = ((norms.clone() + 1e-7).reciprocal() * most)
        .select_where(&norms.gt(most), norms.ones_like());
    single(v.mul(factor.to(if x.dtype().is_complex() {
        factor.dtype()
    } else {
        x.dtype()
    })))
}

ops! {
    /// Norms of matrices, by number.
    "linalg.matrix_norm(Tensor A, Scalar ord, int[] dim=[-2,-1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", F | O,
    Body::Composite(matrix_norm);
    /// Norms of matrices: 'fro' or 'nuc'.
    "linalg.matrix_norm/str_ord(Tensor A, str ord='fro', int[] dim=[-2,-1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", F | O,
    Body::Composite(matrix_norm_named);
    /// Norm of a vector or of matrices.
    "linalg.norm(Tensor A, Scalar? ord=None, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", F | O,
    Body::Composite(norm);
    /// Norm of matrices: 'fro' or 'nuc'.
    "linalg.norm/ord_str(Tensor A, str ord, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", F | O,
    Body::Composite(norm_named);
    /// Norm of the elements as one vector: 'fro', or 'nuc' of a matrix.
    "norm(Tensor self, str p='fro', int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", F | M | O,
    Body::Composite(old_norm);
    /// Norm of the elements as one vector, by number.
    "norm/Scalar(Tensor self, Scalar? p, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", F | M | O,
    Body::Composite(old_norm);
    /// Condition numbers of matrices.
    "linalg.cond(Tensor A, Scalar? p=None) -> Tensor", F | O, Body::Composite(cond_number);
    /// Condition numbers of matrices in the norm 'fro' or 'nuc'.
    "linalg.cond/p_str(Tensor A, str p) -> Tensor", F | O, Body::Composite(cond_named);
    /// The inverse of a tensor as a linear map of its first dimensions.
    "linalg.tensorinv(Tensor A, int ind=2) -> Tensor", F | O, Body::Composite(tensorinv);
    /// The solution of a linear system whose unknown is a tensor.
    "linalg.tensorsolve(Tensor A, Tensor B, int[]? dims=None) -> Tensor", F | O, Body::Composite(tensorsolve);
    /// Sub-tensors along a dimension scaled down to a norm of at most `maxnorm`.
    "renorm(Tensor self, Scalar p, int dim, Scalar maxnorm) -> Tensor", F | M | super::I | O, Body::Composite(renorm);
}
