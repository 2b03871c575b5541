//! The one entry through which Python calls ops, and the functions, methods and properties made from the table.

use std::ffi::{CString, c_void};
use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::impl_::trampoline::{MethodDef, fastcall_cfunction_with_keywords as trampoline};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::convert::outputs;
use super::errors::guarded;
use super::parse::{Mismatch, Parsed, RawArgs, no_match, parse, signature_text};
use super::tensor::{PyTensor, wrap};
use crate::ops::{Entry, F, I, M, P, call, call_inplace, call_out, table};

/// All overloads of a name.
struct Name {
    text: &'static str,
    entries: Vec<&'static Entry>,
}

/// How many names the entry is instantiated for.
const CAPACITY: usize = 1024;

fn names() -> &'static [Name] {
    static NAMES: OnceLock<Vec<Name>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let names = table()
            .names()
            .into_iter()
            .map(|(text, entries)| Name { text, entries });
        names.take(CAPACITY).collect()
    })
}

const FUNCTION: u8 = 0;
const METHOD: u8 = 1;
const IN_PLACE_METHOD: u8 = 2;
const IN_PLACE_FUNCTION: u8 = 3;

/// A callable of the table: which name, called in which way.
struct Callable<const N: usize, const KIND: u8>;

// The trampoline (panic guard, error return) is PyO3's own for its functions; it has no public name.
impl<const N: usize, const KIND: u8> MethodDef<trampoline::Func> for Callable<N, KIND> {
    const METH: trampoline::Func = enter::<N, KIND>;
}

unsafe fn enter<const N: usize, const KIND: u8>(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    // SAFETY: the arguments are those of a fast call, passed on unchanged.
    unsafe { dispatch(py, &names()[N], KIND, slf, args, nargs, kwnames) }
}

unsafe fn dispatch(
    py: Python<'_>,
    name: &'static Name,
    kind: u8,
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    // SAFETY: a fast call passes `nargs` positional objects, then one per keyword name; `kwnames` is a tuple or null.
    unsafe {
        let names = Bound::from_borrowed_ptr_or_opt(py, kwnames);
        let names = names.as_ref().map(|n| n.cast::<PyTuple>()).transpose()?;
        let count = nargs as usize + names.map_or(0, |n| n.len());
        let items = if count == 0 {
            &[]
        } else {
            std::slice::from_raw_parts(args, count)
        };
        let raw = RawArgs::new(py, items, nargs as usize, names);
        let slf = match kind {
            METHOD | IN_PLACE_METHOD => {
                Some(Bound::from_borrowed_ptr(py, slf).cast_into::<PyTensor>()?)
            }
            _ => None,
        };
        let in_place = matches!(kind, IN_PLACE_METHOD | IN_PLACE_FUNCTION);
        guarded(name.text, || {
            run(py, name, in_place, slf.as_ref(), raw).map(Py::into_ptr)
        })
    }
}

fn run<'py>(
    py: Python<'py>,
    name: &'static Name,
    in_place: bool,
    slf: Option<&Bound<'py, PyTensor>>,
    raw: RawArgs<'_, 'py>,
) -> PyResult<Py<PyAny>> {
    let called_as = if in_place {
        I
    } else if slf.is_some() {
        M | P
    } else {
        F
    };
    let entries = || name.entries.iter().filter(|entry| entry.has(called_as));
    let mut parsed = Parsed::default();
    for entry in entries() {
        match parse(entry, slf, raw, &mut parsed) {
            Ok(()) if in_place => return run_in_place(py, entry, slf, &parsed),
            Ok(()) => return finish(py, entry, &parsed),
            Err(Mismatch::Text(_)) => {}
            Err(Mismatch::Raised(e)) => return Err(e),
        }
    }
    let reason = |entry| match parse(entry, slf, raw.explained(), &mut Parsed::default()) {
        Err(Mismatch::Text(text)) => Some(text),
        _ => None,
    };
    let reasons = entries().copied().filter_map(reason).collect();
    Err(no_match(&name.entries, in_place, raw, reasons))
}

