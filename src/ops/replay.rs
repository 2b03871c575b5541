//! A written-down formula carried out as ops of the table.

use std::collections::HashMap;
use std::sync::OnceLock;

use smallvec::SmallVec;

use super::expr::{Expr, Node, Tree};
use super::{Entry, Val, Value};
use crate::Result;
use crate::tensor::{Scalar, Tensor, c128};

/// Carries the formula out op by op, recorded like any other.
pub(super) fn replay(tree: &Tree, inputs: &[Value]) -> Result<Tensor> {
    let mut values: Vec<Value> = Vec::with_capacity(tree.nodes.len());
    let read = |e: &Expr, values: &[Value]| match *e {
        Expr::Lit(v) => Value::Num(Scalar::Float(v)),
        Expr::Node(i) => values[i as usize].clone(),
    };
    for node in &tree.nodes {
        let value = match node {
            // A parameter that was not given is NaN in formulas.
            Node::Input(i) if inputs[*i].is_none() => Value::Num(Scalar::Float(f64::NAN)),
            Node::Input(i) => inputs[*i].clone(),
            Node::Call(name, args) => {
                let args: SmallVec<[Value; 3]> = args.iter().map(|a| read(a, &values)).collect();
                call_named(name, &args)?
            }
        };
        values.push(value);
    }
    match read(&tree.root, &values) {
        Value::Num(s) => {
            let g = inputs[0].clone().into_tensor()?;
            (Val::from(g).zeros_like() + s.to_f64()).get()
        }
        value => value.into_tensor(),
    }
}

/// Calls an op of a formula. Numbers are computed with as numbers.
fn call_named(name: &str, args: &[Value]) -> Result<Value> {
    if let Some(value) = fold_numbers(name, args) {
        return Ok(value);
    }
    let flipped =
        |name: &'static str| Ok::<_, crate::Error>((name, [args[1].clone(), args[0].clone()]));
    // The first operand of a comparison or a commutative op must be a tensor.
    let (name, args): (&str, SmallVec<[Value; 3]>) = match (name, args) {
        (
            "add" | "mul" | "eq" | "ne" | "maximum" | "minimum",
            [Value::Num(_), Value::Tensor(_)],
        ) => (
            name,
            [args[1].clone(), args[0].clone()].into_iter().collect(),
        ),
        ("lt", [Value::Num(_), Value::Tensor(_)]) => {
            flipped("gt").map(|(n, a)| (n, a.into_iter().collect()))?
        }
        ("le", [Value::Num(_), Value::Tensor(_)]) => {
            flipped("ge").map(|(n, a)| (n, a.into_iter().collect()))?
        }
        ("sub", [Value::Num(_), Value::Tensor(_)]) => {
            flipped("rsub").map(|(n, a)| (n, a.into_iter().collect()))?
        }
        ("div", [Value::Num(s), Value::Tensor(t)]) => {
            return (Val(crate::call!("reciprocal", t)) * &Val::from(scalar_tensor(*s, t)?))
                .get()
                .map(Value::Tensor);
        }
        _ => (name, args.iter().cloned().collect()),
    };
    let entry = entry_of(name)?;
    let mut results = entry.call(args.into_iter().collect())?;
    Ok(results.drain(..).next().unwrap_or_default())
}

/// The op that a formula means by a name. Internal forms come first: their arguments are in the order of the formula.
fn entry_of(name: &str) -> Result<&'static Entry> {
    static ENTRIES: OnceLock<HashMap<&'static str, &'static Entry>> = OnceLock::new();
    let entries = ENTRIES.get_or_init(|| {
        let mut entries = HashMap::new();
        for prefix in ["_", "", "special."] {
            for entry in &super::table().entries {
                if let Some(name) = entry.schema.name.strip_prefix(prefix) {
                    entries.entry(name).or_insert(entry);
                }
            }
        }
        entries
    });
    let found = entries.get(name).copied();
    found.ok_or_else(|| crate::err!(NotImplemented, "no operator '{name}'"))
}

fn scalar_tensor(s: Scalar, like: &Tensor) -> Result<Tensor> {
    let dtype = if matches!(s, Scalar::Complex(_)) {
        like.dtype().to_complex()
    } else {
        like.dtype()
    };
    Tensor::scalar(s, dtype)
}

/// Computes with numbers where no tensor takes part.
fn fold_numbers(name: &str, args: &[Value]) -> Option<Value> {
    let complex = |v: &Value| matches!(v, Value::Num(Scalar::Complex(_)));
    match args {
        [Value::Num(x)] if complex(&args[0]) => fold_complex(name, x.to_c128(), c128::default()),
        [Value::Num(x)] => fold_one(name, x.to_f64()),
        [Value::Num(x), Value::Num(y)] if complex(&args[0]) || complex(&args[1]) => {
            fold_complex(name, x.to_c128(), y.to_c128())
        }
        [Value::Num(x), Value::Num(y)] => fold_two(name, x.to_f64(), y.to_f64()),
        [Value::Num(s), yes, no] if name == "where" => {
            Some(if s.to_bool() { yes.clone() } else { no.clone() })
        }
        _ => None,
    }
}

fn fold_one(name: &str, x: f64) -> Option<Value> {
    Some(Value::from(match name {
        "conj" => x,
        "neg" => -x,
        "exp" => x.exp(),
        "log" => x.ln(),
        "abs" => x.abs(),
        "reciprocal" => 1.0 / x,
        "sqrt" => x.sqrt(),
        "square" => x * x,
        "isnan" => return Some(Value::from(x.is_nan())),
        _ => return None,
    }))
}

fn fold_two(name: &str, x: f64, y: f64) -> Option<Value> {
    Some(match name {
        "add" => Value::from(x + y),
        "sub" => Value::from(x - y),
        "mul" => Value::from(x * y),
        "div" => Value::from(x / y),
        "pow" => Value::from(x.powf(y)),
        "eq" => Value::from(x == y),
        "ne" => Value::from(x != y),
        "lt" => Value::from(x < y),
        "le" => Value::from(x <= y),
        "gt" => Value::from(x > y),
        "ge" => Value::from(x >= y),
        _ => return None,
    })
}

fn fold_complex(name: &str, x: c128, y: c128) -> Option<Value> {
    Some(Value::Num(Scalar::Complex(match name {
        "conj" => x.conj(),
        "neg" => -x,
        "exp" => x.exp(),
        "log" => x.ln(),
        "reciprocal" => x.inv(),
        "square" => x * x,
        "add" => x + y,
        "sub" => x - y,
        "mul" => x * y,
        "div" => x / y,
        "pow" => x.powc(y),
        "eq" => return Some(Value::from(x == y)),
        "ne" => return Some(Value::from(x != y)),
        _ => return None,
    })))
}
