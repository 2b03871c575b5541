//! The extension module `rtensor._C`: the only place that knows Python.

mod autograd;
mod backend;
mod backend_map;
mod convert;
mod data;
mod dlpack;
mod entry;
mod errors;
mod functions;
mod generator;
mod indexing;
mod methods;
mod numpy;
mod objects;
mod operators;
mod parse;
mod size;
mod storage;
mod table;
mod tensor;
mod values;

use pyo3::prelude::*;

#[pymodule]
#[pyo3(name = "_C")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::error::set_warn(errors::warn);
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add(
        "_LinAlgError",
        module.py().get_type::<errors::LinAlgError>(),
    )?;
    module.add(
        "OutOfMemoryError",
        module.py().get_type::<errors::OutOfMemoryError>(),
    )?;
    tensor::add_classes(module)?;
    generator::add(module)?;
    objects::add_constants(module)?;
    functions::register(module)?;
    backend::register(module)?;
    table::register(module)?;
    autograd::register(module)?;
    entry::register(module)?;
    hide_private_names(module)
}

/// `from rtensor._C import *` is to bring public names only.
fn hide_private_names(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let names: Vec<String> = module.index()?.extract()?;
    let public = names.into_iter().filter(|name| !name.starts_with('_'));
    module.setattr("__all__", public.collect::<Vec<_>>())
}
