//! Exponentials of matrices: a Taylor polynomial of a fraction, squared.

use super::contract::square_matrix;
use super::linalg::{check_dtype, size};
use super::matmul::single;
use super::{Args, Body, F, M, Outputs, Val};
use crate::tensor::DType;
use crate::{Result, call, ops};

/// Sums of powers: the factors of 1, A, A^2, A^3 and A^6.
type Powers = [f64; 5];

// The polynomial of degree 18 in five products, and the norms up to which it is exact to the precision (Bader, Blanes
// and Casas, "Computing the matrix exponential with an optimized Taylor polynomial approximation", 2019).
const B1: Powers = [
    0.0,
    -1.00365581030144618291e-01,
    -8.02924648241156932449e-03,
    -8.92138498045729985177e-04,
    0.0,
];
const B2: Powers = [
    0.0,
    3.97849749499645077844e-01,
    1.36783778460411720168e+00,
    4.98289622525382669416e-01,
    -6.37898194594723280150e-04,
];
const B3: Powers = [
    -1.09676396052962061844e+01,
    1.68015813878906206114e+00,
    5.71779846478865511061e-02,
    -6.98210122488052056106e-03,
    3.34975017086070470649e-05,
];
const B4: Powers = [
    -9.04316832390810593223e-02,
    -6.76404519071381882256e-02,
    6.75961301770459654925e-02,
    2.95552570429315521194e-02,
    -1.39180257516060693404e-05,
];
const B5: Powers = [
    0.0,
    0.0,
    -9.23364619367118555360e-02,
    -1.69364939002081722752e-02,
    -1.40086798182036094347e-05,
];
const NORM_F32: f64 = 3.010066362817634;
const NORM_F64: f64 = 1.090863719290036;

fn polynomial(a: &Val) -> Val {
    let n = a.shape()[a.ndim() - 1];
    let second = a.matmul(a);
    let third = second.matmul(a);
    let sixth = third.matmul(&third);
    let powers = [a.eye(n, n, a.dtype()), a.clone(), second, third, sixth];
    let sum = |factors: Powers| {
        let mut terms = powers
            .iter()
            .zip(factors)
            .filter(|(_, factor)| *factor != 0.0);
        let first = terms
            .next()
            .map_or_else(|| a.zeros_like(), |(x, factor)| x * factor);
        terms.fold(first, |sum, (x, factor)| Val(call!("add", sum, x, factor)))
    };
    let ninth = sum(B1).matmul(sum(B5)) + sum(B4);
    (sum(B3) + &ninth).matmul(&ninth) + sum(B2)
}

fn matrix_exp(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    square_matrix(x, "linalg.matrix_exp")?;
    check_dtype(x.dtype().compute(), "linalg.matrix_exp")?;
    if x.numel() == 0 || size(x).0 == 0 {
        return single(Val(call!("clone", x)));
    }
    let sums = Val::from(&x.detached()).abs().sum([-2i64], false);
    let norm = Val(call!("amax", sums, Vec::<i64>::new(), false))
        .get()?
        .item()?
        .to_f64();
    let limit = match x.dtype().to_real() {
        DType::F64 => NORM_F64,
        _ => NORM_F32,
    };
    let halvings = if norm > limit && norm.is_finite() {
        (norm / limit).log2().ceil()
    } else {
        0.0
    };
    let scaled = Val::from(x) * 0.5f64.powf(halvings);
    let squared = |v: Val, _| v.matmul(&v);
    single((0..halvings as usize).fold(polynomial(&scaled), squared))
}

ops! {
    /// Exponentials of square matrices.
    "linalg.matrix_exp(Tensor A) -> Tensor", F, Body::Composite(matrix_exp);
    /// Exponentials of square matrices.
    "matrix_exp(Tensor self) -> Tensor", F | M, Body::Composite(matrix_exp);
}
