//! Index expressions, `x[...]`: views for the basic items, `index` and `index_put_` for tensors.

use super::Value;
use crate::tensor::Tensor;
use crate::{Result, err};

/// One item of a subscript, as the host language converted it.
#[derive(Clone)]
pub enum IndexItem {
    Int(i64),
    Slice {
        start: Option<i64>,
        stop: Option<i64>,
        step: Option<i64>,
    },
    None,
    Ellipsis,
    Bool(bool),
    Tensor(Tensor),
}

/// `x[items]`: a view where all items are basic, a copy where one is a tensor.
pub fn get(_x: &Tensor, _items: &[IndexItem]) -> Result<Tensor> {
    Err(err!(NotImplemented, "indexing is not available"))
}

/// `x[items] = value`; the value is a tensor or a number.
pub fn set(_x: &Tensor, _items: &[IndexItem], _value: &Value) -> Result<()> {
    Err(err!(NotImplemented, "indexing is not available"))
}
