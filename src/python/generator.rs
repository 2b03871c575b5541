//! Random generators as arguments.

use pyo3::prelude::*;

use crate::ops::Value;

/// The generator that a call draws from.
pub fn argument(_object: &Bound<'_, PyAny>) -> Option<Value> {
    None
}
