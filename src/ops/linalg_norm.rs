//! Matrix norms and what rests on singular values: condition, rank, pseudo-inverse, least squares.

use super::linalg::{check_dtype, check_matrix, size, with_lead};
use super::loss::primitive;
use super::matmul::single;
use super::{Args, Body, F, M, O, Outputs, Val, Value, arg, named, out};
use crate::autograd::Ctx;
use crate::tensor::{DType, Tensor, wrap_dim};
use crate::{Result, call, call_all, ensure, err, fail, grads, ops};

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
    Val(call!("linalg.vector_norm", v, p, dims.map(<[i64]>::to_vec), keep, dtype))
}

fn matrix_norm_of(x: &Tensor, order: &Order, dims: &[i64], keep: bool, dtype: Value) -> Result<Val> {
    check_dtype_of_norm(x)?;
    ensure!(dims.len() == 2, Runtime, "linalg.matrix_norm: dim must be a 2-tuple. Got {dims:?}");
    ensure!(x.ndim() >= 2, Runtime, "linalg.matrix_norm: The input tensor A must have at least 2 dimensions.");
    let (rows, cols) = (wrap_dim(dims[0], x.ndim())? as i64, wrap_dim(dims[1], x.ndim())? as i64);
    ensure!(rows != cols, Runtime, "linalg.matrix_norm: dims must be different. Got ({}, {})", dims[0], dims[1]);
    let v = Val::from(x);
    let spectral = |reduce: &dyn Fn(Val) -> Val| {
        let v = match dtype {
            Value::DType(d) => v.to(d),
            _ => v.clone(),
        };
        let values = Val(call!("linalg.svdvals", Val(call!("movedim", v, [rows, cols], [-2i64, -1]))));
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
            let (sum_over, best_over) = if p.is_infinite() { (cols, rows) } else { (rows, cols) };
            let sums = vector(&v, 1.0, Some(&[sum_over]), keep, dtype);
            let best_over = if !keep && best_over > sum_over { best_over - 1 } else { best_over };
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
    single(matrix_norm_of(a.t(0)?, &order, a.ints(2)?, a.bool(3)?, a.get(4).clone())?)
}

fn matrix_norm_named(a: Args) -> Result<Outputs> {
    let order = named_order(a.str(1)?, "linalg.matrix_norm")?;
    single(matrix_norm_of(a.t(0)?, &order, a.ints(2)?, a.bool(3)?, a.get(4).clone())?)
}

/// linalg.norm: of a vector, of matrices, or of all elements, as order and dimensions tell.
fn norm_of(x: &Tensor, order: Option<Order>, dims: Option<&[i64]>, keep: bool, dtype: Value) -> Result<Val> {
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
        (Some(_), None) => fail!(Runtime, "linalg.norm: 'fro' and 'nuc' need matrices, got dim={dims:?}"),
        (None, _) => Ok(vector(&x.into(), 2.0, dims, keep, dtype)),
    }
}

fn norm(a: Args) -> Result<Outputs> {
    let order = a.opt_float(1)?.map(Order::Number);
    single(norm_of(a.t(0)?, order, a.opt_ints(2)?, a.bool(3)?, a.get(4).clone())?)
}

fn norm_named(a: Args) -> Result<Outputs> {
    let order = named_order(a.str(1)?, "linalg.norm")?;
    single(norm_of(a.t(0)?, Some(order), a.opt_ints(2)?, a.bool(3)?, a.get(4).clone())?)
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
        return single(if p > 0.0 { first.div(last) } else { last.div(first) });
    }
    super::contract::square_matrix(x, "linalg.cond")?;
    if x.numel() == 0 {
        return single(Val(call!("zeros", with_lead(x, &[]), x.dtype().to_real())));
    }
    let mut parts = call_all!("linalg.inv_ex", x, false)?.into_iter().map(Value::into_tensor);
    let inverse = parts.next().unwrap_or_else(|| Err(err!(Runtime, "linalg.cond: no inverse")))?;
    let of = |t: &Tensor| matrix_norm_of(t, &order, &[-2, -1], false, Value::None);
    let product = of(x)?.mul(of(&inverse)?);
    // The inverse of a singular matrix has NaN and infinities.
    single(product.masked_fill(product.isnan(), f64::INFINITY))
}

