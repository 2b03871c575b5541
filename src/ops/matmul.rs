//! Matrix products: the primitives `mm`, `bmm`, `mv`, `dot`, and `matmul` over them.

use super::{Args, F, M, O, Out, Outs, Val, Value, arg, kernel, rule};
use crate::cpu::gemm::{self, BatchSteps, Gemm, Mat, Product};
use crate::tensor::{DType, Element, FromScalar, Scalar, Tensor};
use crate::{Result, dispatch, ensure, fail, grads, ops};
use smallvec::{SmallVec, smallvec};

fn check_dtypes(a: &Tensor, b: &Tensor) -> Result<()> {
    ensure!(
        a.dtype() == b.dtype(),
        Runtime,
        "expected m1 and m2 to have the same dtype, but got: {} != {}",
        a.dtype().scalar_name().to_lowercase(),
        b.dtype().scalar_name().to_lowercase()
    );
    Ok(())
}

fn one(shape: &[i64], dtype: DType) -> Result<Outs> {
    Ok(smallvec![Out::new(shape, dtype)])
}

pub(super) fn mm_shape(a: &Tensor, b: &Tensor, first: &str, second: &str) -> Result<[i64; 2]> {
    ensure!(
        a.ndim() == 2,
        Runtime,
        "{first} must be a matrix, got {}-D tensor",
        a.ndim()
    );
    ensure!(
        b.ndim() == 2,
        Runtime,
        "{second} must be a matrix, got {}-D tensor",
        b.ndim()
    );
    let (left, right) = (a.shape(), b.shape());
    ensure!(
        left[1] == right[0],
        Runtime,
        "mat1 and mat2 shapes cannot be multiplied ({}x{} and {}x{})",
        left[0],
        left[1],
        right[0],
        right[1]
    );
    check_dtypes(a, b)?;
    Ok([left[0], right[1]])
}

pub(super) fn bmm_shape(a: &Tensor, b: &Tensor) -> Result<[i64; 3]> {
    ensure!(a.ndim() == 3, Runtime, "batch1 must be a 3D tensor");
    ensure!(b.ndim() == 3, Runtime, "batch2 must be a 3D tensor");
    let (left, right) = (a.shape(), b.shape());
    ensure!(
        left[0] == right[0] && left[2] == right[1],
        Runtime,
        "Expected size for first two dimensions of batch2 tensor to be: [{}, {}] but got: [{}, {}].",
        left[0],
        left[2],
        right[0],
        right[1]
    );
    check_dtypes(a, b)?;
    Ok([left[0], left[1], right[2]])
}

pub(super) fn mv_shape(mat: &Tensor, vec: &Tensor) -> Result<[i64; 1]> {
    ensure!(
        mat.ndim() == 2 && vec.ndim() == 1,
        Runtime,
        "vector + matrix @ vector expected, got {}, {}, {}",
        1,
        mat.ndim(),
        vec.ndim()
    );
    ensure!(
        mat.shape()[1] == vec.shape()[0],
        Runtime,
        "size mismatch, got input ({}), mat ({}x{}), vec ({})",
        mat.shape()[0],
        mat.shape()[0],
        mat.shape()[1],
        vec.shape()[0]
    );
    check_dtypes(mat, vec)?;
    Ok([mat.shape()[0]])
}

/// A tensor as a batch of matrices: [batch, rows, cols] with the strides of each.
#[derive(Clone, Copy)]
pub(super) struct Batch {
    size: [i64; 3],
    step: [i64; 3],
}

impl Batch {
    pub(super) fn of(t: &Tensor) -> Batch {
        Batch::over(t.shape(), t.strides())
    }

    /// A tensor expanded to the sizes of another.
    fn expanded(t: &Tensor, to: &Tensor) -> Result<Batch> {
        let layout = t.layout().expand(to.shape())?;
        Ok(Batch::over(&layout.shape, &layout.strides))
    }

    fn over(s: &[i64], d: &[i64]) -> Batch {
        match s.len() {
            0 => Batch {
                size: [1; 3],
                step: [0; 3],
            },
            1 => Batch {
                size: [1, s[0], 1],
                step: [0, d[0], 0],
            },
            2 => Batch {
                size: [1, s[0], s[1]],
                step: [0, d[0], d[1]],
            },
            _ => Batch {
                size: [s[0], s[1], s[2]],
                step: [d[0], d[1], d[2]],
            },
        }
    }

    /// A vector as one row.
    fn row(t: &Tensor) -> Batch {
        let Batch { size, step } = Batch::of(t);
        Batch {
            size: [1, 1, size[1]],
            step: [0, 0, step[1]],
        }
    }

    fn mat<T: Element>(self, t: &Tensor) -> Mat<*mut T> {
        Mat::new(t.ptr::<T>(), self.step[1] as isize, self.step[2] as isize)
    }
}

