//! Tensors built of several: grids, products, block matrices, powers.

use smallvec::smallvec;

use super::options::one;
use super::view::beside;
use super::{Args, Body, F, Outputs, Val, Value, result_type};
use crate::tensor::{DType, Tensor, check_room};
use crate::{Result, call, ensure, error, fail, ops};

/// Every input, expanded along the dimension of its own.
fn grid(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
    let shape: Vec<i64> = tensors.iter().map(Tensor::numel).collect();
    let expand = |(d, t): (usize, &Tensor)| {
        let mut own = vec![1; tensors.len()];
        own[d] = t.numel();
        call!(
            "expand",
            call!("reshape", t, own.as_slice()),
            shape.as_slice()
        )
    };
    tensors.iter().enumerate().map(expand).collect()
}

fn meshgrid(args: Args) -> Result<Outputs> {
    let (tensors, indexing) = (args.ts(0)?, args.opt_str(1)?);
    let Some(first) = tensors.first() else {
        fail!(Runtime, "meshgrid expects a non-empty TensorList")
    };
    for t in tensors {
        ensure!(
            t.ndim() <= 1,
            Runtime,
            "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {:?}",
            t.shape()
        );
        ensure!(
            t.dtype() == first.dtype(),
            Runtime,
            "torch.meshgrid expects all tensors to have the same dtype"
        );
        ensure!(
            t.device() == first.device(),
            Runtime,
            "torch.meshgrid expects all tensors to have the same device"
        );
    }
    let swap = match indexing {
        Some("xy") => tensors.len() >= 2,
        Some("ij") => false,
        Some(other) => {
            fail!(
                Runtime,
                "torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received: {other}"
            )
        }
        None => {
            error::warn(
                "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.",
            )?;
            false
        }
    };
    if !swap {
        return Ok(smallvec![Value::Tensors(grid(tensors)?)]);
    }
    let mut swapped = tensors.to_vec();
    swapped.swap(0, 1);
    let mut grids = grid(&swapped)?;
    grids.swap(0, 1);
    Ok(smallvec![Value::Tensors(grids)])
}

fn check_vector(t: &Tensor) -> Result<()> {
    ensure!(
        t.ndim() == 1,
        Runtime,
        "Expect a 1D vector, but got shape {:?}",
        t.shape()
    );
    Ok(())
}

fn cartesian_prod(args: Args) -> Result<Outputs> {
    let tensors = args.ts(0)?;
    tensors.iter().try_for_each(check_vector)?;
    match tensors {
        [] => fail!(Runtime, "meshgrid expects a non-empty TensorList"),
        [only] => one(only.clone()),
        _ => {
            let flat = grid(tensors)?
                .iter()
                .map(|t| call!("reshape", t, [-1]))
                .collect::<Result<Vec<_>>>()?;
            one(call!("stack", flat, 1)?)
        }
    }
}

/// Advances `picks`, increasing positions below `n` (or non-decreasing ones); false after the last.
fn next_combination(picks: &mut [i64], n: i64, repeat: bool) -> bool {
    let r = picks.len();
    for i in (0..r).rev() {
        let top = if repeat { n - 1 } else { n - (r - i) as i64 };
        if picks[i] < top {
            picks[i] += 1;
            for j in i + 1..r {
                picks[j] = if repeat { picks[i] } else { picks[j - 1] + 1 };
            }
            return true;
        }
    }
    false
}

/// n over r, at most `i64::MAX`.
fn count_combinations(n: i64, r: i64) -> i64 {
    let mut count = 1i128;
    for i in 0..i128::from(r.min(n.saturating_sub(r)).max(0)) {
        count = count * (i128::from(n) - i) / (i + 1);
        if count > i128::from(i64::MAX) {
            return i64::MAX;
        }
    }
    count as i64
}

