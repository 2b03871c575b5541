//! The op table: one declaration per op, and what is derived from it.

mod alias;
mod assign;
mod call;
mod lookup;
mod macros;
mod promotion;
mod schema;
mod survey;
mod val;
mod value;
mod write;

pub mod combine;
pub mod copy;
pub mod create;
pub mod difference;
pub mod dropout;
pub mod expr;
pub mod index;
pub mod indexing;
mod memory_format;
pub mod norm;
pub mod norm_batch;
pub mod norm_channels;
pub mod optim;
mod options;
pub mod random;
mod random_choice;
mod random_int;
mod random_real;
pub mod range;
pub mod reduce;
mod reduce_dims;
pub mod reduce_index;
#[macro_use]
mod pointwise_macros;
pub mod activation;
pub mod adaptive_pool;
pub mod addmm;
pub mod as_strided;
pub mod attention;
pub mod avg_pool;
pub mod binary;
pub mod compare;
pub mod composed;
pub mod contract;
pub mod conv;
pub mod conv_nd;
pub mod cross_entropy;
pub mod diagonal;
pub mod distance;
pub mod einsum;
pub mod embed;
pub mod fft;
pub mod fft_primitives;
pub mod fold;
pub mod grid;
pub mod index_add;
pub mod join;
pub mod linalg;
pub mod linalg_cholesky;
pub mod linalg_det;
pub mod linalg_exp;
pub mod linalg_lstsq;
pub mod linalg_norm;
pub mod linalg_packed;
pub mod linalg_pinv;
pub mod linalg_solve;
pub mod linalg_spectral;
pub mod loss;
pub mod margin;
pub mod masked;
pub mod matmul;
pub mod nonzero;
pub mod outer;
pub mod pad;
pub mod parts;
pub mod pointwise;
mod pointwise_checks;
mod pointwise_choices;
pub mod pointwise_grad;
mod pointwise_launch;
mod pointwise_plain;
pub mod pooling;
pub mod quantile;
pub mod rearrange;
pub mod recurrent;
pub mod reduce_moments;
pub mod reinterpret;
mod replay;
pub mod resample;
pub mod rounding;
pub mod scan;
pub mod scatter;
mod scatter_grad;
pub mod search;
pub mod segment;
pub mod selection;
pub mod shape;
pub mod shuffle;
pub mod softmax;
pub mod sort;
pub mod special;
pub mod split;
pub mod stft;
pub mod unary;
pub mod unique;
pub mod vector_norm;
pub mod view;
pub mod view_scatter;
pub mod window;

use std::collections::HashMap;
use std::sync::OnceLock;

use smallvec::SmallVec;

pub use assign::{copy_into, resize, size_text};
pub use call::{call, flipped, resolve_lazy};
pub use lookup::{find, find_overload};
pub use promotion::result_type;
pub use schema::{Param, Returns, Schema, Type};
pub use val::Val;
pub use value::{Args, MemoryFormat, Outputs, Value};
pub use write::{call_inplace, call_out, check_writable};

use crate::Result;
use crate::autograd::Ctx;
use crate::tensor::{DType, Dims, Layout, Lazy, Tensor};

/// A function of the module, `rtensor.f`.
pub const F: u16 = 1;
/// A method, `Tensor.f`.
pub const M: u16 = 2;
/// An in-place method `Tensor.f_` (and function, where `F`).
pub const I: u16 = 4;
/// The keyword `out=`.
pub const O: u16 = 8;
/// A property, `Tensor.f` without a call.
pub const P: u16 = 16;
/// The kernel writes to outputs of any strides; others get row-major outputs.
pub const STRIDED: u16 = 32;
/// The op reads conjugate and negative bits itself.
pub const LAZY: u16 = 64;
/// The arguments may lie on several devices; the first one's device runs the op.
pub const CROSS_DEVICE: u16 = 128;
/// A view op with a copying form, `f_copy`, derived from it.
pub const COPY: u16 = 256;
/// A tensor given as `out=` must not share memory with the inputs.
pub const APART: u16 = 512;
/// A tensor given as `out=` must have the dtype of the result.
pub const EXACT: u16 = 1024;
/// A view of a tensor that nobody sees: the result counts as no view.
pub const OWNED: u16 = 2048;
/// The kernel is made of other ops, or of the backends' copies and fills, and serves every device.
pub const ANY_DEVICE: u16 = 4096;