/// `out = alpha * a @ b + beta * start` for batches of matrices, where `start` is expanded to the result; with an
/// output step of 0 the batch is summed.
pub(super) fn multiply(
    op: &str,
    (out, out_batch): (&Tensor, Batch),
    (a, a_batch): (&Tensor, Batch),
    (b, b_batch): (&Tensor, Batch),
    start: Option<(&Tensor, Scalar)>,
    alpha: Scalar,
) -> Result<()> {
    let [batch, m, k] = a_batch.size;
    let (start, start_batch, beta) = match start {
        Some((start, beta)) => (start, Batch::expanded(start, out)?, beta),
        None => (out, out_batch, Scalar::Int(0)),
    };
    let steps = BatchSteps {
        a: a_batch.step[0] as isize,
        b: b_batch.step[0] as isize,
        c: out_batch.step[0] as isize,
        start: start_batch.step[0] as isize,
    };
    dispatch!(num a.dtype(), T => {
        let mut product = Product {
            m: m as usize,
            n: b_batch.size[2] as usize,
            k: k as usize,
            a: a_batch.mat::<T>(a).into(),
            b: b_batch.mat::<T>(b).into(),
            c: out_batch.mat::<T>(out),
            alpha: T::from_scalar(alpha),
            beta: T::from_scalar(beta),
        };
        let start = start_batch.mat::<T>(start).into();
        if steps.c == 0 && batch > 1 {
            for index in 0..batch as isize {
                // SAFETY: operands and output lie in live storage of the sizes that meta checked.
                unsafe {
                    if index == 0 {
                        gemm::batched(1, &product, start, steps);
                    } else {
                        gemm::batched(1, &product, product.c.into(), steps);
                    }
                }
                product.a.ptr = product.a.ptr.wrapping_offset(steps.a);
                product.b.ptr = product.b.ptr.wrapping_offset(steps.b);
                product.beta = <T as Gemm>::ONE;
            }
        } else {
            // SAFETY: as above.
            unsafe { gemm::batched(batch as usize, &product, start, steps) };
        }
    }, else return unsupported(op, a.dtype()));
    Ok(())
}

fn unsupported(op: &str, dtype: DType) -> Result<()> {
    fail!(
        Runtime,
        "\"{op}\" not implemented for '{}'",
        dtype.scalar_name()
    )
}

fn mm(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    multiply(
        "addmm_impl_cpu_",
        (&outs[0], Batch::of(&outs[0])),
        (x, Batch::of(x)),
        (y, Batch::of(y)),
        None,
        Scalar::Int(1),
    )
}

fn bmm(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    multiply(
        "bmm",
        (&outs[0], Batch::of(&outs[0])),
        (x, Batch::of(x)),
        (y, Batch::of(y)),
        None,
        Scalar::Int(1),
    )
}

fn mv(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    multiply(
        "addmv_impl_cpu",
        (&outs[0], Batch::of(&outs[0])),
        (x, Batch::of(x)),
        (y, Batch::of(y)),
        None,
        Scalar::Int(1),
    )
}

fn dot(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    multiply(
        "dot",
        (&outs[0], Batch::of(&outs[0])),
        (x, Batch::row(x)),
        (y, Batch::of(y)),
        None,
        Scalar::Int(1),
    )
}

fn dot_meta(a: Args) -> Result<Outs> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    ensure!(
        x.ndim() == 1 && y.ndim() == 1,
        Runtime,
        "1D tensors expected, but got {}D and {}D tensors",
        x.ndim(),
        y.ndim()
    );
    ensure!(
        x.dtype() == y.dtype(),
        Runtime,
        "dot : expected both vectors to have same dtype, but found {} and {}",
        x.dtype().scalar_name(),
        y.dtype().scalar_name()
    );
    ensure!(
        x.numel() == y.numel(),
        Runtime,
        "inconsistent tensor size, expected tensor [{}] and src [{}] to have the same number of elements, but got {} and {} elements respectively",
        x.numel(),
        y.numel(),
        x.numel(),
        y.numel()
    );
    one(&[], x.dtype())
}

fn vdot(a: Args, outs: &[Tensor]) -> Result<()> {
    let conjugated = conjugate(a.t(0)?)?;
    dot(Args(&[conjugated.into(), a.get(1).clone()]), outs)
}

/// A copy with every element conjugated; real tensors as they are.
fn conjugate(t: &Tensor) -> Result<Tensor> {
    if !t.dtype().is_complex() {
        return Ok(t.clone());
    }
    let lazy = crate::ops::flipped(t.lazy(), true, false);
    t.alias_as(t.layout().clone(), t.dtype(), lazy)?.resolved()
}

/// One result of a composition.
pub(super) fn single(v: Val) -> Result<super::Outputs> {
    Ok(smallvec![Value::Tensor(v.get()?)])
}

fn matmul(a: Args) -> Result<super::Outputs> {
    if let (2, 2) = (a.t(0)?.ndim(), a.t(1)?.ndim()) {
        return super::call(crate::entry!("mm")?, a.0);
    }
    single(matmul_of(a.t(0)?, a.t(1)?))
}

