//! Matching a call's arguments to a schema, as PyTorch's parser does.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use pyo3::{Borrowed, ffi};

use super::convert::{self, argument, type_name};
use super::tensor::PyTensor;
use crate::ops::{ArgVec, Entry, I, O, Param, Type, Value};

/// The arguments of a fast call: positional ones, then the values of the keywords.
#[derive(Clone, Copy)]
pub struct RawArgs<'a, 'py> {
    py: Python<'py>,
    items: &'a [*mut ffi::PyObject],
    positional: usize,
    names: Option<&'a Bound<'py, PyTuple>>,
    /// Are reasons written down why a schema does not fit?
    explains: bool,
}

impl<'a, 'py> RawArgs<'a, 'py> {
    /// # Safety
    /// `items` are valid objects: `positional` ones, then one for each name.
    pub unsafe fn new(
        py: Python<'py>,
        items: &'a [*mut ffi::PyObject],
        positional: usize,
        names: Option<&'a Bound<'py, PyTuple>>,
    ) -> Self {
        RawArgs {
            py,
            items,
            positional,
            names,
            explains: false,
        }
    }

    /// The same arguments, for messages: why a schema does not fit them is told.
    #[must_use]
    pub fn explained(self) -> Self {
        RawArgs {
            explains: true,
            ..self
        }
    }

    fn mismatch(&self, reason: impl FnOnce() -> String) -> Mismatch {
        Mismatch::Text(if self.explains {
            reason()
        } else {
            String::new()
        })
    }

    fn get(&self, i: usize) -> Borrowed<'a, 'py, PyAny> {
        // SAFETY: the items are valid objects for the duration of the call.
        unsafe { Borrowed::from_ptr(self.py, self.items[i]) }
    }

    fn keywords(&self) -> impl Iterator<Item = (Bound<'py, PyAny>, Borrowed<'a, 'py, PyAny>)> + '_ {
        let first = self.positional;
        self.names
            .into_iter()
            .flat_map(|names| names.iter())
            .enumerate()
            .map(move |(i, name)| (name, self.get(first + i)))
    }

    /// The types of all arguments, for messages.
    pub fn describe(&self) -> String {
        let positional = (0..self.positional).map(|i| type_name(&self.get(i)));
        let keywords = self
            .keywords()
            .map(|(name, value)| format!("{name}={}", type_name(&value)));
        positional.chain(keywords).collect::<Vec<_>>().join(", ")
    }
}

/// A call that fits a schema.
#[derive(Default)]
pub struct Parsed<'py> {
    pub args: ArgVec,
    /// The objects given as `out=`.
    pub out: Option<Bound<'py, PyAny>>,
    pub requires_grad: bool,
}

/// Why a call does not fit a schema.
pub enum Mismatch {
    /// Another overload may fit; the text, if asked for, is shown where there is none.
    Text(String),
    Raised(PyErr),
}

impl From<PyErr> for Mismatch {
    fn from(e: PyErr) -> Self {
        Mismatch::Raised(e)
    }
}

/// The name under which a parameter is known in Python, and NumPy's names for it.
fn answers_to(param: &Param, name: &str) -> bool {
    if param.name == name {
        return true;
    }
    match param.name {
        "self" => matches!(name, "input" | "x" | "a" | "x1"),
        "dim" => name == "axis",
        "keepdim" => name == "keepdims",
        "other" => name == "x2",
        _ => false,
    }
}

pub fn public_name(param: &Param) -> &'static str {
    if param.name == "self" {
        "input"
    } else {
        param.name
    }
}