fn run_in_place<'py>(
    py: Python<'py>,
    entry: &'static Entry,
    slf: Option<&Bound<'py, PyTensor>>,
    parsed: &Parsed<'py>,
) -> PyResult<Py<PyAny>> {
    call_inplace(entry, &parsed.args)?;
    match (slf, parsed.args[0].tensor()) {
        (Some(slf), _) => Ok(slf.clone().into_any().unbind()),
        (None, Some(t)) => Ok(wrap(py, t.clone())?.into_any().unbind()),
        (None, None) => Ok(py.None()),
    }
}

fn finish(py: Python<'_>, entry: &'static Entry, parsed: &Parsed<'_>) -> PyResult<Py<PyAny>> {
    if let Some(out) = &parsed.out {
        let targets: Vec<crate::Tensor> = match out.cast::<PyTensor>() {
            Ok(t) => vec![t.get().tensor.clone()],
            Err(_) => out
                .try_iter()?
                .map(|item| {
                    Ok(item?
                        .cast::<PyTensor>()
                        .map_err(PyErr::from)?
                        .get()
                        .tensor
                        .clone())
                })
                .collect::<PyResult<_>>()?,
        };
        call_out(entry, &parsed.args, &targets)?;
        return match (&entry.schema.returns, out.cast::<PyTuple>()) {
            (crate::ops::Returns::Tuple(names), Ok(items)) => {
                super::convert::named_tuple(py, entry, names, items.clone())
            }
            _ => Ok(out.clone().unbind()),
        };
    }
    let results = call(entry, &parsed.args)?;
    if parsed.requires_grad {
        for result in &results {
            result.each_tensor(|t| t.set_requires_grad_flag(true));
        }
    }
    outputs(py, entry, results)
}

type Fast = ffi::PyCFunctionFastWithKeywords;

/// Instances of the entry for every name, of one kind.
struct Instances<const KIND: u8>;

macro_rules! instances {
    ($kind:ident, $index:ident: $($base:literal)*) => {
        match $index / 64 {
            $($base => instances!(@block $kind, $index, $base:
                0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
                32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63),)*
            _ => None,
        }
    };
    (@block $kind:ident, $index:ident, $base:literal: $($n:literal)*) => {
        match $index % 64 {
            $($n => Some(trampoline::<Callable<{ $base * 64 + $n }, $kind>> as Fast),)*
            _ => None,
        }
    };
}

impl<const KIND: u8> Instances<KIND> {
    fn get(index: usize) -> Option<Fast> {
        instances!(KIND, index: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    }
}

/// A method definition that lives as long as the process, as CPython wants it.
fn definition(name: &str, doc: &str, function: Fast) -> PyResult<*mut ffi::PyMethodDef> {
    let leak = |text: &str| CString::new(text.replace('\0', "")).map(|s| s.into_raw().cast_const());
    Ok(Box::into_raw(Box::new(ffi::PyMethodDef {
        ml_name: leak(name)?,
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: function,
        },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: leak(doc)?,
    })))
}

/// The doc of a name: the signatures, then the declaration's comment.
fn doc(name: &Name, mark: &str) -> String {
    let signatures: Vec<String> = name
        .entries
        .iter()
        .map(|e| {
            format!(
                "{}{mark}{} -> {}",
                name.text,
                signature_text(e),
                returns_text(e)
            )
        })
        .collect();
    let text = name.entries.first().map_or("", |e| e.op.doc);
    let text: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    format!("{}\n\n{}", signatures.join("\n"), text.join("\n"))
}