/// PyTorch's rules: vectors are rows or columns, leading dimensions are batches that broadcast.
fn matmul_of(a: &Tensor, b: &Tensor) -> Val {
    let (x, y) = (Val::from(a), Val::from(b));
    match (a.ndim(), b.ndim()) {
        (0, _) | (_, 0) => Val(Err(crate::err!(
            Runtime,
            "both arguments to matmul need to be at least 1D, but they are {}D and {}D",
            a.ndim(),
            b.ndim()
        ))),
        (1, 1) => x.dot(y),
        (2, 1) => x.mv(y),
        (1, 2) => x.unsqueeze(0).mm(y).select(0, 0),
        (n, 1) if n > 2 => fold(a, b, |rows| rows.mv(&y)),
        (n, 2) if n > 2 => fold(a, b, |rows| rows.mm(&y)),
        (1, _) => matmul_batched(&x.unsqueeze(0), &y).select(-2, 0),
        _ => matmul_batched(&x, &y),
    }
}

/// All leading dimensions of `a` as rows of one matrix.
fn fold(a: &Tensor, b: &Tensor, product: impl Fn(Val) -> Val) -> Val {
    let (lead, k) = (&a.shape()[..a.ndim() - 1], a.shape()[a.ndim() - 1]);
    let rows: i64 = lead.iter().product();
    let mut shape = lead.to_vec();
    shape.extend(&b.shape()[1..]);
    product(Val::from(a).reshape([rows, k])).reshape(shape)
}

fn matmul_batched(x: &Val, y: &Val) -> Val {
    let (xs, ys) = (x.shape().to_vec(), y.shape().to_vec());
    let ((x_lead, x_mat), (y_lead, y_mat)) = (xs.split_at(xs.len() - 2), ys.split_at(ys.len() - 2));
    let lead = match crate::tensor::broadcast_shapes(x_lead, y_lead) {
        Ok(lead) => lead,
        Err(e) => return Val(Err(e)),
    };
    let batch: i64 = lead.iter().product();
    let stack = |v: &Val, mat: &[i64]| {
        let mut shape = lead.to_vec();
        shape.extend(mat);
        v.expand(shape).reshape([batch, mat[0], mat[1]])
    };
    let mut shape = lead.to_vec();
    shape.extend([x_mat[0], y_mat[1]]);
    stack(x, x_mat).bmm(stack(y, y_mat)).reshape(shape)
}

/// The gradient of a factor needs the other one.
fn other_factor() -> SmallVec<[u32; 3]> {
    smallvec![arg(1), arg(0)]
}

ops! {
    /// Product of two matrices.
    "mm(Tensor self, Tensor mat2) -> Tensor", F | M | O | super::STRIDED,
    kernel(|a| {
        let (x, y) = (a.t(0)?, a.t(1)?);
        one(&mm_shape(x, y, "self", "mat2")?, x.dtype())
    }, mm),
    grad rule(arg(0) | arg(1), |c| grads![
        c.when(0, || c.g().mm(c.x(1).mh())),
        c.when(1, || c.x(0).mh().mm(c.g())),
    ]).each(other_factor);
    /// Products of two batches of matrices.
    "bmm(Tensor self, Tensor mat2) -> Tensor", F | M | O | super::STRIDED,
    kernel(|a| {
        let (x, y) = (a.t(0)?, a.t(1)?);
        one(&bmm_shape(x, y)?, x.dtype())
    }, bmm),
    grad rule(arg(0) | arg(1), |c| grads![
        c.when(0, || c.g().bmm(c.x(1).mh())),
        c.when(1, || c.x(0).mh().bmm(c.g())),
    ]).each(other_factor);
    /// Product of a matrix and a vector.
    "mv(Tensor self, Tensor vec) -> Tensor", F | M | O | super::STRIDED,
    kernel(|a| {
        let (x, y) = (a.t(0)?, a.t(1)?);
        one(&mv_shape(x, y)?, x.dtype())
    }, mv),
    grad rule(arg(0) | arg(1), |c| grads![
        c.when(0, || c.g().unsqueeze(1).mul(c.x(1).conj_if_complex())),
        c.when(1, || c.x(0).mh().mv(c.g())),
    ]).each(other_factor);
    /// Sum of the products of the elements of two vectors.
    "dot(Tensor self, Tensor tensor) -> Tensor", F | M | O, kernel(dot_meta, dot),
    grad rule(arg(0) | arg(1), |c| grads![
        c.when(0, || c.g().mul(c.x(1).conj_if_complex())),
        c.when(1, || c.g().mul(c.x(0).conj_if_complex())),
    ]).each(other_factor);
    /// As dot, with the first vector conjugated.
    "vdot(Tensor self, Tensor other) -> Tensor", F | M | O, kernel(dot_meta, vdot),
    grad rule(arg(0) | arg(1), |c| grads![
        c.when(0, || c.g().conj_if_complex().mul(c.x(1))),
        c.when(1, || c.g().mul(c.x(0))),
    ]).each(other_factor);
    /// Matrix product with broadcast batches; vectors count as rows or columns.
    "matmul(Tensor self, Tensor other) -> Tensor", F | M | O, super::Body::Composite(matmul);
    /// As matmul.
    "linalg.matmul(Tensor input, Tensor other) -> Tensor", F | O, super::Body::Composite(matmul);
}
