//! The extension module `rtensor._C`.

use pyo3::prelude::*;

#[pymodule]
#[pyo3(name = "_C")]
mod native {}
