//! The op table as Python data, from which stubs, the reference and the generic tests are made.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::entry::returns_text;
use super::parse::{public_name, type_text};
use crate::ops::{Entry, F, I, M, O, P, Param, Type, table};

/// One dictionary for each op, in the order of the table.
#[pyfunction]
fn _table(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let rows: Vec<_> = table()
        .entries
        .iter()
        .map(|entry| row(py, entry))
        .collect::<PyResult<_>>()?;
    PyList::new(py, rows)
}

fn row<'py>(py: Python<'py>, entry: &Entry) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("name", entry.schema.name)?;
    row.set_item("overload", entry.schema.overload)?;
    row.set_item("doc", entry.op.doc)?;
    row.set_item("differentiable", entry.op.grad.is_some())?;
    for (key, variant) in [
        ("function", F),
        ("method", M),
        ("in_place", I),
        ("out", O),
        ("property", P),
    ] {
        row.set_item(key, entry.has(variant))?;
    }
    let params: Vec<_> = entry
        .schema
        .params
        .iter()
        .map(|p| param(py, p))
        .collect::<PyResult<_>>()?;
    row.set_item("params", params)?;
    row.set_item("returns", returns_text(entry))?;
    Ok(row)
}

fn param<'py>(py: Python<'py>, param: &Param) -> PyResult<Bound<'py, PyDict>> {
    let item = PyDict::new(py);
    item.set_item("name", public_name(param))?;
    item.set_item("type", type_text(param.ty))?;
    item.set_item("number", matches!(param.ty, Type::Operand))?;
    // `int[1]`: one number may stand for a list.
    item.set_item("single", matches!(param.ty, Type::Ints(Some(_))))?;
    item.set_item("nullable", param.nullable)?;
    item.set_item("keyword_only", param.keyword_only)?;
    let default = param.default.is_some().then_some(param.default_text);
    item.set_item("default", default)?;
    Ok(item)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_table, module)?)
}
