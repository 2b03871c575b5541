//! Products built on `matmul`: affine maps, contractions, powers and chains of matrices, cross products.

use super::matmul::single;
use super::{Args, Body, F, M, O, Outputs, Val, Value};
use crate::tensor::{Tensor, wrap_dim};
use crate::{Result, call, ensure, fail, ops};

fn linear(a: Args) -> Result<Outputs> {
    let (input, weight, bias) = (a.t(0)?, a.t(1)?, a.opt_t(2)?);
    let Some(bias) = bias else {
        return single(Val::from(input).matmul(transposed(weight)));
    };
    let n = input.ndim();
    if n == 2 && weight.ndim() == 2 {
        return single(Val(call!("addmm", bias, input, transposed(weight))));
    }
    if n == 3 && weight.ndim() == 2 && input.is_contiguous() && bias.ndim() == 1 {
        let s = input.shape();
        let rows = Val::from(input).reshape([s[0] * s[1], s[2]]);
        let out = Val(call!("addmm", bias, rows, transposed(weight)));
        return single(out.reshape([s[0], s[1], weight.shape()[0]]));
    }
    single(Val::from(input).matmul(transposed(weight)).add(bias))
}

fn transposed(weight: &Tensor) -> Val {
    if weight.ndim() < 2 {
        weight.into()
    } else {
        Val::from(weight).t()
    }
}

fn bilinear(a: Args) -> Result<Outputs> {
    let (x1, x2, weight, bias) = (a.t(0)?, a.t(1)?, a.t(2)?, a.opt_t(3)?);
    let (n1, n2, w) = (x1.ndim(), x2.ndim(), weight.shape());
    ensure!(
        n1 == n2,
        Runtime,
        "bilinear(): input dimensions do not match: got {n1} and {n2}"
    );
    ensure!(
        n1 > 0 && w.len() == 3 && x1.shape()[..n1 - 1] == x2.shape()[..n2 - 1],
        Runtime,
        "bilinear(): input batch dimensions do not match: got {:?} and {:?}",
        x1.shape(),
        x2.shape()
    );
    let (last1, last2) = (x1.shape()[n1 - 1], x2.shape()[n2 - 1]);
    ensure!(
        last1 == w[1],
        Runtime,
        "bilinear(): input1 size does not match weight size: got {last1} but expected {}",
        w[1]
    );
    ensure!(
        last2 == w[2],
        Runtime,
        "bilinear(): input2 size does not match weight size: got {last2} but expected {}",
        w[2]
    );
    let rows: i64 = x1.shape()[..n1 - 1].iter().product();
    let mixed = Val::from(weight)
        .permute([1, 0, 2])
        .reshape([w[1], w[0] * w[2]]);
    let left = Val::from(x1)
        .reshape([rows, w[1]])
        .mm(mixed)
        .reshape([rows, w[0], w[2]]);
    let out = left.bmm(Val::from(x2).reshape([rows, w[2], 1]));
    let mut shape = x1.shape()[..n1 - 1].to_vec();
    shape.push(w[0]);
    let out = out.reshape(shape);
    single(match bias {
        Some(bias) => out.add(bias),
        None => out,
    })
}

fn tensordot(a: Args) -> Result<Outputs> {
    let (x, y, dims_x, dims_y) = (a.t(0)?, a.t(1)?, a.ints(2)?, a.ints(3)?);
    ensure!(
        dims_x.len() == dims_y.len(),
        Runtime,
        "both dimension lists should have same length"
    );
    let wrap = |dims: &[i64], t: &Tensor| -> Result<Vec<i64>> {
        let wrapped: Vec<i64> = dims
            .iter()
            .map(|&d| wrap_dim(d, t.ndim()).map(|d| d as i64))
            .collect::<Result<_>>()?;
        for (i, d) in wrapped.iter().enumerate() {
            ensure!(
                !wrapped[..i].contains(d),
                Runtime,
                "dim {d} appears multiple times in the list of dims"
            );
        }
        Ok(wrapped)
    };
    let (dims_x, dims_y) = (wrap(dims_x, x)?, wrap(dims_y, y)?);
    let (mut vx, mut vy) = (Val::from(x), Val::from(y));
    let mut summed = 1;
    for (&d, &e) in dims_x.iter().zip(&dims_y) {
        match (vx.shape()[d as usize], vy.shape()[e as usize]) {
            (1, 1) => {}
            (1, _) => vy = vy.sum([e], true),
            (_, 1) => vx = vx.sum([d], true),
            (m, n) => {
                ensure!(
                    m == n,
                    Runtime,
                    "contracted dimensions need to match, but first has size {m} in dim {d} and second has size {n} in dim {e}"
                );
                summed *= m;
            }
        }
    }
    let free = |v: &Val, dims: &[i64]| -> Vec<i64> {
        (0..v.ndim() as i64).filter(|d| !dims.contains(d)).collect()
    };
    let (free_x, free_y) = (free(&vx, &dims_x), free(&vy, &dims_y));
    let sizes = |v: &Val, dims: &[i64]| -> Vec<i64> {
        dims.iter().map(|&d| v.shape()[d as usize]).collect()
    };
    let (size_x, size_y) = (sizes(&vx, &free_x), sizes(&vy, &free_y));
    let left = vx
        .permute([free_x, dims_x].concat())
        .reshape([size_x.iter().product(), summed]);
    let right = vy
        .permute([dims_y, free_y].concat())
        .reshape([summed, size_y.iter().product()]);
    single(left.mm(right).reshape([size_x, size_y].concat()))
}