/// The tolerance under which singular values count as zero: the larger of `atol` and `rtol` times the largest.
fn tolerance(x: &Tensor, largest: &Val, atol: &Value, rtol: &Value) -> Result<Val> {
    let (m, n) = size(x);
    let epsilon = if x.dtype().to_real() == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let absolute = match atol {
        Value::None => None,
        Value::Tensor(t) => Some(Val::from(t)),
        other => Some(largest.zeros_like().add(other)),
    };
    let relative: Val = match rtol {
        Value::Tensor(t) => Val::from(t).mul(largest),
        Value::None => {
            let default = largest * (epsilon * m.max(n) as f64);
            match &absolute {
                // Where atol is given and positive, the default of rtol is zero.
                Some(a) => default.masked_fill(a.gt(0.0), 0.0),
                None => default,
            }
        }
        other => largest.mul(other),
    };
    Ok(match absolute {
        Some(absolute) => absolute.maximum(relative),
        None => relative,
    })
}

fn hermitian_values(x: &Tensor, hermitian: bool) -> Result<Val> {
    Ok(if hermitian {
        super::contract::square_matrix(x, "linalg.matrix_rank")?;
        Val(call!("linalg.eigvalsh", x)).abs()
    } else {
        Val(call!("linalg.svdvals", x))
    })
}

fn largest_of(s: &Val) -> Val {
    Val(call!("amax", s, [-1i64], false))
}

fn rank(x: &Tensor, atol: &Value, rtol: &Value, hermitian: bool) -> Result<Outputs> {
    check_matrix(x, "torch.linalg.matrix_rank")?;
    if x.numel() == 0 {
        return single(Val(call!("zeros", with_lead(x, &[]), DType::I64)));
    }
    let s = hermitian_values(&x.detached(), hermitian)?;
    let limit = tolerance(x, &largest_of(&s), atol, rtol)?;
    single(s.gt(limit.unsqueeze(-1)).to(DType::I64).sum([-1i64], false))
}

fn matrix_rank(a: Args) -> Result<Outputs> {
    rank(a.t(0)?, a.get(1), a.get(2), a.bool(3)?)
}

fn matrix_rank_tol(a: Args) -> Result<Outputs> {
    let zero = Value::from(0.0);
    rank(a.t(0)?, a.get(1), &zero, a.bool(2)?)
}

/// The pseudo-inverse from singular values (or eigenvalues); `_linalg_pinv(A, atol, rtol, hermitian)`.
fn pinv_value(a: Args) -> Result<Vec<Tensor>> {
    let (x, hermitian) = (a.t(0)?.detached(), a.bool(3)?);
    primitive(|| Val(pinv_of(&x, a.get(1), a.get(2), hermitian).and_then(Val::get)))
}

fn pinv_of(x: &Tensor, atol: &Value, rtol: &Value, hermitian: bool) -> Result<Val> {
    let (m, n) = size(x);
    if x.numel() == 0 {
        return Ok(Val(call!("zeros", with_lead(x, &[n, m]), x.dtype())));
    }
    let parts: Vec<Val> = if hermitian {
        call_all!("linalg.eigh", x)
    } else {
        call_all!("linalg.svd", x, false)
    }?
    .into_iter()
    .map(|v| Val(v.into_tensor()))
    .collect();
    let (left, s, right) = if hermitian {
        (parts[1].clone(), parts[0].clone(), parts[1].mh())
    } else {
        (parts[0].clone(), parts[1].clone(), parts[2].clone())
    };
    let limit = tolerance(x, &largest_of(&s.abs()), atol, rtol)?;
    let small = s.abs().le(limit.unsqueeze(-1));
    let inverted = s.reciprocal().masked_fill(small, 0.0).to(x.dtype());
    Ok(right.mh().mul(inverted.unsqueeze(-2)).matmul(left.mh()))
}

/// The derivative of the pseudo-inverse at constant rank.
fn pinv_grad(c: &Ctx) -> super::Grads {
    let (x, p, gh) = (c.x(0), c.y(0), c.g().mh());
    let ph = p.mh();
    let (m, n) = (x.shape()[x.ndim() - 2], x.shape()[x.ndim() - 1]);
    let ga = if m <= n {
        let k = gh.matmul(&p);
        let kph = k.matmul(&ph);
        -p.matmul(&k).mh() + &kph - x.matmul(&p).matmul(&kph) + ph.matmul(&p).matmul(gh - k.matmul(&x))
    } else {
        let k = p.matmul(&gh);
        let phk = ph.matmul(&k);
        -k.matmul(&p).mh() + (gh - x.matmul(&k)).matmul(&p).matmul(&ph) + &phk - phk.matmul(&p).matmul(&x)
    };
    grads![ga]
}

