//! Formulas for backends in Python: each is handed over once as an object, and every call as a signature and a
//! block of words, so that a launch costs Python one look-up. `rtensor.backend.Launch` describes both.

use std::collections::HashMap;
use std::fmt::Write;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use smallvec::SmallVec;

use crate::backend::Map;
use crate::cpu::iter::Plan;
use crate::ops::Value;
use crate::ops::expr::{Expr, Node, Tree};
use crate::tensor::{Category, DType, Scalar, Tensor};
use crate::{Result, fail};

/// The most places that a call has: the target and its operands.
const PLACES: usize = 6;
/// Bytes that a thread reads at once from the widest operand.
const VECTOR: usize = 16;

/// The objects of the formulas met so far, by their addresses.
#[derive(Default)]
pub struct Maps(Mutex<HashMap<usize, Py<PyAny>>>);

impl Maps {
    pub fn run(&self, backend: &Bound<'_, PyAny>, map: &Map) -> PyResult<()> {
        let count = map.target.numel();
        if count == 0 {
            return Ok(());
        }
        let py = backend.py();
        let (signature, words) = described(map)?;
        let bytes = PyBytes::new(py, bytemuck::cast_slice(&words));
        let formula = self.object(py, map.tree)?;
        backend
            .call_method1("map", (formula, signature, bytes, count))
            .map(drop)
    }

    fn object<'py>(&self, py: Python<'py>, tree: &'static Tree) -> PyResult<Bound<'py, PyAny>> {
        let key = std::ptr::from_ref(tree) as usize;
        if let Some(known) = self.0.lock().get(&key) {
            return Ok(known.bind(py).clone());
        }
        let class = py.import("rtensor.backend")?.getattr("Formula")?;
        let made = class.call1((nodes(py, tree)?, operand(py, tree.root)?))?;
        self.0.lock().insert(key, made.clone().unbind());
        Ok(made)
    }
}

/// A literal as a float, a node as its position.
fn operand(py: Python<'_>, e: Expr) -> PyResult<Bound<'_, PyAny>> {
    Ok(match e {
        Expr::Lit(value) => value.into_pyobject(py)?.into_any(),
        Expr::Node(at) => at.into_pyobject(py)?.into_any(),
    })
}

/// The nodes as tuples: `("input", 0)`, `("add", 0, 2.0)`.
fn nodes<'py>(py: Python<'py>, tree: &Tree) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for node in &tree.nodes {
        let mut items: Vec<Bound<'_, PyAny>> = Vec::new();
        match node {
            Node::Input(index) => {
                items.push("input".into_pyobject(py)?.into_any());
                items.push(index.into_pyobject(py)?.into_any());
            }
            Node::Call(name, args) => {
                items.push(name.into_pyobject(py)?.into_any());
                for &e in args {
                    items.push(operand(py, e)?);
                }
            }
        }
        list.append(PyTuple::new(py, items)?)?;
    }
    Ok(list)
}

type Words = SmallVec<[u64; 32]>;

/// A tensor as the kernel sees it: its strides for the sizes of the target.
struct Place {
    tensor: Tensor,
    strides: SmallVec<[i64; 6]>,
}

/// The signature and the words of a call.
fn described(map: &Map) -> Result<(String, Words)> {
    let mut places: SmallVec<[Place; PLACES]> = SmallVec::new();
    places.push(Place {
        tensor: map.target.clone(),
        strides: map.target.strides().into(),
    });
    let mut numbers = Words::new();
    let mut signature = format!("{}>{}:{}", map.lane, map.result, map.target.dtype());
    for value in map.operands {
        signature.push(',');
        match value {
            Value::Tensor(t) if t.device() == map.target.device() => {
                let _ = write!(signature, "{}", t.dtype());
                let strides = t.layout().expand(map.target.shape())?.strides;
                let (tensor, strides) = (t.clone(), strides.into_iter().collect());
                places.push(Place { tensor, strides });
            }
            Value::Tensor(t) if t.numel() == 1 => {
                signature.push('#');
                number(map.lane, t.item()?, &mut numbers);
            }
            Value::Num(s) => {
                signature.push('#');
                number(map.lane, *s, &mut numbers);
            }
            Value::None => signature.push('-'),
            _ => fail!(Type, "an operand must be Tensor or Number"),
        }
    }
    for value in map.params {
        let scalar = match value {
            Value::Num(s) => *s,
            _ => Scalar::Float(f64::NAN),
        };
        number(map.lane, scalar, &mut numbers);
    }
    let _ = write!(signature, ",{}", map.params.len());
    let mut words: Words = smallvec::smallvec![map.target.numel() as u64];
    words.extend(places.iter().map(|p| p.tensor.data_ptr() as u64));
    words.append(&mut numbers);
    lay_out(&places, map.target.shape(), &mut signature, &mut words);
    Ok((signature, words))
}

/// Two words for a number of the lane type: a double and its imaginary part, or an integer.
fn number(lane: DType, value: Scalar, words: &mut Words) {
    match lane.category() {
        Category::Bool | Category::Int => words.extend([value.to_i64() as u64, 0]),
        Category::Float => words.extend([value.to_f64().to_bits(), 0]),
        Category::Complex => {
            let z = value.to_c128();
            words.extend([z.re.to_bits(), z.im.to_bits()]);
        }
    }
}

/// How elements are found: `v4`, four in a row per thread; `s3`, by sizes and strides, innermost first, which
/// follow the numbers; `l3` where an offset needs 64 bits.
fn lay_out(places: &[Place], shape: &[i64], signature: &mut String, words: &mut Words) {
    let none: SmallVec<[i64; 6]> = smallvec::smallvec![0; shape.len()];
    let strides: [&[i64]; PLACES] =
        std::array::from_fn(|k| &places.get(k).map_or(&none, |p| &p.strides)[..]);
    let plan = Plan::new(shape, strides);
    let (_, inner) = plan.inner();
    if plan.dims.len() == 1 && inner[..places.len()].iter().all(|&step| step == 1) {
        let _ = write!(signature, ",v{}", vector(places));
        return;
    }
    let reach = |k: usize| -> i64 {
        plan.dims
            .iter()
            .map(|(size, steps)| (size - 1) * steps[k].abs())
            .sum()
    };
    let far = (0..places.len()).map(reach).max().unwrap_or(0) > i64::from(i32::MAX);
    let wide = far || plan.dims.iter().map(|d| d.0).product::<i64>() > i64::from(i32::MAX);
    let _ = write!(
        signature,
        ",{}{}",
        if wide { 'l' } else { 's' },
        plan.dims.len()
    );
    for (size, steps) in plan.dims.iter().rev() {
        words.push(*size as u64);
        words.extend(steps[..places.len()].iter().map(|&step| step as u64));
    }
}

/// How many elements a thread takes: what fills a vector of the widest operand, where all are aligned for it.
fn vector(places: &[Place]) -> usize {
    let widest = places
        .iter()
        .map(|p| p.tensor.dtype().size())
        .max()
        .unwrap_or(1);
    let count = (VECTOR / widest).max(1);
    let aligned =
        |p: &Place| (p.tensor.data_ptr() as usize).is_multiple_of(p.tensor.dtype().size() * count);
    if places.iter().all(aligned) { count } else { 1 }
}
