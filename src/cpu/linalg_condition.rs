//! The rank of triangles by incremental condition estimation (Bischof, "Incremental condition estimation", 1990; LAPACK's
//! `laic1`).

use super::gemm::Gemm;
use super::linalg::{Field, Matrix};
use num_traits::{Float, Zero};

/// The rank of an upper triangle of falling diagonal, by `gelsy`'s rule: columns are added while the estimated
/// singular values of the triangle stay above `rcond` times the largest.
pub fn rank<T: Field>(r: &Matrix<T>, steps: usize, rcond: T::Part) -> usize {
    let one = vec![<T as Gemm>::ONE];
    let first = r.get(0, 0).modulus();
    let (mut least, mut most) = ((first, one.clone()), (first, one));
    for j in 1..steps {
        let corner = r.get(j, j);
        let next = (
            Extension::of(&least, r, j, corner),
            Extension::of(&most, r, j, corner),
        );
        let (low, high) = (next.0.least(), next.1.most());
        if !(high.0 * rcond <= low.0) {
            return j;
        }
        grow(&mut least, low);
        grow(&mut most, high);
    }
    steps
}

/// An estimated singular value of a triangle, and its left singular vector.
type Estimate<T> = (<T as Field>::Part, Vec<T>);

/// What a further column makes of an estimate: the value, and the factor of the vector with its new element.
type Step<T> = (<T as Field>::Part, T, T);

fn grow<T: Field>(estimate: &mut Estimate<T>, (value, factor, last): Step<T>) {
    estimate.1.iter_mut().for_each(|x| *x *= factor);
    estimate.1.push(last);
    estimate.0 = value;
}

/// With the new column's product `alpha` with the singular vector and its diagonal element `gamma`, the extreme values
/// of a triangle of one more column are about the roots of the eigenvalues of
/// `diag(value, 0)^2 + [alpha, gamma] [alpha, gamma]^H`.
struct Extension<T: Field> {
    /// All numbers are divided by it.
    scale: T::Part,
    /// The product of the eigenvalues' roots.
    product: T::Part,
    across: T,
    /// The distances of the larger eigenvalue from the second and from the first element of the diagonal.
    gaps: [T::Part; 2],
    /// The root of the larger eigenvalue.
    largest: T::Part,
}

impl<T: Field> Extension<T> {
    fn of((value, vector): &Estimate<T>, r: &Matrix<T>, j: usize, gamma: T) -> Self {
        let terms = vector.iter().enumerate();
        let alpha = terms.fold(<T as Gemm>::ZERO, |sum, (i, &x)| {
            sum + x.conjugate() * r.get(i, j)
        });
        let scale = Float::max(Float::max(*value, alpha.modulus()), gamma.modulus());
        let zero = T::Part::zero();
        if scale == zero {
            let none = [zero; 2];
            return Extension {
                scale,
                product: zero,
                across: <T as Gemm>::ZERO,
                gaps: none,
                largest: zero,
            };
        }
        let (value, alpha, gamma) = (*value / scale, alpha / T::of(scale), gamma / T::of(scale));
        let across = alpha * gamma.conjugate();
        let two = <T::Part as Gemm>::ONE + <T::Part as Gemm>::ONE;
        let (first, second) = (value * value + alpha.norm_squared(), gamma.norm_squared());
        let (half, beside) = ((first - second) / two, across.modulus());
        let far = Float::hypot(half, beside) + Float::abs(half);
        let near = if far == zero {
            zero
        } else {
            beside * (beside / far)
        };
        Extension {
            scale,
            product: value * gamma.modulus(),
            across,
            gaps: if half >= zero {
                [far, near]
            } else {
                [near, far]
            },
            largest: Float::sqrt(Float::max(first, second) + near),
        }
    }

    fn least(&self) -> Step<T> {
        let [first, second] = self.gaps;
        let vector = if first >= second {
            (-self.across, T::of(first))
        } else {
            (T::of(second), -self.across.conjugate())
        };
        let value = if self.largest == T::Part::zero() {
            self.largest
        } else {
            self.product / self.largest
        };
        self.step(value, vector, (<T as Gemm>::ZERO, <T as Gemm>::ONE))
    }

    fn most(&self) -> Step<T> {
        let [first, second] = self.gaps;
        let vector = if first >= second {
            (T::of(first), self.across.conjugate())
        } else {
            (self.across, T::of(second))
        };
        self.step(self.largest, vector, (<T as Gemm>::ONE, <T as Gemm>::ZERO))
    }

    /// The vector at length one; `plain` where the two eigenvalues are the same.
    fn step(&self, value: T::Part, (x, y): (T, T), plain: (T, T)) -> Step<T> {
        let length = Float::hypot(x.modulus(), y.modulus());
        let (x, y) = if length == T::Part::zero() {
            plain
        } else {
            (x / T::of(length), y / T::of(length))
        };
        (value * self.scale, x, y)
    }
}
