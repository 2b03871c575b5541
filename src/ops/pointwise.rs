//! The pointwise family: from one formula, an op's promotion, kernel, fused backward pass, and the
//! same gradient as recorded ops where it is to be differentiated again or runs on another device.

use smallvec::SmallVec;

use super::expr::Tree;
use super::pointwise_launch::{Lanes, Params, launch, launch_flat, scalars};
use super::pointwise_plain::are_rows_of_halves;
use super::{Args, Out, Value, result_type};
use crate::cpu::pointwise::Run;
use crate::tensor::{
    Category, DType, Dims, FromScalar, Scalar, Tensor, broadcast_shapes, default_dtype,
};
use crate::{Result, backend, dispatch, fail};

/// A formula's loops, by lane type: f32, f64, complex128, i64, i32, i16, i8, u8, complex64.
pub type Loops = [Option<Run>; 9];

/// The loop for elements of a dtype, and the lane type in which it computes.
pub(super) fn loop_for(loops: &Loops, dtype: DType) -> Option<(Run, DType)> {
    let pick = |index: usize, lane: DType| loops[index].map(|run| (run, lane));
    let own = match dtype {
        DType::F64 => None,
        DType::I32 => pick(4, DType::I32),
        DType::I16 => pick(5, DType::I16),
        DType::I8 => pick(6, DType::I8),
        DType::U8 | DType::Bool => pick(7, DType::U8),
        DType::C64 => pick(8, DType::C64),
        _ if dtype.is_float() => pick(0, DType::F32),
        _ => None,
    };
    own.or_else(|| match dtype.category() {
        Category::Bool | Category::Int => pick(3, DType::I64),
        Category::Complex => pick(2, DType::C128),
        Category::Float => pick(1, DType::F64),
    })
}

/// [`loop_for`], but in 64 bits where an integer parameter does not fit the dtype.
fn loop_with(loops: &Loops, dtype: DType, params: &[Value]) -> Option<(Run, DType)> {
    let fits = |value: &Value| match value {
        Value::Num(s) => {
            dispatch!(all dtype, T => <T as FromScalar>::from_scalar(*s).to_scalar().to_f64() == s.to_f64())
        }
        _ => true,
    };
    if dtype.is_integral(false) && dtype != DType::I64 && !params.iter().all(fits) {
        return loops[3].map(|run| (run, DType::I64));
    }
    loop_for(loops, dtype)
}

/// What integers become, and the dtype of the result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Operands and result in the promoted dtype.
    Keep,
    /// Integers compute in the default float dtype.
    Float,
    /// Bool computes as int64.
    Whole,
    /// The result is bool.
    Mask,
    /// Integers compute in the default float dtype, the result is bool.
    FloatMask,
    /// The result is real where the operands are complex.
    Real,
    /// As `Real`; integers compute in the default float dtype.
    FloatReal,
    /// The result is complex where the operands are real.
    Complex,
}

/// A pointwise op: what its declaration says.
pub struct Spec {
    /// PyTorch's name of the kernel, for its message where a dtype is not taken.
    pub kernel: &'static str,
    pub kind: Kind,
    /// How many leading arguments are operands; the scalars that the formula takes follow them.
    pub operands: usize,
    /// How many of them do not take part in the promotion.
    pub untyped: usize,
    pub params: usize,
    pub formula: Formula,
    pub grain: usize,
    /// Rejects dtypes; gets the promoted one.
    pub check: Option<fn(Args, DType) -> Result<()>>,
    /// Looks at the data before the kernel runs.
    pub before: Option<fn(Args, DType) -> Result<()>>,
    /// Another formula for particular arguments.
    pub choose: Option<fn(Args, DType) -> Option<&'static Formula>>,
}

pub trait Pointwise {
    const SPEC: Spec;
}

/// A formula: loops for the CPU, and written down for everything else.
pub struct Formula {
    pub loops: Loops,
    /// The loop over bfloat16 elements, which computes in float32.
    pub halves: Option<Run>,
    pub tree: fn(complex: bool) -> &'static Tree,
}

pub trait Differentiable: Pointwise {
    /// The gradient of each operand: formulas of the result's gradient, the operands, the result,
    /// and the scalar parameters.
    const DERIVATIVES: &'static [Formula];
}

impl Spec {
    /// The dtype that the formula computes in.
    fn common(&self, args: Args) -> Result<DType> {
        let dtype = result_type(&args.0[self.untyped..self.operands])?;
        Ok(match self.kind {
            Kind::Float | Kind::FloatMask | Kind::FloatReal if dtype.is_integral(true) => {
                default_dtype()
            }
            Kind::Whole if dtype == DType::Bool => DType::I64,
            _ => dtype,
        })
    }

    pub(super) fn result(&self, common: DType) -> DType {
        match self.kind {
            Kind::Keep | Kind::Float | Kind::Whole => common,
            Kind::Mask | Kind::FloatMask => DType::Bool,
            Kind::Real | Kind::FloatReal => common.to_real(),
            Kind::Complex => common.to_complex(),
        }
    }

    /// Sizes and dtype of the result, and the dtype to compute in.
    pub fn plan(&self, args: Args) -> Result<(Out, DType)> {
        let common = self.common(args)?;
        if let Some(check) = self.check {
            check(args, common)?;
        }
        if loop_for(&self.formula.loops, common).is_none() {
            fail!(
                NotImplemented,
                "\"{}\" not implemented for '{}'",
                self.kernel,
                common.scalar_name()
            );
        }
        let operands = &args.0[..self.operands];
        let mut out = Out::new(&[], self.result(common));
        out.shape = shape_of(operands.iter())?;
        out.strides = kept_strides(operands, &out.shape);
        Ok((out, common))
    }