/// The product of a chain in the cheapest order; a vector may stand at either end.
fn multi_dot(a: Args) -> Result<Outputs> {
    let list = a.ts(0)?;
    ensure!(
        list.len() >= 2,
        Runtime,
        "multi_dot(): expected at least 2 tensors but got {}",
        list.len()
    );
    let mut chain: Vec<Val> = list.iter().map(Val::from).collect();
    for (i, v) in chain.iter().enumerate() {
        let end = i == 0 || i == list.len() - 1;
        ensure!(
            v.ndim() == 2 || (end && v.ndim() == 1),
            Runtime,
            "multi_dot(): tensor {i} must be {} but got {}D",
            if end { "1D or 2D" } else { "2D" },
            v.ndim()
        );
    }
    let (row, column) = (chain[0].ndim() == 1, chain[list.len() - 1].ndim() == 1);
    if row {
        chain[0] = chain[0].unsqueeze(0);
    }
    if column {
        let last = chain.len() - 1;
        chain[last] = chain[last].unsqueeze(1);
    }
    for i in 1..chain.len() {
        let (left, right) = (chain[i - 1].shape(), chain[i].shape());
        ensure!(
            left[1] == right[0],
            Runtime,
            "multi_dot(): tensors {} and {i} with shapes {left:?} and {right:?} cannot be multiplied",
            i - 1
        );
    }
    let mut out = multiply_chain(&chain, &cheapest_splits(&chain), 0, chain.len() - 1);
    if row {
        out = out.select(0, 0);
    }
    if column {
        out = out.select(-1, 0);
    }
    single(out)
}

/// Where to split each sub-chain, by the textbook dynamic programme.
fn cheapest_splits(chain: &[Val]) -> Vec<Vec<usize>> {
    let n = chain.len();
    let size = |i: usize| {
        if i == 0 {
            chain[0].shape()[0]
        } else {
            chain[i - 1].shape()[1]
        }
    };
    let (mut cost, mut split) = (vec![vec![0i64; n]; n], vec![vec![0; n]; n]);
    for length in 2..=n {
        for i in 0..=n - length {
            let j = i + length - 1;
            let price = |k: usize, cost: &[Vec<i64>]| {
                cost[i][k] + cost[k + 1][j] + size(i) * size(k + 1) * size(j + 1)
            };
            let best = (i..j).min_by_key(|&k| price(k, &cost)).unwrap_or(i);
            (cost[i][j], split[i][j]) = (price(best, &cost), best);
        }
    }
    split
}

fn multiply_chain(chain: &[Val], split: &[Vec<usize>], i: usize, j: usize) -> Val {
    if i == j {
        return chain[i].clone();
    }
    let k = split[i][j];
    multiply_chain(chain, split, i, k).mm(multiply_chain(chain, split, k + 1, j))
}

fn chain_matmul(a: Args) -> Result<Outputs> {
    let list = a.ts(0)?;
    for t in list {
        ensure!(
            t.ndim() == 2,
            Runtime,
            "Tensor dimension is {}, expected 2 instead.",
            t.ndim()
        );
    }
    if list.len() == 1 {
        return single(Val::from(&list[0]));
    }
    multi_dot(a)
}

/// Powers of square matrices by repeated squaring.
fn matrix_power(a: Args) -> Result<Outputs> {
    let (x, n) = (a.t(0)?, a.int(1)?);
    square_matrix(x, "linalg.matrix_power")?;
    let size = x.shape()[x.ndim() - 1];
    if n == 0 {
        let eye = Val::from(x).eye(size, size, x.dtype());
        // Zeros below the matrix: the result depends on it, with a gradient of zero.
        return single(Val::from(x).tril(-size).add(eye));
    }
    let mut base = if n > 0 {
        Val::from(x)
    } else {
        Val(call!("linalg.inv", x))
    };
    let mut rest = n.unsigned_abs();
    let mut result: Option<Val> = None;
    while rest > 0 {
        if rest & 1 == 1 {
            result = Some(result.map_or_else(|| base.clone(), |r| r.matmul(&base)));
        }
        rest >>= 1;
        if rest > 0 {
            base = base.matmul(&base);
        }
    }
    let result = result.unwrap_or(base);
    single(if n.abs() == 1 && n > 0 {
        Val(call!("clone", result))
    } else {
        result
    })
}

/// The last two dimensions are equal and there are at least two.
pub(super) fn square_matrix(x: &Tensor, op: &str) -> Result<()> {
    ensure!(
        x.ndim() >= 2,
        Runtime,
        "{op}: The input tensor A must have at least 2 dimensions."
    );
    let (rows, cols) = (x.shape()[x.ndim() - 2], x.shape()[x.ndim() - 1]);
    ensure!(
        rows == cols,
        Runtime,
        "{op}: A must be batches of square matrices, but they are {rows} by {cols} matrices"
    );
    Ok(())
}

