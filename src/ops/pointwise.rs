//! The pointwise family: from one formula, an op's promotion, kernel, fused backward pass, and the
//! same gradient as recorded ops where it is to be differentiated again or runs on another device.

use smallvec::SmallVec;

use super::expr::Tree;
use super::replay::replay;
use super::{Args, Grads, Out, Val, Value, arg, out, result_type};
use crate::autograd::{Ctx, grad_enabled};
use crate::cpu::pointwise::{Input, Run};
use crate::cpu::pointwise_walk::{Operand, Splat, apply, repeated};
use crate::tensor::{
    Category, DType, Dims, FromScalar, Scalar, Tensor, broadcast_shapes, default_dtype,
};
use crate::{Result, dispatch, fail};

/// A formula's loops, by lane type: f32, f64, complex128, i64, i32, i16, i8, u8.
pub type Loops = [Option<Run>; 8];

/// The loop for elements of a dtype, and the lane type in which it computes.
fn loop_for(loops: &Loops, dtype: DType) -> Option<(Run, DType)> {
    let pick = |index: usize, lane: DType| loops[index].map(|run| (run, lane));
    let own = match dtype {
        DType::F64 => None,
        DType::I32 => pick(4, DType::I32),
        DType::I16 => pick(5, DType::I16),
        DType::I8 => pick(6, DType::I8),
        DType::U8 | DType::Bool => pick(7, DType::U8),
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
    pub loops: Loops,
    pub grain: usize,
    /// Rejects dtypes; gets the promoted one.
    pub check: Option<fn(Args, DType) -> Result<()>>,
    /// Looks at the data before the kernel runs.
    pub before: Option<fn(Args, DType) -> Result<()>>,
    /// Other loops for particular arguments.
    pub choose: Option<fn(Args, DType) -> Option<&'static Loops>>,
}

pub trait Pointwise {
    const SPEC: Spec;
}

/// The gradient of one operand: a formula of the result's gradient, the operands, the result, and
/// the scalar parameters.
pub struct Derivative {
    pub loops: Loops,
    pub tree: fn(complex: bool) -> &'static Tree,
}

pub trait Differentiable: Pointwise {
    const DERIVATIVES: &'static [Derivative];
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

    fn result(&self, common: DType) -> DType {
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
        if loop_for(&self.loops, common).is_none() {
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

    /// The CPU's kernel.
    pub fn run(&self, args: Args, outs: &[Tensor]) -> Result<()> {
        self.fill(args, self.common(args)?, &outs[0])
    }

    /// The kernel, where the dtype to compute in is known.
    pub fn fill(&self, args: Args, common: DType, target: &Tensor) -> Result<()> {
        if let Some(before) = self.before {
            before(args, common)?;
        }
        let chosen = self.choose.and_then(|choose| choose(args, common));
        let params = args.0.get(self.operands..self.operands + self.params);
        let params = params.unwrap_or_default();
        let Some((run, lane)) = loop_with(chosen.unwrap_or(&self.loops), common, params) else {
            return Ok(());
        };
        let params = scalars(lane, params.iter())?;
        let lanes = Lanes {
            operands: lane,
            result: self.result(lane),
        };
        let wrapped: SmallVec<[(usize, Value); 1]>;
        let mut operands: SmallVec<[&Value; 4]> = args.0[..self.operands].iter().collect();
        if !common.is_integral(false) || common == DType::I64 {
            return launch(run, lanes, &operands, &params, target, self.grain);
        }
        wrapped = wrap_numbers(&args.0[self.untyped..self.operands], common)?;
        for (i, number) in &wrapped {
            operands[self.untyped + i] = number;
        }
        launch(run, lanes, &operands, &params, target, self.grain)
    }
}

/// The operands' common shape.
fn shape_of<'a>(operands: impl Iterator<Item = &'a Value>) -> Result<Dims> {
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

/// Numbers and 0-dim tensors that the common integer dtype, narrower than int64, may not hold, as it wraps them.
fn wrap_numbers(operands: &[Value], common: DType) -> Result<SmallVec<[(usize, Value); 1]>> {
    let mut wrapped = SmallVec::new();
    for (i, value) in operands.iter().enumerate() {
        let number = match value {
            Value::Num(s) => *s,
            Value::Tensor(t) if t.ndim() == 0 && t.dtype() != common => {
                Scalar::Int(t.to_vec::<i64>()?[0])
            }
            _ => continue,
        };
        let number = dispatch!(all common, T => <T as FromScalar>::from_scalar(number).to_scalar());
        wrapped.push((i, Value::Num(number)));
    }
    Ok(wrapped)
}

/// The types that a loop reads and writes.
#[derive(Clone, Copy)]
struct Lanes {
    operands: DType,
    result: DType,
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
    let lanes = Lanes {
        operands: lane,
        result: written.unwrap_or(lane),
    };
    launch(
        run,
        lanes,
        operands,
        &params,
        target,
        crate::cpu::pool::grain::MATH,
    )
}

/// Scalar parameters in the lane type, side by side; None is NaN.
type Params = SmallVec<[u128; 2]>;

fn scalars<'a>(lane: DType, values: impl Iterator<Item = &'a Value>) -> Result<Params> {
    let mut params = Params::new();
    for (i, value) in values.enumerate() {
        let scalar = match value {
            Value::Num(s) => *s,
            Value::None => Scalar::Float(f64::NAN),
            _ => fail!(Type, "expected a Number"),
        };
        let at = i * lane.size();
        params.resize((at + lane.size()).div_ceil(16), 0);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut params);
        write_scalar(lane, scalar, &mut bytes[at..]);
    }
    Ok(params)
}

fn write_scalar(lane: DType, scalar: Scalar, bytes: &mut [u8]) {
    dispatch!(all lane, T => {
        let value = <T as FromScalar>::from_scalar(scalar);
        bytes[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(&value));
    });
}

/// Runs a loop over operands broadcast to the output.
fn launch(
    run: Run,
    lanes: Lanes,
    operands: &[&Value],
    params: &Params,
    target: &Tensor,
    grain: usize,
) -> Result<()> {
    match operands.len() {
        1 => launch_n::<2>(run, lanes, operands, params, target, grain),
        2 => launch_n::<3>(run, lanes, operands, params, target, grain),
        3 => launch_n::<4>(run, lanes, operands, params, target, grain),
        4 => launch_n::<5>(run, lanes, operands, params, target, grain),
        _ => launch_n::<6>(run, lanes, operands, params, target, grain),
    }
}

fn launch_n<const K: usize>(
    run: Run,
    lanes: Lanes,
    operands: &[&Value],
    params: &Params,
    target: &Tensor,
    grain: usize,
) -> Result<()> {
    let mut numbers = [[0u128; 1]; K];
    let mut places = [Operand {
        ptr: target.data_ptr(),
        dtype: target.dtype(),
        lane: lanes.result,
    }; K];
    // Dense operands of one shape are one long row.
    let mut flat = target.is_contiguous();
    for (k, value) in operands.iter().enumerate() {
        let place = &mut places[k + 1];
        place.lane = lanes.operands;
        match value {
            Value::Tensor(t) => {
                (place.ptr, place.dtype) = (t.data_ptr(), t.dtype());
                flat = flat && t.shape() == target.shape() && t.is_contiguous();
            }
            Value::Num(s) => {
                let number: &mut [u8] = bytemuck::cast_slice_mut(&mut numbers[k]);
                write_scalar(lanes.operands, *s, number);
                (place.ptr, place.dtype) = (number.as_mut_ptr(), lanes.operands);
            }
            _ => fail!(Type, "argument {} must be Tensor or Number", k + 1),
        }
    }
    let params = params.as_ptr().cast();
    if flat && target.numel() as usize <= SMALL && places.iter().all(|p| p.dtype == p.lane) {
        // SAFETY: as below.
        unsafe { run_small(run, operands, &places, target.numel() as usize, params) };
        return Ok(());
    }
    if flat {
        let steps: [[i64; 1]; K] = std::array::from_fn(|k| match k {
            0 => [1],
            _ => [i64::from(operands[k - 1].tensor().is_some())],
        });
        let strides = std::array::from_fn(|k| &steps[k][..]);
        // SAFETY: as below; contiguous tensors of one shape hold as many elements in a row.
        unsafe { apply(run, &[target.numel()], strides, places, params, grain) };
        return Ok(());
    }
    let strides = broadcast_strides::<K>(operands, target)?;
    let strides = std::array::from_fn(|k| &strides[k][..]);
    // SAFETY: layouts lie within their storages; `ops::call` hands out no output that overlaps an
    // operand unless it is exactly that operand.
    unsafe { apply(run, target.shape(), strides, places, params, grain) };
    Ok(())
}

/// Elements of a call that is over sooner than its loops are planned.
const SMALL: usize = 64;

/// Runs a loop over a few contiguous elements of the lane types themselves.
///
/// # Safety
/// The target (place 0) and tensor operands have `n` elements, at most `SMALL`, at their places; numbers have one.
unsafe fn run_small<const K: usize>(
    run: Run,
    operands: &[&Value],
    places: &[Operand; K],
    n: usize,
    params: *const u8,
) {
    let mut splats = [Splat::uninit(); K];
    let mut inputs = places.map(|place| Input {
        ptr: place.ptr,
        step: 1,
    });
    for k in 1..K {
        if operands.get(k - 1).is_some_and(|v| v.tensor().is_none()) {
            // SAFETY: a number has one element.
            inputs[k] = unsafe { repeated(places[k].ptr, places[k].lane, &mut splats[k]) };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { run(inputs[1..].as_ptr(), places[0].ptr, n, params) }
}

/// Strides of the target and of the operands broadcast to it.
fn broadcast_strides<const K: usize>(operands: &[&Value], target: &Tensor) -> Result<[Dims; K]> {
    let shape = target.shape();
    let mut strides: [Dims; K] = std::array::from_fn(|_| Dims::new());
    strides[0] = Dims::from_slice(target.strides());
    for (value, strides) in operands.iter().zip(&mut strides[1..]) {
        match value {
            Value::Tensor(t) if t.shape() == shape => strides.extend_from_slice(t.strides()),
            Value::Tensor(t) => *strides = t.layout().expand(shape)?.strides,
            _ => strides.resize(shape.len(), 0),
        }
    }
    Ok(strides)
}

/// Bits of what the gradient of each operand needs saved.
#[must_use]
pub fn uses<P: Differentiable>() -> SmallVec<[u32; 3]> {
    let operands = P::SPEC.operands;
    let bits = |d: &Derivative| {
        let inputs = (d.tree)(true).inputs;
        let of_operands = (0..operands).filter(|i| inputs & (2 << i) != 0).map(arg);
        let of_result = if inputs & (2 << operands) == 0 {
            0
        } else {
            out(0)
        };
        of_operands.fold(of_result, |all, bit| all | bit)
    };
    P::DERIVATIVES.iter().map(bits).collect()
}

/// The gradient rule that the derivatives make.
pub fn rule<P: Differentiable>(ctx: &Ctx) -> Grads {
    let spec = &P::SPEC;
    let slots = P::DERIVATIVES.iter().enumerate();
    slots
        .map(|(slot, d)| ctx.when(slot, || Val(gradient(spec, d, ctx))))
        .collect()
}

/// Stands for what a formula does not read.
static ABSENT: Value = Value::None;

fn gradient(spec: &Spec, derivative: &Derivative, ctx: &Ctx) -> Result<Tensor> {
    let g = ctx.g().get()?;
    let tree = (derivative.tree)(g.dtype().is_complex() || spec.kind == Kind::Real);
    let uses = |input: usize| tree.inputs & (1 << input) != 0;
    let g = Value::Tensor(g);
    let result = if uses(spec.operands + 1) {
        Value::Tensor(ctx.y(0).get()?)
    } else {
        Value::None
    };
    let mut inputs: SmallVec<[&Value; 6]> = smallvec::smallvec![&g];
    let args = ctx.args();
    inputs.extend((0..spec.operands).map(|i| if uses(i + 1) { args.get(i) } else { &ABSENT }));
    inputs.push(&result);
    let params = (0..spec.params).map(|i| args.get(spec.operands + i));
    let fusible = |t: &Tensor| t.device().is_cpu() && t.dtype().is_float() && !t.lazy().any();
    if grad_enabled() || !inputs.iter().filter_map(|v| v.tensor()).all(fusible) {
        let all: Vec<Value> = inputs.into_iter().chain(params).cloned().collect();
        return replay(tree, &all);
    }
    fused(&derivative.loops, &inputs, params)
}

/// One pass over everything the formula reads.
fn fused<'a>(
    loops: &Loops,
    inputs: &[&'a Value],
    params: impl Iterator<Item = &'a Value>,
) -> Result<Tensor> {
    // An operand that the formula does not read stands in as the gradient.
    let operands: SmallVec<[&Value; 6]> = inputs
        .iter()
        .map(|v| if v.is_none() { inputs[0] } else { *v })
        .collect();
    let common = result_type(operands.iter().copied())?;
    let Some((run, lane)) = loop_for(loops, common) else {
        fail!(
            NotImplemented,
            "the gradient is not implemented for '{}'",
            common.scalar_name()
        );
    };
    let shape = shape_of(operands.iter().copied())?;
    let target = Tensor::empty(&shape, common)?;
    let lanes = Lanes {
        operands: lane,
        result: lane,
    };
    let params = scalars(lane, params)?;
    launch(run, lanes, &operands, &params, &target, GRAIN)?;
    Ok(target)
}

/// Elements of a gradient that make a task.
const GRAIN: usize = crate::cpu::pool::grain::MATH;