/// Size and dtype of an output, known before any data is touched.
#[derive(Clone, Debug)]
pub struct Out {
    pub shape: Dims,
    pub dtype: DType,
    /// Strides other than row-major; they must be dense.
    pub strides: Option<Dims>,
}

impl Out {
    #[must_use]
    pub fn new(shape: &[i64], dtype: DType) -> Out {
        Out {
            shape: Dims::from_slice(shape),
            dtype,
            strides: None,
        }
    }
}

pub type Outs = SmallVec<[Out; 1]>;

/// How a view reads its source's storage.
pub struct Alias {
    pub layout: Layout,
    /// Where it differs from the source's.
    pub dtype: Option<DType>,
    pub lazy: Option<Lazy>,
}

impl From<Layout> for Alias {
    fn from(layout: Layout) -> Alias {
        Alias {
            layout,
            dtype: None,
            lazy: None,
        }
    }
}

pub type Aliases = SmallVec<[Alias; 1]>;

/// One view of the given layout.
pub fn alias(layout: Layout) -> Result<Aliases> {
    Ok(smallvec::smallvec![layout.into()])
}

/// How an op computes.
#[derive(Clone, Copy)]
pub enum Body {
    /// One output that is computed element by element; sized and filled as the formula's spec says.
    Pointwise(&'static pointwise::Spec),
    /// Outputs are sized by `meta` and filled by the backend; `cpu` is the CPU's kernel.
    Kernel {
        meta: fn(Args) -> Result<Outs>,
        cpu: fn(Args, &[Tensor]) -> Result<()>,
    },
    /// Outputs whose sizes depend on data, allocated by the kernel.
    Dynamic {
        cpu: fn(Args) -> Result<Vec<Tensor>>,
    },
    /// Aliases of the first argument, one per layout.
    View(fn(Args) -> Result<Aliases>),
    /// Copies of what a view op reads (`f_copy`).
    Copies(fn(Args) -> Result<Aliases>),
    /// Other ops; they record themselves.
    Composite(fn(Args) -> Result<Outputs>),
}

/// The gradients that a rule returns: one per tensor parameter of the schema (lists flattened).
pub type Grads = SmallVec<[Option<Val>; 3]>;

/// What the tape keeps of a call, and the rule that uses it.
#[derive(Clone, Copy)]
pub struct Grad {
    /// Name of the node, or empty for `<Op>Backward0`.
    pub name: &'static str,
    /// Bits of [`arg`], [`out`] and [`SHAPES`].
    pub save: u32,
    pub rule: fn(&Ctx) -> Grads,
    /// What the gradient of each tensor parameter needs of `save`; without it, all.
    pub uses: Option<fn() -> SmallVec<[u32; 3]>>,
}

impl Grad {
    /// Says what the gradient of each tensor parameter needs, where it is less than all that may be saved.
    #[must_use]
    pub const fn each(self, uses: fn() -> SmallVec<[u32; 3]>) -> Grad {
        Grad {
            uses: Some(uses),
            ..self
        }
    }
}

/// Save the tensor argument at this position of the schema.
#[must_use]
pub const fn arg(position: usize) -> u32 {
    1 << position
}

/// Save this output.
#[must_use]
pub const fn out(index: usize) -> u32 {
    1 << (16 + index)
}

/// Save sizes and dtypes of all tensor arguments, also of those that need no gradient.
pub const SHAPES: u32 = 1 << 31;

#[must_use]
pub const fn rule(save: u32, rule: fn(&Ctx) -> Grads) -> Grad {
    Grad {
        name: "",
        save,
        rule,
        uses: None,
    }
}

#[must_use]
pub const fn named(name: &'static str, save: u32, rule: fn(&Ctx) -> Grads) -> Grad {
    Grad {
        name,
        save,
        rule,
        uses: None,
    }
}

/// The declaration of an op.
pub struct Op {
    pub schema: &'static str,
    pub doc: &'static str,
    pub variants: u16,
    pub body: Body,
    pub grad: Option<Grad>,
}

/// A composition's one result.
pub fn output(result: Result<Tensor>) -> Result<Outputs> {
    Ok(smallvec::smallvec![Value::Tensor(result?)])
}

/// A composition's result that is a list.
pub fn output_list(results: Vec<Tensor>) -> Outputs {
    smallvec::smallvec![Value::Tensors(results)]
}

#[must_use]
pub const fn kernel(
    meta: fn(Args) -> Result<Outs>,
    cpu: fn(Args, &[Tensor]) -> Result<()>,
) -> Body {
    Body::Kernel { meta, cpu }
}

pub type ArgVec = SmallVec<[Value; 6]>;

/// An op as registered: its declaration with everything derived from it.
pub struct Entry {
    pub op: &'static Op,
    pub schema: Schema,
    /// Position in the table.
    pub id: usize,
    /// Name of its tape nodes: `AddBackward0`.
    pub node_name: String,
    /// Position of the `device` parameter, for ops that create tensors.
    pub device_param: Option<usize>,
    /// What the gradient of each tensor parameter needs saved, where they differ.
    pub uses: SmallVec<[u32; 3]>,
}

impl Entry {
    #[must_use]
    pub fn has(&self, variant: u16) -> bool {
        self.op.variants & variant != 0
    }

