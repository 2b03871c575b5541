//! Indices drawn by weight.

use smallvec::smallvec;

use super::random::with_generator;
use super::random_real::draw_as;
use super::{Args, Out, Outs};
use crate::cpu::random_choice::{self, BadWeights};
use crate::cpu::random_fill as fills;
use crate::tensor::{DType, FromScalar, Scalar, Tensor};
use crate::{Result, call, dispatch, ensure, err};

pub(super) fn meta_multinomial(args: Args) -> Result<Outs> {
    let (p, count, replacement) = (args.t(0)?, args.int(1)?, args.bool(2)?);
    ensure!(
        (1..=2).contains(&p.ndim()),
        Runtime,
        "prob_dist must be 1 or 2 dim"
    );
    ensure!(
        p.dtype().is_float(),
        Runtime,
        "multinomial only supports floating-point dtypes for input, got: {}",
        p.dtype().scalar_name()
    );
    ensure!(count > 0, Runtime, "cannot sample n_sample <= 0 samples");
    let categories = p.shape()[p.ndim() - 1];
    ensure!(
        replacement || count <= categories,
        Runtime,
        "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
    );
    ensure!(
        categories <= 1 << 24,
        Runtime,
        "number of categories cannot exceed 2^24"
    );
    let mut shape = p.layout().shape.clone();
    shape[p.ndim() - 1] = count;
    Ok(smallvec![Out::new(&shape, DType::I64)])
}

pub(super) fn run_multinomial(args: Args, outs: &[Tensor]) -> Result<()> {
    // SAFETY: the output is fresh or checked not to overlap the input.
    let out = unsafe { outs[0].as_mut_slice::<i64>()? };
    if out.is_empty() {
        return Ok(());
    }
    let (p, count) = (args.t(0)?, args.int(1)? as usize);
    // A single draw does not need replacing.
    if args.bool(2)? && count > 1 {
        with_replacement(args, p, out, count)
    } else {
        without_replacement(args, p, out, count)
    }
}

fn with_replacement(args: Args, p: &Tensor, out: &mut [i64], count: usize) -> Result<()> {
    let categories = p.shape()[p.ndim() - 1] as usize;
    macro_rules! rows {
        ($T:ty, $draw:path) => {{
            let weights = p.to_vec::<$T>()?;
            let mut sums = vec![0.0; categories];
            with_generator(args, 3, |g| {
                let mut rows = out.chunks_mut(count).zip(weights.chunks(categories));
                rows.try_for_each(|(out, weights)| $draw(g, out, weights, &mut sums))
            })?
        }};
    }
    let drawn = if p.dtype() == DType::F64 {
        rows!(f64, random_choice::multinomial_f64)
    } else {
        rows!(f32, random_choice::multinomial_f32)
    };
    drawn.map_err(|why| {
        let why = match why {
            BadWeights::Negative => "encountering probability entry < 0",
            BadWeights::NotFinite => "encountering probability entry = infinity or NaN",
            BadWeights::ZeroSum => "sum of probabilities <= 0",
        };
        err!(Runtime, "invalid multinomial distribution ({why})")
    })
}

/// Divides the weights by exponential samples: the largest quotients are the sample.
fn without_replacement(args: Args, p: &Tensor, out: &mut [i64], count: usize) -> Result<()> {
    let categories = p.shape()[p.ndim() - 1] as usize;
    let weights = p.to_vec::<f64>()?;
    ensure!(
        weights.iter().all(|&w| w >= 0.0 && w.is_finite()),
        Runtime,
        "probability tensor contains either `inf`, `nan` or element < 0"
    );
    ensure!(
        weights
            .chunks(categories)
            .all(|row| row.iter().any(|&w| w > 0.0)),
        Runtime,
        "invalid multinomial distribution (sum of probabilities <= 0)"
    );
    let noise: Tensor = call!("empty_like", p)?;
    draw_as(&noise, args, 3, &mut |g, out| {
        fills::exponential(g, out, 1.0, true);
    })?;
    let narrow = |v: f64| dispatch!(float p.dtype(), T => T::from_scalar(Scalar::Float(v)).to_scalar().to_f64(), else v);
    let scores: Vec<f64> = weights
        .iter()
        .zip(noise.to_vec::<f64>()?)
        .map(|(w, q)| narrow(w / q))
        .collect();
    for (out, row) in out.chunks_mut(count).zip(scores.chunks(categories)) {
        let mut order: Vec<usize> = (0..categories).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        out.iter_mut().zip(order).for_each(|(o, i)| *o = i as i64);
    }
    Ok(())
}