/// Matches the arguments of a call; `slf` is the tensor of a method call. `parsed` is filled, whatever was in it.
pub fn parse<'py>(
    entry: &Entry,
    slf: Option<&Bound<'py, PyTensor>>,
    raw: RawArgs<'_, 'py>,
    parsed: &mut Parsed<'py>,
) -> Result<(), Mismatch> {
    let params = &entry.schema.params;
    (parsed.out, parsed.requires_grad) = (None, false);
    let args = &mut parsed.args;
    args.clear();
    args.extend(slf.map(|slf| Value::Tensor(slf.get().tensor.clone())));
    let first = args.len();
    if let Some(list) = varargs(params, first, raw) {
        args.push(list);
    } else {
        for i in 0..raw.positional {
            let Some(param) = params.get(first + i).filter(|p| !p.keyword_only) else {
                return Err(raw.mismatch(|| too_many(entry, first, raw)));
            };
            args.push(convert_one(entry, param, raw, i, Some(i + 1))?);
        }
    }
    let mut given: u64 = (1 << args.len()) - 1;
    if raw.names.is_some() {
        args.resize(params.len(), Value::None);
        keywords(entry, raw, parsed, &mut given)?;
    }
    defaults(entry, raw, &mut parsed.args, given)
}

/// Fills in the arguments whose bits are not set in `given`.
fn defaults(
    entry: &Entry,
    raw: RawArgs<'_, '_>,
    args: &mut ArgVec,
    given: u64,
) -> Result<(), Mismatch> {
    for (i, param) in entry.schema.params.iter().enumerate() {
        if given & (1 << i) != 0 {
            continue;
        }
        let Some(default) = &param.default else {
            return Err(raw.mismatch(|| {
                format!(
                    "{}() missing 1 required positional arguments: \"{}\"",
                    entry.schema.name,
                    public_name(param)
                )
            }));
        };
        match args.get_mut(i) {
            Some(arg) => *arg = default.clone(),
            None => args.push(default.clone()),
        }
    }
    Ok(())
}

fn keywords<'py>(
    entry: &Entry,
    raw: RawArgs<'_, 'py>,
    parsed: &mut Parsed<'py>,
    given: &mut u64,
) -> Result<(), Mismatch> {
    let params = &entry.schema.params;
    for (i, name) in raw
        .names
        .into_iter()
        .flat_map(|names| names.iter_borrowed())
        .enumerate()
    {
        let i = raw.positional + i;
        let name = name.cast::<PyString>().map_err(PyErr::from)?;
        let name = name.to_str()?;
        let value = raw.get(i);
        if let Some(at) = params.iter().position(|param| answers_to(param, name)) {
            if *given & (1 << at) != 0 {
                return Err(raw.mismatch(|| {
                    format!(
                        "{}() got multiple values for argument '{name}'",
                        entry.schema.name
                    )
                }));
            }
            parsed.args[at] = convert_one(entry, &params[at], raw, i, None)?;
            *given |= 1 << at;
        } else if name == "out" && entry.has(O) {
            parsed.out = (!value.is_none()).then(|| value.to_owned());
        } else if !factory_keyword(entry, name, &value, parsed)? {
            return Err(raw.mismatch(|| {
                format!(
                    "{}() got an unexpected keyword argument '{name}'",
                    entry.schema.name
                )
            }));
        }
    }
    Ok(())
}

/// Keywords that every function with a `device` takes, and that are handled here.
fn factory_keyword(
    entry: &Entry,
    name: &str,
    value: &Bound<'_, PyAny>,
    parsed: &mut Parsed<'_>,
) -> Result<bool, Mismatch> {
    if entry.device_param.is_none() {
        return Ok(false);
    }
    match name {
        "requires_grad" => parsed.requires_grad = value.extract()?,
        "pin_memory" | "layout" | "names" => {}
        _ => return Ok(false),
    }
    Ok(true)
}

/// `x.view(2, 3)`, `zeros(2, 3)`, `meshgrid(a, b)`: a list given as separate arguments.
fn varargs(params: &[Param], first: usize, raw: RawArgs<'_, '_>) -> Option<Value> {
    let param = params.get(first)?;
    let only = params.get(first + 1).is_none_or(|next| next.keyword_only);
    if raw.positional == 0 || !only || param.keyword_only {
        return None;
    }
    match param.ty {
        Type::Ints(_) if raw.positional > 1 || matches!(param.ty, Type::Ints(None)) => (0..raw
            .positional)
            .map(|i| convert::int(&raw.get(i)))
            .collect::<Option<Vec<_>>>()
            .map(Value::Ints),
        Type::Tensors => (0..raw.positional)
            .map(|i| {
                raw.get(i)
                    .cast::<PyTensor>()
                    .ok()
                    .map(|t| t.get().tensor.clone())
            })
            .collect::<Option<Vec<_>>>()
            .map(Value::Tensors),
        _ => None,
    }
}