fn pinv(a: Args) -> Result<Outputs> {
    check_matrix(a.t(0)?, "linalg.pinv")?;
    single(Val(call!("_linalg_pinv", a.get(0), a.get(1), a.get(2), a.get(3))))
}

fn pinv_rcond(a: Args) -> Result<Outputs> {
    check_matrix(a.t(0)?, "linalg.pinv")?;
    let zero = Value::from(0.0);
    single(Val(call!("_linalg_pinv", a.get(0), zero, a.get(1), a.get(2))))
}

/// (solution, residuals, rank, singular values) of least-squares problems.
fn lstsq(a: Args) -> Result<Outputs> {
    let (x, b, rcond) = (a.t(0)?, a.t(1)?, a.get(2));
    let driver = a.opt_str(3)?.unwrap_or("gelsy");
    ensure!(
        ["gels", "gelsy", "gelsd", "gelss"].contains(&driver),
        Runtime,
        "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
    );
    check_matrix(x, "linalg.lstsq")?;
    check_dtype(b.dtype(), "linalg.lstsq")?;
    ensure!(b.ndim() >= 1, Runtime, "torch.linalg.lstsq: other must have at least 1 dimension");
    let is_vector = b.ndim() == 1 || (b.ndim() + 1 == x.ndim() && b.shape() == &x.shape()[..x.ndim() - 1]);
    let right = if is_vector { Val::from(b).unsqueeze(-1) } else { b.into() };
    let (m, n) = size(x);
    ensure!(
        right.shape()[right.ndim() - 2] == m as i64,
        Runtime,
        "torch.linalg.lstsq: input.size(-2) should match other.size(-2)"
    );
    let (epsilon, real) = (if x.dtype().to_real() == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON }, x.dtype().to_real());
    let limit = match rcond {
        Value::None => Value::from(epsilon * m.max(n) as f64),
        given => given.clone(),
    };
    let zero = Value::from(0.0);
    let solution = Val(call!("_linalg_pinv", x, zero.clone(), limit.clone(), false)).matmul(&right);
    let empty = |dtype: DType| Val(call!("zeros", [0i64], dtype));
    let rank = if driver == "gels" { empty(DType::I64) } else {
        Val(rank(x, &zero, &limit, false)?.into_iter().next().unwrap_or_default().into_tensor())
    };
    let full = driver == "gels" || rank.clone().get()?.to_vec::<i64>()?.iter().all(|&r| r == n as i64);
    let residuals = if m > n && full && driver != "gelsy" {
        let rest = Val::from(x).matmul(&solution).sub(&right);
        rest.abs().square().sum([-2i64], false)
    } else {
        empty(real)
    };
    let values = if matches!(driver, "gelsd" | "gelss") { Val(call!("linalg.svdvals", x)) } else { empty(real) };
    let solution = if is_vector { solution.select(-1, 0) } else { solution };
    [solution, residuals, rank, values].into_iter().map(|v| v.get().map(Value::Tensor)).collect()
}

fn tensorinv(a: Args) -> Result<Outputs> {
    let (x, ind) = (a.t(0)?, a.int(1)?);
    ensure!(ind > 0, Runtime, "Expected a strictly positive integer for 'ind', but got {ind}");
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
        let moved: Vec<i64> = dims.iter().map(|&d| wrap_dim(d, n).map(|d| d as i64)).collect::<Result<_>>()?;
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
    let solution = Val(call!("linalg.solve", v.reshape([rows, cols]), Val::from(b).reshape([rows])));
    single(solution.reshape(result))
}

/// Sub-tensors along a dimension scaled down to a p-norm of at most `maxnorm`.
fn renorm(a: Args) -> Result<Outputs> {
    let (x, p, dim, most) = (a.t(0)?, a.float(1)?, a.int(2)?, a.float(3)?);
    ensure!(p > 0.0, Runtime, "renorm: non-positive-norm not supported");
    ensure!(most >= 0.0, Runtime, "renorm: expected maxnorm to be >= 0 but got {most}");
    ensure!(x.ndim() > 1, Runtime, "renorm: input needs at least 2 dimensions, got {} dimensions", x.ndim());
    let dim = wrap_dim(dim, x.ndim())? as i64;
    let others: Vec<i64> = (0..x.ndim() as i64).filter(|&d| d != dim).collect();
    let v = Val::from(x);
    let wide = x.dtype().compute();
    let dtype = if wide == x.dtype() { Value::None } else { wide.into() };
    let norms = vector(&v, p, Some(&others), true, dtype);
    let factor = ((norms.clone() + 1e-7).reciprocal() * most).select_where(&norms.gt(most), norms.ones_like());
    single(v.mul(factor.to(if x.dtype().is_complex() { factor.dtype() } else { x.dtype() })))
}

