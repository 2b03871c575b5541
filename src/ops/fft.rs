//! Discrete Fourier transforms: the forms of `torch.fft` as compositions over the primitives of
//! [`super::fft_primitives`].

use super::matmul::single;
use super::options::Options;
use super::{Args, Body, F, O, Outputs, Val};
use crate::tensor::{DType, Tensor, default_dtype, wrap_dim};
use crate::{Result, call, ensure, fail, ops};

fn transform(x: &Val, dims: &[i64], scale: f64, forward: bool) -> Val {
    if dims.is_empty() {
        return x.clone();
    }
    Val(call!("_fft_c2c", x, dims.to_vec(), scale, forward))
}

/// The factor of a normalisation mode for `n` points.
fn scale(norm: Option<&str>, n: i64, forward: bool) -> Result<f64> {
    let n = n as f64;
    Ok(match (norm.unwrap_or("backward"), forward) {
        ("backward", true) | ("forward", false) => 1.0,
        ("backward", false) | ("forward", true) => 1.0 / n,
        ("ortho", _) => 1.0 / n.sqrt(),
        (other, _) => fail!(Runtime, "Invalid normalization mode: \"{other}\""),
    })
}

/// The input as the float that transforms take: integers become the default dtype.
fn promoted(x: &Tensor, op: &str) -> Result<Val> {
    let dtype = if x.dtype().is_integral(true) {
        default_dtype()
    } else {
        x.dtype()
    };
    ensure!(
        !matches!(dtype, DType::F16 | DType::BF16),
        Runtime,
        "{op}: Unsupported dtype {}",
        dtype.scalar_name()
    );
    Ok(Val::from(x).to(dtype))
}

fn complex(v: &Val) -> Val {
    v.to(v.dtype().to_complex())
}

fn real_only(x: &Tensor, op: &str) -> Result<()> {
    ensure!(
        !x.dtype().is_complex(),
        Runtime,
        "{op} expects a real input tensor, but got {}",
        x.dtype().scalar_name()
    );
    Ok(())
}

/// Cuts or pads with zeros to a size along a dimension.
pub(super) fn resized(v: Val, dim: usize, n: i64) -> Val {
    let size = v.shape().get(dim).copied().unwrap_or(1);
    if n <= size {
        return if n == size {
            v
        } else {
            v.narrow(dim as i64, 0, n)
        };
    }
    let mut pad = vec![0; 2 * (v.ndim() - dim)];
    let end = pad.len() - 1;
    pad[end] = n - size;
    Val(call!("constant_pad_nd", v, pad, 0i64))
}

fn check_points(n: i64) -> Result<i64> {
    ensure!(
        n >= 1,
        Runtime,
        "Invalid number of data points ({n}) specified"
    );
    Ok(n)
}

/// The dimensions to transform and the sizes to give them, from the arguments `s` and `dim`.
struct Plan {
    dims: Vec<usize>,
    sizes: Vec<i64>,
    /// Was the last size given?
    last_given: bool,
}

fn plan(x: &Tensor, s: Option<&[i64]>, dim: Option<&[i64]>) -> Result<Plan> {
    let n = x.ndim();
    if let (Some([first, ..]), 0) = (dim, n) {
        fail!(
            Index,
            "Dimension specified as {first} but tensor has no dimensions"
        );
    }
    let dims: Vec<usize> = match (dim, s) {
        (Some(dim), _) => dim.iter().map(|&d| wrap_dim(d, n)).collect::<Result<_>>()?,
        (None, Some(s)) => {
            ensure!(
                s.len() <= n,
                Runtime,
                "Got shape with {} values but input tensor only has {n} dimensions.",
                s.len()
            );
            (n - s.len()..n).collect()
        }
        (None, None) => (0..n).collect(),
    };
    for (i, d) in dims.iter().enumerate() {
        ensure!(!dims[..i].contains(d), Runtime, "FFT dims must be unique");
    }
    let own = |d: &usize| x.shape().get(*d).copied().unwrap_or(1);
    let sizes: Vec<i64> = match s {
        None => dims.iter().map(own).collect(),
        Some(s) => {
            ensure!(
                s.len() == dims.len(),
                Runtime,
                "When given, dim and shape arguments must have the same length"
            );
            s.iter()
                .zip(&dims)
                .map(|(&s, d)| if s == -1 { own(d) } else { s })
                .collect()
        }
    };
    for &size in &sizes {
        check_points(size)?;
    }
    let last_given = s.and_then(|s| s.last()).is_some_and(|&s| s != -1);
    Ok(Plan {
        dims,
        sizes,
        last_given,
    })
}

fn indices(dims: &[usize]) -> Vec<i64> {
    dims.iter().map(|&d| d as i64).collect()
}