    /// What to save of a call, as bits of [`arg`], [`out`] and [`SHAPES`].
    #[must_use]
    pub fn saves(&self, args: &[Value]) -> u32 {
        if self.uses.is_empty() {
            return self.op.grad.map_or(0, |grad| grad.save);
        }
        let wanted = |value: &Value| value.tensor().is_some_and(Tensor::requires_grad);
        let pairs = self.uses.iter().zip(args);
        pairs
            .filter(|(_, value)| wanted(value))
            .fold(0, |all, (uses, _)| all | uses)
    }

    /// Calls with leading arguments; the rest take their defaults.
    pub fn call(&'static self, mut args: ArgVec) -> Result<Outputs> {
        self.complete(&mut args);
        call(self, &args)
    }

    /// The in-place form, with defaults as for `call`.
    pub fn call_inplace(&'static self, mut args: ArgVec) -> Result<()> {
        self.complete(&mut args);
        call_inplace(self, &args)
    }

    /// Adds the defaults of the arguments that were not given.
    fn complete(&self, args: &mut ArgVec) {
        for param in self.schema.params.iter().skip(args.len()) {
            args.push(param.default.clone().unwrap_or_default());
        }
    }
}

/// The families, in the order of the reference.
#[rustfmt::skip]
static FAMILIES: &[&[Op]] = &[
    view::OPS,
    as_strided::OPS,
    unary::OPS,
    rounding::OPS,
    parts::OPS,
    binary::OPS,
    compare::OPS,
    activation::OPS,
    special::OPS,
    composed::OPS,
    reinterpret::OPS,
    shape::OPS,
    shuffle::OPS,
    split::OPS,
    index::OPS,
    nonzero::OPS,
    scatter::OPS,
    index_add::OPS,
    masked::OPS,
    join::OPS,
    rearrange::OPS,
    diagonal::OPS,
    view_scatter::OPS,
    reduce::OPS,
    reduce_index::OPS,
    create::OPS,
    range::OPS,
    random::OPS,
    dropout::OPS,
    copy::OPS,
    combine::OPS,
    window::OPS,
    attention::OPS,
    recurrent::OPS,
    reduce_moments::OPS,
    scan::OPS,
    difference::OPS,
    sort::OPS,
    unique::OPS,
    search::OPS,
    quantile::OPS,
    segment::OPS,
    softmax::OPS,
    vector_norm::OPS,
    norm::OPS,
    norm_batch::OPS,
    norm_channels::OPS,
    matmul::OPS,
    outer::OPS,
    addmm::OPS,
    contract::OPS,
    einsum::OPS,
    conv::OPS,
    conv_nd::OPS,
    fold::OPS,
    pooling::OPS,
    avg_pool::OPS,
    adaptive_pool::OPS,
    loss::OPS,
    cross_entropy::OPS,
    distance::OPS,
    resample::OPS,
    grid::OPS,
    margin::OPS,
    pad::OPS,
    linalg::OPS,
    linalg_solve::OPS,
    linalg_det::OPS,
    fft::OPS,
    fft_primitives::OPS,
    stft::OPS,
    linalg_norm::OPS,
    linalg_exp::OPS,
    linalg_pinv::OPS,
    linalg_lstsq::OPS,
    linalg_packed::OPS,
    linalg_cholesky::OPS,
    linalg_spectral::OPS,
    embed::OPS,
    optim::OPS,
];

pub struct Table {
    pub entries: Vec<Entry>,
    by_name: HashMap<&'static str, Vec<usize>>,
}

/// All ops. The first use parses the schemas.
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| lookup::build(FAMILIES))
}
