//! How a reduction walks its input: kept and reduced dimensions, ordered and merged.

use smallvec::SmallVec;

/// One dimension: its size, the input's stride, and the output's stride (0 where reduced), in elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dim {
    pub size: usize,
    pub stride: isize,
    pub out: isize,
}

/// An operation along one dimension: the other dimensions, and how the lines along it are strided.
pub struct Lines {
    pub plan: Plan,
    pub size: usize,
    pub stride: isize,
    pub out: isize,
}

impl Lines {
    /// Lines along `dim` of a layout; a 0-dim layout is one line of one element.
    pub fn new(shape: &[i64], strides: &[i64], out: &[i64], dim: usize) -> Lines {
        let plan = Plan::new(shape, strides, out, |i| i == dim);
        let at = |list: &[i64]| list.get(dim).copied().unwrap_or(1) as isize;
        Lines {
            plan,
            size: shape.get(dim).copied().unwrap_or(1) as usize,
            stride: at(strides),
            out: at(out),
        }
    }
}

pub type Dims = SmallVec<[Dim; 4]>;

#[derive(Debug)]
pub struct Plan {
    /// Dimensions that survive, outermost first.
    pub kept: Dims,
    /// Dimensions that are reduced, outermost first.
    pub reduced: Dims,
}

impl Plan {
    /// `out` has the input's rank; its entries for reduced dimensions are ignored.
    pub fn new(
        shape: &[i64],
        strides: &[i64],
        out: &[i64],
        reduced: impl Fn(usize) -> bool,
    ) -> Plan {
        let (mut kept, mut gone) = (Dims::new(), Dims::new());
        for (i, (&size, &stride)) in shape.iter().zip(strides).enumerate() {
            let (size, stride) = (size as usize, stride as isize);
            if reduced(i) {
                gone.push(Dim {
                    size,
                    stride,
                    out: 0,
                });
            } else {
                kept.push(Dim {
                    size,
                    stride,
                    out: out[i] as isize,
                });
            }
        }
        Plan {
            kept: simplified(kept),
            reduced: simplified(gone),
        }
    }

    pub fn outputs(&self) -> usize {
        numel(&self.kept)
    }

    /// Elements that go into one output.
    pub fn inputs_each(&self) -> usize {
        numel(&self.reduced)
    }

    /// Whether neighbouring outputs lie closer together than neighbouring inputs of one output.
    pub fn is_vertical(&self) -> bool {
        match (self.kept.last(), self.reduced.last()) {
            (Some(kept), Some(reduced)) => {
                kept.stride.unsigned_abs() < reduced.stride.unsigned_abs()
            }
            _ => false,
        }
    }

    /// Whether neighbouring outputs are better folded together, row by row: where they lie close together,
    /// and where each has a few inputs only.
    pub fn folds_columns(&self) -> bool {
        self.is_vertical()
            || match (&self.kept[..], &self.reduced[..]) {
                ([.., kept], [reduced]) => {
                    reduced.size <= SHORT_LINE && kept.size >= SHORT_LINE && kept.stride > 0
                }
                _ => false,
            }
    }
}

/// Lines up to this length cost more to set up than to fold.
const SHORT_LINE: usize = 16;

pub fn numel(dims: &[Dim]) -> usize {
    dims.iter().map(|d| d.size).product()
}

/// Drops dimensions of size 1, sorts the rest by stride and merges neighbours.
fn simplified(mut dims: Dims) -> Dims {
    if dims.iter().any(|d| d.size == 0) {
        return smallvec::smallvec![Dim {
            size: 0,
            stride: 0,
            out: 0
        }];
    }
    dims.retain(|d| d.size != 1);
    dims.sort_by_key(|d| std::cmp::Reverse(d.stride.unsigned_abs()));
    let mut merged = Dims::new();
    for d in dims {
        match merged.last_mut() {
            Some(last)
                if last.stride == d.stride * d.size as isize
                    && last.out == d.out * d.size as isize =>
            {
                *last = Dim {
                    size: last.size * d.size,
                    ..d
                };
            }
            _ => merged.push(d),
        }
    }
    merged
}

/// Walks the offsets of a set of dimensions in order, the last one fastest.
pub struct Walk<'a> {
    dims: &'a [Dim],
    index: SmallVec<[usize; 4]>,
    pub input: isize,
    pub output: isize,
}

impl<'a> Walk<'a> {
    #[inline]
    pub fn starting_at(dims: &'a [Dim], mut linear: usize) -> Self {
        let mut walk = Walk {
            dims,
            index: smallvec::smallvec![0; dims.len()],
            input: 0,
            output: 0,
        };
        if linear > 0 {
            for (d, i) in dims.iter().zip(walk.index.iter_mut()).rev() {
                *i = linear % d.size;
                linear /= d.size;
                walk.input += *i as isize * d.stride;
                walk.output += *i as isize * d.out;
            }
        }
        walk
    }

    #[inline]
    pub fn advance(&mut self) {
        for (d, i) in self.dims.iter().zip(self.index.iter_mut()).rev() {
            *i += 1;
            self.input += d.stride;
            self.output += d.out;
            if *i < d.size {
                return;
            }
            self.input -= d.stride * d.size as isize;
            self.output -= d.out * d.size as isize;
            *i = 0;
        }
    }
}
