//! Short-time Fourier transforms, over `fft`.

use super::matmul::single;
use super::{Args, Body, F, M, Outputs, Val, Value};
use crate::tensor::Tensor;
use crate::{Result, call, ensure, fail, ops};

/// The window at the length of a frame, ones where none is given.
fn window(given: Option<&Tensor>, length: i64, n_fft: i64, x: &Tensor) -> Result<Val> {
    let w = match given {
        Some(w) => {
            ensure!(
                w.ndim() == 1 && w.numel() == length,
                Runtime,
                "stft(...): expected a 1D window tensor of size equal to win_length={length}, but got window with size {:?}",
                w.shape()
            );
            Val::from(w)
        }
        None => Val::from(x).new_ones([length], x.dtype().to_real()),
    };
    let left = (n_fft - length) / 2;
    Ok(if length == n_fft {
        w
    } else {
        Val(call!(
            "constant_pad_nd",
            w,
            [left, n_fft - length - left],
            0i64
        ))
    })
}

/// Arguments (self, n_fft, hop_length, win_length, window, center, pad_mode, normalized, onesided, return_complex, align_to_window).
fn stft(a: Args) -> Result<Outputs> {
    let (x, n_fft) = (a.t(0)?, a.int(1)?);
    let hop = a.opt_int(2)?.unwrap_or(n_fft / 4);
    let length = a.opt_int(3)?.unwrap_or(n_fft);
    let complex = x.dtype().is_complex() || a.opt_t(4)?.is_some_and(|w| w.dtype().is_complex());
    let onesided = a.opt_bool(8)?.unwrap_or(!complex);
    let Some(as_complex) = a.opt_bool(9)?.or(complex.then_some(true)) else {
        fail!(
            Runtime,
            "stft requires the return_complex parameter be given for real inputs, and will further require that return_complex=True in a future PyTorch release."
        );
    };
    ensure!(
        x.dtype().is_differentiable(),
        Runtime,
        "stft(torch.{}Tensor{:?}): expected a tensor of floating point or complex values",
        x.dtype().scalar_name(),
        x.shape()
    );
    ensure!(
        (1..=2).contains(&x.ndim()),
        Runtime,
        "stft: expected a 1D or 2D tensor"
    );
    let mut v = if x.ndim() == 1 {
        Val::from(x).unsqueeze(0)
    } else {
        x.into()
    };
    if a.bool(5)? {
        let pad = vec![n_fft / 2; 2];
        v = Val(call!("nn.functional.pad", v.unsqueeze(1), pad, a.str(6)?)).select(1, 0);
    }
    let samples = v.shape()[1];
    ensure!(
        n_fft > 0 && n_fft <= samples,
        Runtime,
        "stft: expected 0 < n_fft < {samples}, but got n_fft={n_fft}"
    );
    ensure!(
        hop > 0,
        Runtime,
        "stft: expected hop_length > 0, but got hop_length={hop}"
    );
    ensure!(
        length > 0 && length <= n_fft,
        Runtime,
        "stft: expected 0 < win_length <= n_fft, but got win_length={length}"
    );
    let w = window(a.opt_t(4)?, length, n_fft, x)?;
    let frames = Val(call!("unfold", v, -1, n_fft, hop)).mul(w);
    let norm = if a.bool(7)? { "ortho" } else { "backward" };
    let spectrum = if complex {
        ensure!(
            !onesided,
            Runtime,
            "Cannot have onesided output if window or input is complex"
        );
        Val(call!("fft.fft", frames, Value::None, -1, norm))
    } else if onesided {
        Val(call!("fft.rfft", frames, Value::None, -1, norm))
    } else {
        Val(call!("fft.fft", frames, Value::None, -1, norm))
    };
    let mut out = spectrum.transpose(1, 2);
    if x.ndim() == 1 {
        out = out.select(0, 0);
    }
    single(if as_complex { out } else { out.view_as_real() })
}

/// Arguments (self, n_fft, hop_length, win_length, window, center, normalized, onesided, length, return_complex).
fn istft(a: Args) -> Result<Outputs> {
    let (x, n_fft) = (a.t(0)?, a.int(1)?);
    let hop = a.opt_int(2)?.unwrap_or(n_fft / 4);
    let length = a.opt_int(3)?.unwrap_or(n_fft);
    ensure!(
        x.dtype().is_complex(),
        Runtime,
        "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
    );
    ensure!(
        (2..=3).contains(&x.ndim()),
        Runtime,
        "istft: expected a tensor with 2 or 3 dimensions, but got {}",
        x.ndim()
    );
    let onesided = a.opt_bool(7)?.unwrap_or(x.shape()[x.ndim() - 2] != n_fft);
    let v = if x.ndim() == 2 {
        Val::from(x).unsqueeze(0)
    } else {
        x.into()
    };
    let count = v.shape()[2];
    ensure!(
        hop > 0 && hop <= length,
        Runtime,
        "istft: expected 0 < hop_length <= win_length"
    );
    ensure!(
        length > 0 && length <= n_fft,
        Runtime,
        "istft: expected 0 < win_length <= n_fft"
    );
    let w = window(a.opt_t(4)?, length, n_fft, x)?;
    let norm = if a.bool(6)? { "ortho" } else { "backward" };
    let spectrum = v.transpose(1, 2);
    let frames = if a.bool(9)? {
        Val(call!("fft.ifft", spectrum, Value::None, -1, norm))
    } else if onesided {
        Val(call!("fft.irfft", spectrum, n_fft, -1, norm))
    } else {
        Val(call!("fft.ifft", spectrum, Value::None, -1, norm)).real()
    };
    let total = n_fft + hop * (count - 1);
    let places: Vec<i64> = (0..count)
        .flat_map(|f| (0..n_fft).map(move |i| f * hop + i))
        .collect();
    let places = v.beside(&places, &[count * n_fft]);
    let overlap = |frames: Val| {
        let rows = frames.shape()[0];
        let zeros = frames.new_zeros([rows, total], frames.dtype());
        zeros.index_add(1, &places, frames.reshape([rows, count * n_fft]))
    };
    let weights = w.square().unsqueeze(0).expand([count, n_fft]).unsqueeze(0);
    let (signal, envelope) = (overlap(frames.mul(&w)), overlap(weights));
    let wanted = a.opt_int(8)?;
    let start = if a.bool(5)? { n_fft / 2 } else { 0 };
    let end = match wanted {
        Some(n) => (start + n).min(total),
        None if start > 0 => total - n_fft / 2,
        None => total,
    };
    let cut = |v: Val| v.narrow(1, start, end - start);
    let envelope = cut(envelope);
    let smallest = call!("amin", envelope.abs(), Vec::<i64>::new(), false)?
        .item()?
        .to_f64();
    ensure!(
        smallest > 1e-11,
        Runtime,
        "window overlap add min: {smallest}"
    );
    let mut out = cut(signal).div(envelope);
    if let Some(n) = wanted.filter(|&n| n > end - start) {
        out = Val(call!("constant_pad_nd", out, [0, n - (end - start)], 0i64));
    }
    single(if x.ndim() == 2 { out.select(0, 0) } else { out })
}

ops! {
    /// Short-time Fourier transform of a signal.
    "stft(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool center=True, str pad_mode='reflect', bool normalized=False, bool? onesided=None, bool? return_complex=None, bool? align_to_window=None) -> Tensor",
    F | M, Body::Composite(stft);
    /// The signal of a short-time Fourier transform.
    "istft(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool center=True, bool normalized=False, bool? onesided=None, int? length=None, bool return_complex=False) -> Tensor",
    F | M, Body::Composite(istft);
}