fn vecdot(a: Args) -> Result<Outputs> {
    let (x, y, dim) = (Val::from(a.t(0)?), a.t(1)?, a.int(2)?);
    single(x.conj_if_complex().mul(y).sum([dim], false))
}

/// The vector product along a dimension of size 3.
fn linalg_cross(a: Args) -> Result<Outputs> {
    cross_along(a.t(0)?, a.t(1)?, a.int(2)?)
}

fn cross_along(x: &Tensor, y: &Tensor, dim: i64) -> Result<Outputs> {
    ensure!(
        x.ndim() == y.ndim(),
        Runtime,
        "linalg.cross: inputs must have the same number of dimensions."
    );
    let d = wrap_dim(dim, x.ndim())?;
    ensure!(
        x.shape().get(d) == Some(&3) && y.shape()[d] == 3,
        Runtime,
        "linalg.cross: inputs dimension {dim} must have length 3. Got {} and {}",
        x.shape().get(d).copied().unwrap_or(1),
        y.shape().get(d).copied().unwrap_or(1)
    );
    // Component i of `x y' - x' y`, where the prime stands for the next component, is the one after the next of the product.
    let (x, y) = (Val::from(x), Val::from(y));
    let next = |v: &Val| Val(call!("roll", v, [-1i64], [d as i64]));
    single(next(&x.mul(next(&y)).sub(next(&x).mul(&y))))
}

fn cross(a: Args) -> Result<Outputs> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    if let Some(dim) = a.opt_int(2)? {
        return cross_along(x, y, dim);
    }
    let shape = crate::tensor::broadcast_shapes(x.shape(), y.shape())?;
    let Some(dim) = shape.iter().position(|&s| s == 3) else {
        fail!(Runtime, "no dimension of size 3 in input");
    };
    cross_along(x, y, dim as i64)
}

fn pairwise_distance(a: Args) -> Result<Outputs> {
    let difference = Val::from(a.t(0)?).sub(a.t(1)?).add(a.float(3)?);
    let last = Value::Ints(vec![-1]);
    single(Val(call!(
        "linalg.vector_norm",
        difference,
        a.float(2)?,
        last,
        a.bool(4)?
    )))
}

fn vander(a: Args) -> Result<Outputs> {
    let x = &if a.t(0)?.ndim() == 0 {
        Val::from(a.t(0)?).reshape([1i64]).get()?
    } else {
        a.t(0)?.clone()
    };
    let last = x.shape()[x.ndim() - 1];
    let n = a.opt_int(1)?.unwrap_or(last);
    ensure!(n > 1, Runtime, "N must be greater than 1.");
    let mut shape = x.shape().to_vec();
    shape.push(n - 1);
    let v = Val::from(x).unsqueeze(-1);
    let v = if x.dtype().is_integral(true) {
        v.to(crate::DType::I64)
    } else {
        v
    };
    let powers = Val(call!("cumprod", v.expand(shape), -1));
    let ones = powers.narrow(-1, 0, 1).ones_like();
    let parts = vec![ones.get()?, powers.get()?];
    single(Val(call!("cat", parts, -1)))
}

ops! {
    /// `input @ weight.T + bias`.
    "nn.functional.linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor", F, Body::Composite(linear);
    /// `x1 @ weight[k] @ x2 + bias` for each output feature k.
    "bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor", F, Body::Composite(bilinear);
    /// Contraction over given dimensions of both inputs.
    "tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor", F | O, Body::Composite(tensordot);
    /// Product of a chain of matrices in the order that costs least.
    "linalg.multi_dot(Tensor[] tensors) -> Tensor", F | O, Body::Composite(multi_dot);
    /// Product of a chain of matrices.
    "chain_matmul(Tensor[] matrices) -> Tensor", F | O, Body::Composite(chain_matmul);
    /// Integer power of square matrices.
    "linalg.matrix_power(Tensor self, int n) -> Tensor", F | O, Body::Composite(matrix_power);
    /// Integer power of square matrices.
    "matrix_power(Tensor self, int n) -> Tensor", F | M | O, Body::Composite(matrix_power);
    /// Dot products of vectors along a dimension, the first conjugated.
    "linalg.vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor", F | O, Body::Composite(vecdot);
    /// Vector product along a dimension of size 3.
    "linalg.cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor", F | O, Body::Composite(linalg_cross);
    /// Vector product along a dimension of size 3, the first such by default.
    "cross(Tensor self, Tensor other, int? dim=None) -> Tensor", F | M | O, Body::Composite(cross);
    /// The p-norm of the differences of vectors.
    "pairwise_distance(Tensor x1, Tensor x2, float p=2.0, float eps=1e-06, bool keepdim=False) -> Tensor", F, Body::Composite(pairwise_distance);
    /// Vandermonde matrix: powers of the elements.
    "linalg.vander(Tensor x, *, int? N=None) -> Tensor", F, Body::Composite(vander);
}