/// Item `i` as the parameter's type; `position` is its number where it was not given by name.
fn convert_one(
    entry: &Entry,
    param: &Param,
    raw: RawArgs<'_, '_>,
    i: usize,
    position: Option<usize>,
) -> Result<Value, Mismatch> {
    let value = raw.get(i);
    argument(&value, param)?.ok_or_else(|| {
        raw.mismatch(|| {
            let place = position.map(|p| format!(" (position {p})"));
            format!(
                "{}(): argument '{}'{} must be {}, not {}",
                entry.schema.name,
                public_name(param),
                place.unwrap_or_default(),
                type_text(param.ty),
                type_name(&value)
            )
        })
    })
}

fn too_many(entry: &Entry, first: usize, raw: RawArgs<'_, '_>) -> String {
    let takes = entry
        .schema
        .params
        .iter()
        .filter(|p| !p.keyword_only)
        .count()
        - first;
    format!(
        "{}() takes {takes} positional argument{} but {} {} given",
        entry.schema.name,
        if takes == 1 { "" } else { "s" },
        raw.positional,
        if raw.positional == 1 { "was" } else { "were" }
    )
}

/// A type as PyTorch's messages spell it.
pub fn type_text(ty: Type) -> &'static str {
    match ty {
        Type::Tensor | Type::Operand => "Tensor",
        Type::Tensors | Type::OptTensors => "tuple of Tensors",
        Type::Scalar => "Number",
        Type::Scalars => "tuple of Scalars",
        Type::Int => "int",
        Type::Ints(_) => "tuple of ints",
        Type::Float => "float",
        Type::Floats => "tuple of floats",
        Type::Bool => "bool",
        Type::Bools => "tuple of bools",
        Type::Str => "str",
        Type::DType => "torch.dtype",
        Type::Layout => "torch.layout",
        Type::Device => "torch.device",
        Type::MemoryFormat => "torch.memory_format",
        Type::Generator => "torch.Generator",
        Type::Index => "index",
    }
}

/// The signature as PyTorch lists it in messages and docs: `(Tensor input, int dim, bool keepdim = False)`.
pub fn signature_text(entry: &Entry) -> String {
    let mut parts = Vec::new();
    let mut starred = false;
    for param in &entry.schema.params {
        if param.keyword_only && !starred {
            parts.push("*".to_string());
            starred = true;
        }
        let default = if param.default.is_some() {
            format!(" = {}", param.default_text)
        } else {
            String::new()
        };
        parts.push(format!(
            "{} {}{default}",
            type_text(param.ty),
            public_name(param)
        ));
    }
    if entry.has(O) {
        if !starred {
            parts.push("*".to_string());
        }
        parts.push("Tensor out = None".to_string());
    }
    format!("({})", parts.join(", "))
}

/// The error of a call that fits no overload.
pub fn no_match(
    entries: &[&'static Entry],
    in_place: bool,
    raw: RawArgs<'_, '_>,
    reasons: Vec<String>,
) -> PyErr {
    let name = entries.first().map_or("", |e| e.schema.name);
    let mark = if in_place { "_" } else { "" };
    if let [reason] = reasons.as_slice() {
        return PyTypeError::new_err(reason.clone());
    }
    let list: Vec<String> = entries
        .iter()
        .filter(|e| !in_place || e.has(I))
        .map(|e| format!(" * {}", signature_text(e)))
        .collect();
    PyTypeError::new_err(format!(
        "{name}{mark}() received an invalid combination of arguments - got ({}), but expected one of:\n{}\n",
        raw.describe(),
        list.join("\n")
    ))
}
