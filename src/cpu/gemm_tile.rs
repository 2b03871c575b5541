//! What the blocked products ask of an instruction set and of an element type.

use super::gemm_blocked::Output;
use super::gemm_pack::{Pack, Strip};
use std::num::Wrapping;
use std::ops::{Add, Mul};

pub type Packed<K> = <K as Pack>::Packed;
pub type Sum<K> = <<K as Kernel>::Unit as Tiles>::Sum;

/// A unit that multiplies panels: vector registers, or registers that hold matrices.
pub trait Tiles: 'static {
    /// What panels hold: a number, or several steps of half precision.
    type Packed: Copy;
    /// What is summed in.
    type Sum: Copy;
    /// Rows of a tile.
    const ROWS: usize;
    /// Columns of a tile.
    const COLS: usize;
    /// Elements of a lane of a panel that are multiplied at once: a panel of columns and a band of rows stay in the
    /// cache.
    const DEPTH: usize;
    /// Multiply-adds in the time of one of vectors: a task has as many more.
    const SPEED: usize;
    /// What a thread holds while it computes tiles.
    type Ready;

    /// # Safety
    /// The instruction set is there, as for the others.
    unsafe fn ready() -> Self::Ready;

    /// Adds the product of two panels of `depth` elements to a tile of `rows` and `cols` sums. Up to a whole tile of
    /// `ROWS` times `COLS` is read and written besides, unless [`Tiles::is_exact`] holds.
    ///
    /// # Safety
    /// The panels and the tile lie in live memory, and the thread holds what [`Tiles::ready`] returned.
    unsafe fn tile(
        size: (usize, usize),
        depth: usize,
        a: *const Self::Packed,
        b: *const Self::Packed,
        tile: Tile<Self::Sum>,
    );

    /// Is there a version of the loop for just this size?
    fn is_exact(rows: usize, cols: usize) -> bool;
}

/// Sums in memory: where a tile starts from (zero if null) and where it goes, with the distances between rows.
#[derive(Clone, Copy)]
pub struct Tile<T> {
    pub from: *const T,
    pub from_row: isize,
    pub to: *mut T,
    pub to_row: isize,
}

/// An element type on an instruction set.
pub trait Kernel: Pack<Packed: Send + Sync> + 'static {
    type Unit: Tiles<Packed = <Self as Pack>::Packed, Sum: Number>;
    /// Sums are elements: tiles may be read and written in place.
    const IN_PLACE: bool;
    fn widen(x: Self::Element) -> Sum<Self>;
    fn narrow(x: Sum<Self>) -> Self::Element;

    /// Packs a band of `ROWS` rows, zeros where the strip has fewer.
    ///
    /// # Safety
    /// As for [`super::gemm_pack::pack`], and the instruction set is there.
    unsafe fn pack_rows(strip: &Strip<Self::Element>, out: *mut Packed<Self>);
    /// Packs a panel of `COLS` columns, zeros where the strip has fewer.
    ///
    /// # Safety
    /// As for [`super::gemm_pack::pack`], and the instruction set is there.
    unsafe fn pack_columns(strip: &Strip<Self::Element>, out: *mut Packed<Self>);
    /// # Safety
    /// As for [`super::gemm_blocked::finish`], and the instruction set is there.
    unsafe fn finish(tile: *const Sum<Self>, size: (usize, usize), out: &Output<Self>);
}

#[inline(always)]
pub const fn rows<K: Kernel>() -> usize {
    <K::Unit as Tiles>::ROWS
}

#[inline(always)]
pub const fn cols<K: Kernel>() -> usize {
    <K::Unit as Tiles>::COLS
}

/// What sums are made of.
pub trait Number: Copy + PartialEq + Add<Output = Self> + Mul<Output = Self> + Send + Sync {
    const ZERO: Self;
    const ONE: Self;
}

impl Number for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

impl Number for Wrapping<i32> {
    const ZERO: Self = Wrapping(0);
    const ONE: Self = Wrapping(1);
}

impl Number for Wrapping<i64> {
    const ZERO: Self = Wrapping(0);
    const ONE: Self = Wrapping(1);
}

impl Number for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}
