//! Matching a call's arguments to a schema, as PyTorch's parser does.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
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
        }
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
pub struct Parsed<'py> {
    pub args: ArgVec,
    /// The objects given as `out=`.
    pub out: Option<Bound<'py, PyAny>>,
    pub requires_grad: bool,
}

/// Why a call does not fit a schema.
pub enum Mismatch {
    /// Another overload may fit; the text is shown where there is none.
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

/// Matches the arguments of a call; `slf` is the tensor of a method call.
pub fn parse<'py>(
    entry: &Entry,
    slf: Option<&Bound<'py, PyTensor>>,
    raw: RawArgs<'_, 'py>,
) -> Result<Parsed<'py>, Mismatch> {
    let params = &entry.schema.params;
    let mut args = ArgVec::new();
    args.extend(slf.map(|slf| Value::Tensor(slf.get().tensor.clone())));
    let first = args.len();
    if let Some(list) = varargs(params, first, raw) {
        args.push(list);
    } else {
        for i in 0..raw.positional {
            let Some(param) = params.get(first + i).filter(|p| !p.keyword_only) else {
                return Err(too_many(entry, first, raw));
            };
            args.push(convert_one(entry, param, &raw.get(i), Some(i + 1))?);
        }
    }
    let mut given: u64 = (1 << args.len()) - 1;
    let mut parsed = Parsed {
        args,
        out: None,
        requires_grad: false,
    };
    if raw.names.is_some() {
        parsed.args.resize(params.len(), Value::None);
        keywords(entry, raw, &mut parsed, &mut given)?;
    }
    defaults(entry, &mut parsed.args, given)?;
    Ok(parsed)
}

/// Fills in the arguments whose bits are not set in `given`.
fn defaults(entry: &Entry, args: &mut ArgVec, given: u64) -> Result<(), Mismatch> {
    for (i, param) in entry.schema.params.iter().enumerate() {
        if given & (1 << i) != 0 {
            continue;
        }
        let Some(default) = &param.default else {
            return Err(Mismatch::Text(format!(
                "{}() missing 1 required positional arguments: \"{}\"",
                entry.schema.name,
                public_name(param)
            )));
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
    for (name, value) in raw.keywords() {
        let name = name.cast::<pyo3::types::PyString>().map_err(PyErr::from)?;
        let name = name.to_str()?;
        if let Some(at) = entry
            .schema
            .params
            .iter()
            .position(|param| answers_to(param, name))
        {
            if *given & (1 << at) != 0 {
                return Err(Mismatch::Text(format!(
                    "{}() got multiple values for argument '{name}'",
                    entry.schema.name
                )));
            }
            parsed.args[at] = convert_one(entry, &entry.schema.params[at], &value, None)?;
            *given |= 1 << at;
        } else if name == "out" && entry.has(O) {
            parsed.out = (!value.is_none()).then(|| value.to_owned());
        } else if !factory_keyword(entry, name, &value, parsed)? {
            return Err(Mismatch::Text(format!(
                "{}() got an unexpected keyword argument '{name}'",
                entry.schema.name
            )));
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

fn convert_one(
    entry: &Entry,
    param: &Param,
    value: &Bound<'_, PyAny>,
    position: Option<usize>,
) -> Result<Value, Mismatch> {
    match argument(value, param)? {
        Some(value) => Ok(value),
        None => {
            let place = position
                .map(|p| format!(" (position {p})"))
                .unwrap_or_default();
            Err(Mismatch::Text(format!(
                "{}(): argument '{}'{place} must be {}, not {}",
                entry.schema.name,
                public_name(param),
                type_text(param.ty),
                type_name(value)
            )))
        }
    }
}

fn too_many(entry: &Entry, first: usize, raw: RawArgs<'_, '_>) -> Mismatch {
    let takes = entry
        .schema
        .params
        .iter()
        .filter(|p| !p.keyword_only)
        .count()
        - first;
    Mismatch::Text(format!(
        "{}() takes {takes} positional argument{} but {} {} given",
        entry.schema.name,
        if takes == 1 { "" } else { "s" },
        raw.positional,
        if raw.positional == 1 { "was" } else { "were" }
    ))
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