/// fft, ifft and their n-dimensional forms.
fn to_complex(
    x: &Tensor,
    p: &Plan,
    norm: Option<&str>,
    forward: bool,
    op: &str,
) -> Result<Outputs> {
    let x = promoted(x, op)?.get()?;
    let mut v = Val::from(&x);
    for (&d, &n) in p.dims.iter().zip(&p.sizes) {
        v = resized(v, d, n);
    }
    let factor = scale(norm, p.sizes.iter().product(), forward)?;
    let innermost = p.dims.iter().position(|&d| d + 1 == x.ndim());
    if let (Some(at), false, true) = (innermost, x.dtype().is_complex(), x.device().is_cpu()) {
        // Half of a real signal's spectrum tells the rest.
        let mut dims = indices(&p.dims);
        let last = dims.remove(at);
        dims.push(last);
        return single(Val(call!("_fft_whole", v, dims, factor, forward)));
    }
    let v = complex(&v);
    single(transform(&v, &indices(&p.dims), factor, forward))
}

/// rfft and ihfft: half of the spectrum of a real signal, conjugated for the latter.
fn from_real(
    x: &Tensor,
    p: &Plan,
    norm: Option<&str>,
    hermitian: bool,
    op: &str,
) -> Result<Outputs> {
    real_only(x, op)?;
    if p.dims.is_empty() {
        fail!(Runtime, "{op} must transform at least one axis");
    }
    let mut v = promoted(x, op)?;
    for (&d, &n) in p.dims.iter().zip(&p.sizes) {
        v = resized(v, d, n);
    }
    let factor = scale(norm, p.sizes.iter().product(), !hermitian)?;
    let half = Val(call!("_fft_r2c", v, indices(&p.dims), factor));
    single(if hermitian {
        Val(call!("resolve_conj", half.conj()))
    } else {
        half
    })
}

/// irfft and hfft: a real signal from half of its spectrum, conjugated first for the latter.
fn to_real(
    x: &Tensor,
    p: &mut Plan,
    norm: Option<&str>,
    hermitian: bool,
    op: &str,
) -> Result<Outputs> {
    let Some(&last) = p.dims.last() else {
        fail!(Runtime, "{op} must transform at least one axis");
    };
    let count = p.sizes.len() - 1;
    if !p.last_given {
        p.sizes[count] = check_points(2 * (p.sizes[count] - 1))?;
    }
    let n = p.sizes[count];
    let mut v = complex(&promoted(x, op)?);
    if hermitian {
        v = v.conj();
    }
    for (i, &d) in p.dims.iter().enumerate() {
        v = resized(v, d, if i == count { n / 2 + 1 } else { p.sizes[i] });
    }
    let others = &p.dims[..count];
    let v = transform(&v, &indices(others), 1.0, false);
    let factor = scale(norm, p.sizes.iter().product(), hermitian)?;
    single(Val(call!("_fft_c2r", v, last as i64, n, factor)))
}

/// The plan of the one-dimensional forms: arguments (self, n, dim, norm).
fn plan_1d(a: Args) -> Result<Plan> {
    let x = a.t(0)?;
    let n = a.opt_int(1)?.map(|n| [n]);
    plan(x, n.as_ref().map(<[i64; 1]>::as_slice), Some(&[a.int(2)?]))
}

/// The plan of the n-dimensional forms: arguments (self, s, dim, norm).
fn plan_nd(a: Args) -> Result<Plan> {
    plan(a.t(0)?, a.opt_ints(1)?, a.opt_ints(2)?)
}

fn shift(a: Args, back: bool) -> Result<Outputs> {
    let x = a.t(0)?;
    let dims: Vec<i64> = match a.opt_ints(1)? {
        Some(dims) => dims.to_vec(),
        None => (0..x.ndim() as i64).collect(),
    };
    let mut shifts = Vec::new();
    for &d in &dims {
        let n = x.shape().get(wrap_dim(d, x.ndim())?).copied().unwrap_or(1);
        shifts.push(if back { (n + 1) / 2 } else { n / 2 });
    }
    single(Val(call!("roll", x, shifts, dims)))
}

/// Sample frequencies: arguments (n, d, dtype, layout, device, ...).
fn frequencies(a: Args, half: bool) -> Result<Outputs> {
    let (n, d) = (a.int(0)?, a.float(1)?);
    let options = Options::read(a, 2)?;
    let step = 1.0 / (n as f64 * d);
    let count = if half { n / 2 + 1 } else { n };
    let value = |i: i64| if half || i < (n + 1) / 2 { i } else { i - n };
    let values: Vec<f64> = (0..count).map(|i| value(i) as f64 * step).collect();
    let values = Val(Tensor::from_slice(&values, &[count]));
    options.finish(values.to(options.dtype()).get()?)
}

macro_rules! run {
    ($plan:ident, $f:ident, $flag:expr, $name:literal) => {
        Body::Composite(|a| {
            #[allow(unused_mut)]
            let mut p = $plan(a)?;
            run!(@call $f, a, p, $flag, $name)
        })
    };
    (@call to_real, $a:ident, $p:ident, $flag:expr, $name:literal) => { to_real($a.t(0)?, &mut $p, $a.opt_str(3)?, $flag, $name) };
    (@call $f:ident, $a:ident, $p:ident, $flag:expr, $name:literal) => { $f($a.t(0)?, &$p, $a.opt_str(3)?, $flag, $name) };
}

