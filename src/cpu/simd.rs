//! Vectors of floats, as wide as the machine has them, for kernels that block by registers or need masks.
//!
//! A kernel is a [`Task`], generic over the vector; [`run`] compiles it per level of the instruction set.

#[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
use super::multiversion::Isa;
use super::multiversion::isa;
use super::number::{Accumulator, Real};

/// A vector of floats. Arithmetic is safe to write, but vectors of a level only exist in code that runs at that level.
pub trait Simd: Copy {
    type T: Float;
    type Mask: Copy;
    /// A vector of half the lanes at the same level, where there is one: for rows that would leave half of this unused.
    type Half: Simd<T = Self::T>;
    const LANES: usize;
    /// Are there 32 registers of this kind, or 16?
    const MANY: bool;

    fn splat(x: Self::T) -> Self;
    /// # Safety
    /// `LANES` elements can be read.
    unsafe fn load(from: *const Self::T) -> Self;
    /// # Safety
    /// `LANES` elements can be written.
    unsafe fn store(self, to: *mut Self::T);
    /// `count` elements, then zeros.
    /// # Safety
    /// `count` elements can be read; not more than `LANES`.
    unsafe fn load_part(from: *const Self::T, count: usize) -> Self;
    /// # Safety
    /// `count` elements can be written; not more than `LANES`.
    unsafe fn store_part(self, to: *mut Self::T, count: usize);
    /// The lanes with a bit in `lanes`, zeros in the others.
    /// # Safety
    /// The elements of these lanes can be read.
    unsafe fn load_lanes(from: *const Self::T, lanes: u32) -> Self;
    /// Every other of twice `LANES` elements, zeros for those without a bit in `seen`.
    /// # Safety
    /// The elements with a bit can be read.
    unsafe fn load_even(from: *const Self::T, seen: u32) -> Self;
    /// The lanes with a bit in `lanes`, side by side.
    /// # Safety
    /// As many elements can be written.
    unsafe fn store_lanes(self, to: *mut Self::T, lanes: u32);

    /// The first `count` of the lanes of both by turns.
    /// # Safety
    /// `count` elements can be written; not more than twice `LANES`.
    unsafe fn store_pairs(self, odd: Self, to: *mut Self::T, count: usize);

    /// A square of `LANES` rows and columns, transposed; rows lie so far apart.
    /// # Safety
    /// The square can be read and written.
    #[inline(always)]
    unsafe fn transpose(from: *const Self::T, by_from: usize, to: *mut Self::T, by_to: usize) {
        for i in 0..Self::LANES {
            for j in 0..Self::LANES {
                // SAFETY: the caller's promise.
                unsafe { *to.add(j * by_to + i) = *from.add(i * by_from + j) };
            }
        }
    }

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// `self * factor + sum`, in one rounding where the machine has that.
    fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// Where this is larger than the other, or NaN.
    fn above(self, other: Self) -> Self::Mask;
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// All lanes with a bit.
    const ALL: u32 = u32::MAX >> (32 - Self::LANES);

    /// The sum of the lanes, by halves.
    #[inline(always)]
    fn total(self) -> Self::T {
        let mut lanes = [Self::T::ZERO; 16];
        // SAFETY: there are at most 16 lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut half = Self::LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] = lanes[i].add(lanes[i + half]);
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// A float and its vectors per level.
pub trait Float: Real + super::number::Number<Acc = Self> {
    type Plain: Simd<T = Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2: Simd<T = Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx512: Simd<T = Self>;
}

/// Work that is compiled per level; `run` and all it calls must be `#[inline(always)]`.
pub trait Task<T: Float> {
    fn run<V: Simd<T = T>>(self);
}

/// Runs a task at the level of this machine. Builds for development have the plain level only.
#[inline]
pub fn run<T: Float>(task: impl Task<T>) {
    #[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        unsafe fn avx512<T: Float>(task: impl Task<T>) {
            task.run::<T::Avx512>();
        }
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2<T: Float>(task: impl Task<T>) {
            task.run::<T::Avx2>();
        }
        match isa() {
            // SAFETY: the features were detected.
            Isa::Avx512 => return unsafe { avx512(task) },
            // SAFETY: as above.
            Isa::Avx2 => return unsafe { avx2(task) },
            Isa::Plain => {}
        }
    }
    task.run::<T::Plain>();
}

/// Lanes of the level that [`run`] takes.
pub fn lanes<T: Float>() -> usize {
    match isa() {
        #[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
        Isa::Avx512 => T::Avx512::LANES,
        #[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
        Isa::Avx2 => T::Avx2::LANES,
        _ => T::Plain::LANES,
    }
}