/// exp of square matrices, by scaling and squaring a Taylor polynomial.
fn matrix_exp(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    super::contract::square_matrix(x, "linalg.matrix_exp")?;
    check_dtype(x.dtype().compute(), "linalg.matrix_exp")?;
    let n = size(x).0 as i64;
    if x.numel() == 0 {
        return single(Val(call!("clone", x)));
    }
    let norms = matrix_norm_of(&x.detached(), &Order::Number(1.0), &[-2, -1], false, Value::None)?;
    let largest = Val(call!("amax", norms, Vec::<i64>::new(), false)).get()?.item()?.to_f64();
    let halvings = if largest > 0.5 && largest.is_finite() { (largest / 0.5).log2().ceil() } else { 0.0 };
    let v = Val::from(x) * 0.5f64.powf(halvings);
    let eye = Val(call!("eye", n, x.dtype()));
    // Horner's scheme; 18 terms leave less than an ulp at a norm of one half.
    let mut sum = eye.clone();
    for k in (1..=18).rev() {
        sum = v.matmul(sum) * (1.0 / f64::from(k)) + &eye;
    }
    for _ in 0..halvings as usize {
        sum = sum.matmul(&sum);
    }
    single(sum)
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
    /// Ranks of matrices.
    "linalg.matrix_rank(Tensor A, *, Tensor|Scalar? atol=None, Tensor|Scalar? rtol=None, bool hermitian=False) -> Tensor", F | O,
    Body::Composite(matrix_rank);
    /// Ranks of matrices, given the tolerance.
    "linalg.matrix_rank/tol(Tensor A, Tensor|Scalar tol, bool hermitian=False) -> Tensor", F | O, Body::Composite(matrix_rank_tol);
    /// Pseudo-inverses, with PyTorch's defaults filled in.
    "_linalg_pinv(Tensor A, Tensor|Scalar? atol, Tensor|Scalar? rtol, bool hermitian) -> Tensor", 0,
    Body::Dynamic { cpu: pinv_value }, grad named("LinalgPinvBackward0", arg(0) | out(0), |c| {
        let mut all = pinv_grad(c);
        all.resize(c.slots(), None);
        all
    });
    /// Pseudo-inverses of matrices.
    "linalg.pinv(Tensor A, *, Tensor|Scalar? atol=None, Tensor|Scalar? rtol=None, bool hermitian=False) -> Tensor", F | O, Body::Composite(pinv);
    /// Pseudo-inverses of matrices, given the relative tolerance.
    "linalg.pinv/rcond(Tensor A, Tensor|Scalar rcond, bool hermitian=False) -> Tensor", F | O, Body::Composite(pinv_rcond);
    /// Pseudo-inverses of matrices.
    "pinverse(Tensor self, float rcond=1e-15) -> Tensor", F | M,
    Body::Composite(|a| single(Val(call!("linalg.pinv/rcond", a.get(0), a.get(1)))));
    /// Solutions of least-squares problems.
    "linalg.lstsq(Tensor A, Tensor B, float? rcond=None, *, str? driver=None) -> (Tensor solution, Tensor residuals, Tensor rank, Tensor singular_values)",
    F | O, Body::Composite(lstsq);
    /// The inverse of a tensor as a linear map of its first dimensions.
    "linalg.tensorinv(Tensor A, int ind=2) -> Tensor", F | O, Body::Composite(tensorinv);
    /// The solution of a linear system whose unknown is a tensor.
    "linalg.tensorsolve(Tensor A, Tensor B, int[]? dims=None) -> Tensor", F | O, Body::Composite(tensorsolve);
    /// Sub-tensors along a dimension scaled down to a norm of at most `maxnorm`.
    "renorm(Tensor self, Scalar p, int dim, Scalar maxnorm) -> Tensor", F | M | super::I | O, Body::Composite(renorm);
    /// Exponentials of square matrices.
    "linalg.matrix_exp(Tensor A) -> Tensor", F, Body::Composite(matrix_exp);
    /// Exponentials of square matrices.
    "matrix_exp(Tensor self) -> Tensor", F | M, Body::Composite(matrix_exp);
}