    /// Fills the result, where the dtype to compute in is known.
    #[inline]
    pub fn fill(&self, args: Args, common: DType, target: &Tensor) -> Result<()> {
        let chosen = self.choose.and_then(|choose| choose(args, common));
        let formula = chosen.unwrap_or(&self.formula);
        let params = args.0.get(self.operands..self.operands + self.params);
        let params = params.unwrap_or_default();
        if target.device().is_cpu() {
            self.fill_here(formula, args, common, params, target)
        } else {
            self.fill_there(formula, args, common, params, target)
        }
    }

    /// On another device: the formula as it is written down.
    fn fill_there(
        &self,
        formula: &Formula,
        args: Args,
        common: DType,
        params: &[Value],
        target: &Tensor,
    ) -> Result<()> {
        let Some((_, lane)) = loop_with(&formula.loops, common, params) else {
            return Ok(());
        };
        let lane = if common == DType::C64 { common } else { lane };
        let tree = (formula.tree)(common.is_complex());
        let wrapped = self.wrapped(args, common)?;
        let operands = self.operands(args, &wrapped);
        backend::map(&backend::Map {
            tree,
            lane,
            result: self.result(lane),
            operands: &operands,
            params: &params.iter().collect::<SmallVec<[&Value; 3]>>(),
            target,
        })
    }

    /// On the CPU.
    #[inline]
    fn fill_here(
        &self,
        formula: &Formula,
        args: Args,
        common: DType,
        params: &[Value],
        target: &Tensor,
    ) -> Result<()> {
        if let Some(before) = self.before {
            before(args, common)?;
        }
        let Some((run, lane)) = loop_with(&formula.loops, common, params) else {
            return Ok(());
        };
        let params = scalars(lane, params.iter())?;
        if let Some(run) = formula.halves
            && are_rows_of_halves(&args.0[..self.operands], target)
        {
            let operands = &args.0[..self.operands];
            return launch_flat(run, Lanes::HALVES, operands, &params, target, self.grain);
        }
        let lanes = Lanes::of(lane, self.result(lane));
        let wrapped = self.wrapped(args, common)?;
        let operands = self.operands(args, &wrapped);
        launch(run, lanes, &operands, &params, target, self.grain)
    }

    /// Numbers among the operands as the common dtype holds them.
    #[inline]
    fn wrapped(&self, args: Args, common: DType) -> Result<Wrapped> {
        if !common.is_integral(false) || common == DType::I64 {
            return Ok(Wrapped::new());
        }
        wrap_numbers(&args.0[self.untyped..self.operands], common)
    }

    #[inline]
    fn operands<'a>(&self, args: Args<'a>, wrapped: &'a Wrapped) -> SmallVec<[&'a Value; 6]> {
        let mut operands: SmallVec<[&Value; 6]> = args.0[..self.operands].iter().collect();
        for (i, number) in wrapped {
            operands[self.untyped + i] = number;
        }
        operands
    }
}

/// The operands' common shape.
pub(super) fn shape_of<'a>(operands: impl Iterator<Item = &'a Value>) -> Result<Dims> {
    let mut tensors = operands.filter_map(Value::tensor);
    let Some(first) = tensors.next() else {
        return Ok(Dims::new());
    };
    let mut shape = Dims::from_slice(first.shape());
    for t in tensors {
        if t.shape() != &shape[..] {
            shape = broadcast_shapes(&shape, t.shape())?;
        }
    }
    Ok(shape)
}

/// A permuted dense operand hands its strides on to the result.
fn kept_strides(operands: &[Value], shape: &[i64]) -> Option<Dims> {
    let mut full = operands
        .iter()
        .filter_map(Value::tensor)
        .filter(|t| t.shape() == shape);
    let first = full.next()?.layout();
    let same = !first.is_contiguous()
        && first.is_dense()
        && full.all(|t| t.strides() == &first.strides[..]);
    (same && first.strides.iter().all(|&s| s > 0)).then(|| first.strides.clone())
}

/// Operands that stand in for those at these positions.
type Wrapped = SmallVec<[(usize, Value); 1]>;

/// Numbers and 0-dim tensors that the common integer dtype, narrower than int64, may not hold, as it wraps them.
fn wrap_numbers(operands: &[Value], common: DType) -> Result<Wrapped> {
    let mut wrapped = Wrapped::new();
    for (i, value) in operands.iter().enumerate() {
        let number = match value {
            Value::Num(s) => *s,
            Value::Tensor(t) if t.ndim() == 0 && t.dtype() != common && t.device().is_cpu() => {
                Scalar::Int(t.to_vec::<i64>()?[0])
            }
            _ => continue,
        };
        let number = dispatch!(all common, T => <T as FromScalar>::from_scalar(number).to_scalar());
        wrapped.push((i, Value::Num(number)));
    }
    Ok(wrapped)
}

/// Fills a tensor by loops that take no parameters; they write the tensor's dtype, or the lane's
/// where that is `None`.
pub fn fill_with(
    loops: &Loops,
    operands: &[&Value],
    target: &Tensor,
    written: Option<DType>,
) -> Result<()> {
    let common = result_type(operands.iter().copied())?;
    let Some((run, lane)) = loop_for(loops, common) else {
        fail!(
            NotImplemented,
            "this operator is not implemented for '{}'",
            common.scalar_name()
        );
    };
    let params = Params::new();
    let lanes = Lanes::of(lane, written.unwrap_or(lane));
    launch(
        run,
        lanes,
        operands,
        &params,
        target,
        crate::cpu::pool::grain::MATH,
    )
}