pub fn returns_text(entry: &Entry) -> String {
    use crate::ops::Returns;
    match &entry.schema.returns {
        Returns::Nothing => "None".to_string(),
        Returns::Tensor => "Tensor".to_string(),
        Returns::Tensors => "tuple of Tensors".to_string(),
        Returns::Tuple(names) => format!(
            "({})",
            names
                .iter()
                .map(|n| format!("Tensor {n}"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        Returns::Plain(text) => (*text).to_string(),
    }
}

/// Makes the module's functions (dotted names go to `_namespaces`) and the methods and properties of `Tensor`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let namespaces = PyDict::new(py);
    let class = py.get_type::<PyTensor>();
    for (i, name) in names().iter().enumerate() {
        let has = |variant: u16| name.entries.iter().any(|e| e.has(variant));
        let base = name.text.rsplit('.').next().unwrap_or(name.text);
        if has(F) {
            add_function(
                module,
                &namespaces,
                name,
                base,
                "",
                Instances::<FUNCTION>::get(i),
            )?;
            if has(I) {
                add_function(
                    module,
                    &namespaces,
                    name,
                    base,
                    "_",
                    Instances::<IN_PLACE_FUNCTION>::get(i),
                )?;
            }
        }
        if has(M) {
            add_method(&class, name, base, "", Instances::<METHOD>::get(i))?;
        }
        if has(I) {
            add_method(
                &class,
                name,
                base,
                "_",
                Instances::<IN_PLACE_METHOD>::get(i),
            )?;
        }
        if has(P) {
            add_property(&class, name, base)?;
        }
    }
    module.add("_namespaces", namespaces)
}

fn add_function(
    module: &Bound<'_, PyModule>,
    namespaces: &Bound<'_, PyDict>,
    name: &Name,
    base: &str,
    mark: &str,
    function: Option<Fast>,
) -> PyResult<()> {
    let Some(function) = function else {
        return Ok(());
    };
    let py = module.py();
    let public = format!("{base}{mark}");
    let definition = definition(&public, &doc(name, mark), function)?;
    // SAFETY: the definition is leaked, so it outlives the function object.
    let object = unsafe {
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyCFunction_NewEx(definition, std::ptr::null_mut(), module.name()?.as_ptr()),
        )?
    };
    match name.text.rsplit_once('.') {
        None => module.add(public.as_str(), object),
        Some((space, _)) => {
            let dict = match namespaces.get_item(space)? {
                Some(dict) => dict.cast_into::<PyDict>()?,
                None => {
                    let dict = PyDict::new(py);
                    namespaces.set_item(space, &dict)?;
                    dict
                }
            };
            dict.set_item(public, object)
        }
    }
}

fn add_method(
    class: &Bound<'_, pyo3::types::PyType>,
    name: &Name,
    base: &str,
    mark: &str,
    function: Option<Fast>,
) -> PyResult<()> {
    let Some(function) = function else {
        return Ok(());
    };
    let public = format!("{base}{mark}");
    let definition = definition(&public, &doc(name, mark), function)?;
    // SAFETY: the type is alive, the definition leaked.
    let object = unsafe {
        Bound::from_owned_ptr_or_err(
            class.py(),
            ffi::PyDescr_NewMethod(class.as_type_ptr(), definition),
        )?
    };
    class.setattr(public.as_str(), object)
}

unsafe extern "C" fn get_property(
    slf: *mut ffi::PyObject,
    closure: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls getters with its lock held; the closure is the `Name` that `add_property`
    // passed, which lives forever; `slf` is alive.
    let (py, name, slf) = unsafe {
        let py = Python::assume_attached();
        let slf = Bound::from_borrowed_ptr(py, slf);
        (py, &*closure.cast::<Name>(), slf)
    };
    let result = guarded(name.text, || {
        let slf = slf.cast_into::<PyTensor>()?;
        // SAFETY: no arguments.
        let raw = unsafe { RawArgs::new(py, &[], 0, None) };
        run(py, name, false, Some(&slf), raw)
    });
    match result {
        Ok(object) => object.into_ptr(),
        Err(e) => {
            e.restore(py);
            std::ptr::null_mut()
        }
    }
}

fn add_property(
    class: &Bound<'_, pyo3::types::PyType>,
    name: &'static Name,
    base: &str,
) -> PyResult<()> {
    let leak = |text: &str| CString::new(text.replace('\0', "")).map(|s| s.into_raw().cast_const());
    let definition = Box::into_raw(Box::new(ffi::PyGetSetDef {
        name: leak(base)?,
        get: Some(get_property),
        set: None,
        doc: leak(&doc(name, ""))?,
        closure: std::ptr::from_ref(name).cast_mut().cast(),
    }));
    // SAFETY: the type is alive, the definition leaked.
    let object = unsafe {
        Bound::from_owned_ptr_or_err(
            class.py(),
            ffi::PyDescr_NewGetSet(class.as_type_ptr(), definition),
        )?
    };
    class.setattr(base, object)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_name_has_an_entry() {
        assert!(crate::ops::table().names().len() <= super::CAPACITY);
    }
}