ops! {
    /// Discrete Fourier transform along one dimension.
    "fft.fft(Tensor self, int? n=None, int dim=-1, str? norm=None) -> Tensor", F | O, run!(plan_1d, to_complex, true, "fft");
    /// Inverse Fourier transform along one dimension.
    "fft.ifft(Tensor self, int? n=None, int dim=-1, str? norm=None) -> Tensor", F | O, run!(plan_1d, to_complex, false, "ifft");
    /// Fourier transform of a real signal: the half of its spectrum that determines it.
    "fft.rfft(Tensor self, int? n=None, int dim=-1, str? norm=None) -> Tensor", F | O, run!(plan_1d, from_real, false, "rfft");
    /// The real signal of a half spectrum.
    "fft.irfft(Tensor self, int? n=None, int dim=-1, str? norm=None) -> Tensor", F | O, run!(plan_1d, to_real, false, "irfft");
    /// Fourier transform of a Hermitian signal, given its half.
    "fft.hfft(Tensor self, int? n=None, int dim=-1, str? norm=None) -> Tensor", F | O, run!(plan_1d, to_real, true, "hfft");
    /// Half of the Hermitian signal of a real spectrum.
    "fft.ihfft(Tensor self, int? n=None, int dim=-1, str? norm=None) -> Tensor", F | O, run!(plan_1d, from_real, true, "ihfft");
    /// Discrete Fourier transform along two dimensions.
    "fft.fft2(Tensor self, int[1]? s=None, int[1] dim=[-2,-1], str? norm=None) -> Tensor", F | O, run!(plan_nd, to_complex, true, "fft2");
    /// Inverse Fourier transform along two dimensions.
    "fft.ifft2(Tensor self, int[1]? s=None, int[1] dim=[-2,-1], str? norm=None) -> Tensor", F | O, run!(plan_nd, to_complex, false, "ifft2");
    /// Fourier transform of a real signal along two dimensions.
    "fft.rfft2(Tensor self, int[1]? s=None, int[1] dim=[-2,-1], str? norm=None) -> Tensor", F | O, run!(plan_nd, from_real, false, "rfft2");
    /// The real signal of a half spectrum in two dimensions.
    "fft.irfft2(Tensor self, int[1]? s=None, int[1] dim=[-2,-1], str? norm=None) -> Tensor", F | O, run!(plan_nd, to_real, false, "irfft2");
    /// Fourier transform of a Hermitian signal in two dimensions, given its half.
    "fft.hfft2(Tensor self, int[1]? s=None, int[1] dim=[-2,-1], str? norm=None) -> Tensor", F | O, run!(plan_nd, to_real, true, "hfft2");
    /// Half of the Hermitian signal of a real spectrum in two dimensions.
    "fft.ihfft2(Tensor self, int[1]? s=None, int[1] dim=[-2,-1], str? norm=None) -> Tensor", F | O, run!(plan_nd, from_real, true, "ihfft2");
    /// Discrete Fourier transform along several dimensions.
    "fft.fftn(Tensor self, int[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor", F | O, run!(plan_nd, to_complex, true, "fftn");
    /// Inverse Fourier transform along several dimensions.
    "fft.ifftn(Tensor self, int[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor", F | O, run!(plan_nd, to_complex, false, "ifftn");
    /// Fourier transform of a real signal along several dimensions.
    "fft.rfftn(Tensor self, int[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor", F | O, run!(plan_nd, from_real, false, "rfftn");
    /// The real signal of a half spectrum in several dimensions.
    "fft.irfftn(Tensor self, int[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor", F | O, run!(plan_nd, to_real, false, "irfftn");
    /// Fourier transform of a Hermitian signal in several dimensions, given its half.
    "fft.hfftn(Tensor self, int[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor", F | O, run!(plan_nd, to_real, true, "hfftn");
    /// Half of the Hermitian signal of a real spectrum in several dimensions.
    "fft.ihfftn(Tensor self, int[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor", F | O, run!(plan_nd, from_real, true, "ihfftn");
    /// Moves the frequency zero to the middle.
    "fft.fftshift(Tensor self, int[1]? dim=None) -> Tensor", F, Body::Composite(|a| shift(a, false));
    /// Moves the frequency zero back to the start.
    "fft.ifftshift(Tensor self, int[1]? dim=None) -> Tensor", F, Body::Composite(|a| shift(a, true));
    /// Frequencies of the points of a transform of size `n` with sample spacing `d`.
    "fft.fftfreq(int n, float d=1.0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, Body::Composite(|a| frequencies(a, false));
    /// Frequencies of the points of a real transform of size `n` with sample spacing `d`.
    "fft.rfftfreq(int n, float d=1.0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, Body::Composite(|a| frequencies(a, true));
}