/// Rows as columns: `size` is rows and columns of the source, whose rows lie `by_from` apart.
/// # Safety
/// Both can be accessed.
#[inline(always)]
pub unsafe fn transpose<V: Simd>(
    from: *const V::T,
    (rows, columns): (usize, usize),
    by_from: usize,
    to: *mut V::T,
    by_to: usize,
) {
    for i in (0..rows).step_by(V::LANES) {
        for j in (0..columns).step_by(V::LANES) {
            let (from, to) = (
                from.wrapping_add(i * by_from + j),
                to.wrapping_add(j * by_to + i),
            );
            // SAFETY: the caller's promise.
            unsafe {
                if i + V::LANES <= rows && j + V::LANES <= columns {
                    V::transpose(from, by_from, to, by_to);
                    continue;
                }
                for i in 0..V::LANES.min(rows - i) {
                    for j in 0..V::LANES.min(columns - j) {
                        *to.add(j * by_to + i) = *from.add(i * by_from + j);
                    }
                }
            }
        }
    }
}

/// [`transpose`] at the level of this machine.
/// # Safety
/// As there.
pub unsafe fn turn<T: Float>(
    from: *const T,
    size: (usize, usize),
    by_from: usize,
    to: *mut T,
    by_to: usize,
) {
    struct Turn<T>(*const T, (usize, usize), usize, *mut T, usize);
    impl<T: Float> Task<T> for Turn<T> {
        #[inline(always)]
        fn run<V: Simd<T = T>>(self) {
            // SAFETY: the promise of `turn`.
            unsafe { transpose::<V>(self.0, self.1, self.2, self.3, self.4) };
        }
    }
    run::<T>(Turn(from, size, by_from, to, by_to));
}

/// Four floats for any machine.
#[derive(Clone, Copy)]
pub struct Four<T>([T; 4]);

impl<T: Copy> Four<T> {
    #[inline(always)]
    fn with(self, other: Self, f: impl Fn(T, T) -> T) -> Self {
        Four(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl<T: Float<Plain = Four<T>>> Simd for Four<T> {
    type T = T;
    type Mask = [bool; 4];
    type Half = Self;
    const LANES: usize = 4;
    const MANY: bool = false;

    #[inline(always)]
    fn splat(x: T) -> Self {
        Four([x; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller's promise.
        Four(unsafe { *from.cast::<[T; 4]>() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: the caller's promise.
        unsafe { *to.cast::<[T; 4]>() = self.0 };
    }
    #[inline(always)]
    unsafe fn load_part(from: *const T, count: usize) -> Self {
        let mut lanes = [T::ZERO; 4];
        for (i, lane) in lanes[..count].iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *lane = unsafe { *from.add(i) };
        }
        Four(lanes)
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut T, count: usize) {
        for (i, &lane) in self.0[..count].iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { *to.add(i) = lane };
        }
    }
    #[inline(always)]
    unsafe fn load_lanes(from: *const T, lanes: u32) -> Self {
        // SAFETY: the caller's promise.
        let lane = |i: usize| (lanes >> i & 1 == 1).then(|| unsafe { *from.wrapping_add(i) });
        Four(std::array::from_fn(|i| lane(i).unwrap_or(T::ZERO)))
    }
    #[inline(always)]
    unsafe fn load_even(from: *const T, seen: u32) -> Self {
        // SAFETY: the caller's promise.
        let lane = |i: usize| (seen >> i & 1 == 1).then(|| unsafe { *from.wrapping_add(i) });
        Four(std::array::from_fn(|i| lane(2 * i).unwrap_or(T::ZERO)))
    }
    #[inline(always)]
    unsafe fn store_lanes(self, to: *mut T, lanes: u32) {
        let mut to = to;
        for (i, &lane) in self.0.iter().enumerate() {
            if lanes >> i & 1 == 1 {
                // SAFETY: the caller's promise.
                unsafe {
                    *to = lane;
                    to = to.add(1);
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn store_pairs(self, odd: Self, to: *mut T, count: usize) {
        for i in 0..count {
            let from = if i % 2 == 0 { self.0 } else { odd.0 };
            // SAFETY: the caller's promise.
            unsafe { *to.add(i) = from[i / 2] };
        }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(other, T::add)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.with(other, T::sub)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.with(other, T::mul)
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.with(other, T::div)
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, sum: Self) -> Self {
        self.mul(factor).add(sum)
    }
    #[inline(always)]
    fn above(self, other: Self) -> [bool; 4] {
        std::array::from_fn(|i| self.0[i] > other.0[i] || Accumulator::is_nan(self.0[i]))
    }
    #[inline(always)]
    fn select(mask: [bool; 4], yes: Self, no: Self) -> Self {
        Four(std::array::from_fn(|i| {
            if mask[i] { yes.0[i] } else { no.0[i] }
        }))
    }
}

macro_rules! float {
    ($($t:ident $avx2:ident $avx512:ident;)*) => {$(
        impl Float for $t {
            type Plain = Four<$t>;
            #[cfg(target_arch = "x86_64")]
            type Avx2 = std::arch::x86_64::$avx2;
            #[cfg(target_arch = "x86_64")]
            type Avx512 = std::arch::x86_64::$avx512;
        }
    )*};
}

float! {
    f32 __m256 __m512;
    f64 __m256d __m512d;
}