fn combinations(args: Args) -> Result<Outputs> {
    let (x, r, repeat) = (args.t(0)?, args.int(1)?, args.bool(2)?);
    check_vector(x)?;
    ensure!(r >= 0, Runtime, "Expect a non-negative number, but got {r}");
    let n = x.numel();
    if r == 0 {
        return one(call!("new_empty", x, [0])?);
    }
    let count = count_combinations(if repeat { n.saturating_add(r - 1) } else { n }, r);
    check_room(count.saturating_mul(r), DType::I64)?;
    let mut indices = Vec::new();
    let mut picks: Vec<i64> = (0..r).map(|i| if repeat { 0 } else { i }).collect();
    if n > 0 && (repeat || r <= n) {
        indices.extend_from_slice(&picks);
        while next_combination(&mut picks, n, repeat) {
            indices.extend_from_slice(&picks);
        }
    }
    let rows = indices.len() as i64 / r;
    let index = beside(&indices, &[indices.len() as i64], x)?;
    one(call!(
        "reshape",
        call!("index_select", x, 0, index),
        [rows, r]
    )?)
}

fn block_diag(args: Args) -> Result<Outputs> {
    let tensors = args.ts(0)?;
    let Some(first) = tensors.first() else {
        return one(Tensor::empty(&[1, 0], crate::tensor::default_dtype())?);
    };
    let operands: Vec<Value> = tensors.iter().map(Value::from).collect();
    let dtype = result_type(&operands)?;
    let mut blocks = Vec::new();
    for (i, t) in tensors.iter().enumerate() {
        ensure!(
            t.ndim() <= 2,
            Runtime,
            "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {} dimensions",
            t.ndim()
        );
        ensure!(
            t.device() == first.device(),
            Runtime,
            "torch.block_diag: input tensors must all be on the same device."
        );
        let t = Val::from(t).to(dtype).get()?;
        blocks.push(if t.ndim() == 2 {
            t
        } else {
            call!("reshape", &t, [1, t.numel()])?
        });
    }
    let width: i64 = blocks.iter().map(|b| b.shape()[1]).sum();
    let (mut rows, mut left) = (Vec::new(), 0);
    for block in blocks {
        let (height, columns) = (block.shape()[0], block.shape()[1]);
        let zeros = |n: i64| call!("new_zeros", &block, [height, n]);
        let parts = vec![zeros(left)?, block.clone(), zeros(width - left - columns)?];
        rows.push(call!("cat", parts, 1)?);
        left += columns;
    }
    one(call!("cat", rows, 0)?)
}

fn vander(args: Args) -> Result<Outputs> {
    let (x, columns, increasing) = (args.t(0)?, args.opt_int(1)?, args.bool(2)?);
    ensure!(
        x.ndim() == 1,
        Runtime,
        "x must be a one-dimensional tensor."
    );
    let columns = columns.unwrap_or(x.numel());
    ensure!(columns >= 0, Runtime, "N must be non-negative.");
    let x = Val::from(x).to(x.dtype().promote(DType::I64)?);
    let n = x.get()?;
    let ones = call!("new_ones", &n, [n.numel(), columns.min(1)])?;
    if columns < 2 {
        return one(ones);
    }
    let repeated = Val(call!(
        "expand",
        call!("unsqueeze", &n, 1),
        [n.numel(), columns - 1]
    ));
    let powers = call!("cat", vec![ones, repeated.cumprod_along(1).get()?], 1)?;
    one(if increasing {
        powers
    } else {
        call!("flip", powers, [1])?
    })
}

impl Val {
    fn cumprod_along(&self, dim: i64) -> Val {
        Val(call!("cumprod", self, dim))
    }
}

ops! {
    /// The grids of coordinates that the vectors span, one for each vector.
    "meshgrid(Tensor[] tensors, *, str? indexing=None) -> Tensor[]", F, Body::Composite(meshgrid);

    /// All tuples of one element of each vector, one per row.
    "cartesian_prod(Tensor[] tensors) -> Tensor", F, Body::Composite(cartesian_prod);

    /// All combinations of `r` elements of a vector, one per row.
    "combinations(Tensor self, int r=2, bool with_replacement=False) -> Tensor", F, Body::Composite(combinations);

    /// The matrix with the given matrices along its diagonal and zeros elsewhere.
    "block_diag(Tensor[] tensors=[]) -> Tensor", F, Body::Composite(block_diag);

    /// The powers of the elements of a vector, one row for each element.
    "vander(Tensor x, int? N=None, bool increasing=False) -> Tensor", F, Body::Composite(vander);
}
