//! Gradients of writes along one dimension by index.

use super::scatter::Reduce;
use super::{Grads, Val};
use crate::autograd::Ctx;
use crate::tensor::{Dims, Scalar};
use crate::{call, err, grads};

/// Where an index points, for the gradients: by element (`scatter`) or by row (`index_add`).
pub(super) struct Places<'c> {
    c: &'c Ctx<'c>,
    rows: bool,
    dim: i64,
    index: Val,
}

impl<'c> Places<'c> {
    pub(super) fn of(c: &'c Ctx<'c>, rows: bool) -> Places<'c> {
        let dim = c.args().int(1).unwrap_or(0);
        Places {
            c,
            rows,
            dim,
            index: c.x(2),
        }
    }

    /// What stands at the places.
    fn read(&self, x: &Val) -> Val {
        if self.rows {
            x.index_select(self.dim, &self.index)
        } else {
            x.gather(self.dim, &self.index)
        }
    }

    fn add(&self, x: &Val, source: &Val) -> Val {
        if self.rows {
            x.index_add(self.dim, &self.index, source)
        } else {
            x.scatter_add(self.dim, &self.index, source)
        }
    }

    /// Zeros at the places.
    pub(super) fn clear(&self, x: &Val) -> Val {
        let (dim, index) = (self.dim, &self.index);
        Val(if self.rows {
            call!("index_fill", x, dim, index, 0.0f64)
        } else {
            call!("scatter/value", x, dim, index, 0.0f64)
        })
    }

    fn product(&self, x: &Val, source: &Val, include_self: bool) -> Val {
        let (dim, index) = (self.dim, &self.index);
        Val(if self.rows {
            call!("index_reduce", x, dim, index, source, "prod", include_self)
        } else {
            call!(
                "scatter_reduce",
                x,
                dim,
                index,
                source,
                "prod",
                include_self
            )
        })
    }

    /// The gradient of the source of a plain write, as large as the source.
    pub(super) fn source_grad(&self) -> Val {
        let shape = self.c.shape(2);
        let g = self.read(&self.c.g());
        if g.shape() == &shape[..] || self.rows {
            return g.reshape(&shape);
        }
        // Only the part of a scatter's source that the index covers was read.
        super::view::embed(&g, &shape, |whole| {
            g.shape()
                .iter()
                .enumerate()
                .fold(whole.clone(), |part, (d, &size)| {
                    part.narrow(d as i64, 0i64, size)
                })
        })
    }

    fn reduce_grads(&self, how: Reduce, include_self: bool) -> Grads {
        let (c, g) = (self.c, self.c.g());
        let (own, source) = match how {
            Reduce::Sum => (g.clone(), self.read(&g)),
            Reduce::Mean => {
                let start = if include_self {
                    g.ones_like()
                } else {
                    g.zeros_like()
                };
                let counts = self.add(&start, &c.x(3).ones_like());
                let shared = &g / &counts.masked_fill(counts.eq(0.0f64), 1.0f64);
                let source = self.read(&shared);
                (shared, source)
            }
            Reduce::Prod => self.product_grads(include_self),
            Reduce::Amax | Reduce::Amin => {
                let (x, y) = (c.x(0), c.y(0));
                let own = x.eq(&y).to(g.dtype());
                let source = c.x(3).eq(self.read(&y)).to(g.dtype());
                // Equal extremes share the gradient.
                let shared = &g / &self.add(&own, &source);
                let of_source = self.read(&shared) * source;
                (shared * own, of_source)
            }
        };
        let own = if include_self { own } else { self.clear(&own) };
        grads![own, None, self.whole(source)]
    }

    /// A source may be larger than the index of a scatter.
    fn whole(&self, part: Val) -> Val {
        let shape = Dims::from_slice(self.c.x(3).shape());
        if part.shape() == &shape[..] {
            return part;
        }
        super::view::embed(&part, &shape, |whole| {
            part.shape()
                .iter()
                .enumerate()
                .fold(whole.clone(), |rest, (d, &size)| {
                    rest.narrow(d as i64, 0i64, size)
                })
        })
    }

    /// A single zero among the factors gets the product of the others.
    fn product_grads(&self, include_self: bool) -> (Val, Val) {
        let (c, g) = (self.c, self.c.g());
        let (x, source, y) = (c.x(0), c.x(3), c.y(0));
        let without_zeros = |t: &Val| t.masked_fill(t.eq(0.0f64), 1.0f64);
        let own_factor = without_zeros(&x);
        let own = &g * &self.product(&own_factor, &source, include_self) / own_factor;
        let zero = source.eq(0.0f64);
        let zeros = self.read(&self.add(&x.zeros_like(), &zero.to(x.dtype())));
        let single = zero.logical_and(zeros.eq(1.0f64));
        let others = self.product(&x, &source.masked_fill(&single, 1.0f64), include_self);
        let at_single = self.read(&(&g * &others));
        let elsewhere = self.read(&(&g * &y)) / without_zeros(&source);
        (own, at_single.select_where(&single, elsewhere))
    }
}

pub(super) fn reduce_back(c: &Ctx, rows: bool) -> Grads {
    let include_self = c.args().bool(5).unwrap_or(true);
    match c.args().str(4).ok().and_then(Reduce::parse) {
        Some(how) => Places::of(c, rows).reduce_grads(how, include_self),
        None => grads![],
    }
}

pub(super) fn no_derivative(_: &Ctx) -> Grads {
    grads![Val(Err(err!(
        Runtime,
        "derivative for aten::scatter is not implemented"
    )))]
}

/// `index_add` scales its source.
pub(super) fn index_add_back(c: &Ctx) -> Grads {
    let places = Places::of(c, true);
    let source = || {
        let read = places.read(&c.g()).reshape(c.shape(2));
        match c.args().scalar(4) {
            Ok(Scalar::Int(1)) => read,
            Ok(Scalar::Complex(z)) => Val(call!("mul", read, Scalar::Complex(z.conj()))),
            alpha => Val(call!("mul", read, alpha)),
        }
    };
    grads![c.g(), None, c.when(2, source)]
}

pub(super) fn write_back(c: &Ctx, rows: bool) -> Grads {
    let places = Places::of(c, rows);
    grads![
        c.when(0, || places.clear(&c.g())),
        None,
        c.when(2, || places.source_grad())
    ]
}

pub(super) fn fill_back(c: &Ctx) -> Grads {
    let places = Places::of(c, true);
    // However often a row is named, the value stands there once.
    let distinct = || {
        let index = c.x(2).get()?;
        let mut rows: Vec<i64> = index.to_vec()?;
        rows.sort_unstable();
        rows.dedup();
        super::view::beside(&rows, &[rows.len() as i64], &index)
    };
    let value = || Val(call!("sum", c.g().index_select(places.dim, distinct())));
    grads![c.when(0, || places.clear(&c.g())), None, c.when(2, value)]
}
