//! The native class `Tensor`, and how tensors become Python objects and stay the same ones.

use std::sync::atomic::Ordering;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

use super::convert::size_object;
use super::objects::{PyDType, PyDevice, dtype_object};
use crate::Tensor;

/// A multi-dimensional array that gradients flow through.
#[pyclass(name = "Tensor", module = "rtensor", subclass, frozen, dict, weakref)]
pub struct PyTensor {
    pub tensor: Tensor,
}

impl Drop for PyTensor {
    fn drop(&mut self) {
        self.tensor
            .object()
            .store(std::ptr::null_mut(), Ordering::Relaxed);
    }
}

/// The object of a tensor: the one it has, or a new one.
#[inline]
pub fn wrap(py: Python<'_>, tensor: Tensor) -> PyResult<Bound<'_, PyTensor>> {
    let known = tensor.object().load(Ordering::Relaxed);
    if !known.is_null() {
        // SAFETY: the slot is emptied when its object dies, and the interpreter lock is held, so the object is alive.
        return Ok(unsafe { Bound::from_borrowed_ptr(py, known.cast()).cast_into_unchecked() });
    }
    let object = new_object(py, tensor)?;
    object
        .get()
        .tensor
        .object()
        .store(object.as_ptr().cast(), Ordering::Relaxed);
    Ok(object)
}

/// How objects of the class come about, and where in them the `PyTensor` lies.
struct Allocation {
    class: Py<PyType>,
    alloc: ffi::allocfunc,
    offset: usize,
}

/// A fresh object. PyO3 makes its objects by `object.__new__`, which in Python 3.11 and 3.12 gives each a
/// dict of its own: that costs more than the arithmetic of a small tensor.
fn new_object(py: Python<'_>, tensor: Tensor) -> PyResult<Bound<'_, PyTensor>> {
    static ALLOCATION: PyOnceLock<Allocation> = PyOnceLock::new();
    let Some(allocation) = ALLOCATION.get(py) else {
        let first = Bound::new(py, PyTensor { tensor })?;
        let class = first.get_type();
        let offset = std::ptr::from_ref(first.get()) as usize - first.as_ptr() as usize;
        // SAFETY: the type is alive and inherits `tp_alloc` from `object`.
        let alloc = unsafe { super::size::slot(class.as_type_ptr(), ffi::Py_tp_alloc) };
        let class = class.unbind();
        let _ = ALLOCATION.set(
            py,
            Allocation {
                class,
                alloc,
                offset,
            },
        );
        return Ok(first);
    };
    // SAFETY: `tp_alloc` gives zeroed memory of the class's size or an error; zeros are what PyO3 puts into its own
    // fields (the slots of `__dict__` and of weak references), and the `PyTensor` goes where PyO3 had put the first.
    unsafe {
        let raw = (allocation.alloc)(allocation.class.as_ptr().cast(), 0);
        let object = Bound::from_owned_ptr_or_err(py, raw)?;
        raw.byte_add(allocation.offset)
            .cast::<PyTensor>()
            .write(PyTensor { tensor });
        Ok(object.cast_into_unchecked())
    }
}

/// Carries a tensor into `Tensor.__new__` of a subclass.
#[pyclass(frozen)]
struct Handle(Tensor);

#[pymethods]
impl PyTensor {
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    fn new(
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, pyo3::types::PyDict>>,
    ) -> PyResult<PyTensor> {
        if args.len() == 1
            && let Ok(handle) = args.get_item(0)?.cast::<Handle>()
        {
            return Ok(PyTensor {
                tensor: handle.get().0.clone(),
            });
        }
        super::data::legacy_new(args, kwargs).map(|tensor| PyTensor { tensor })
    }

    /// Subclasses may take any arguments; the tensor is made by `__new__`.
    #[pyo3(signature = (*_args, **_kwargs))]
    fn __init__(
        slf: &Bound<'_, Self>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, pyo3::types::PyDict>>,
    ) {
        slf.get()
            .tensor
            .object()
            .store(slf.as_ptr().cast(), Ordering::Relaxed);
    }

    /// An object of a subclass that shares the tensor's memory, as a leaf.
    #[staticmethod]
    #[pyo3(signature = (cls, data, require_grad = false))]
    fn _make_subclass<'py>(
        cls: &Bound<'py, PyType>,
        data: &Bound<'py, PyTensor>,
        require_grad: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let tensor = data.get().tensor.detached();
        if require_grad && !tensor.dtype().is_differentiable() {
            return Err(PyRuntimeError::new_err(
                "Only Tensors of floating point and complex dtype can require gradients",
            ));
        }
        tensor.set_requires_grad_flag(require_grad);
        let args = PyTuple::new(cls.py(), [Bound::new(cls.py(), Handle(tensor))?])?;
        // Not the subclass's own `__new__`: that is what calls here.
        let base = cls.py().get_type::<PyTensor>();
        let object = base.call_method1("__new__", (cls, args.get_item(0)?))?;
        let native = object.cast::<PyTensor>()?;
        native
            .get()
            .tensor
            .object()
            .store(object.as_ptr().cast(), Ordering::Relaxed);
        Ok(object)
    }

    #[getter]
    fn shape<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        size_object(slf.py(), slf.get().tensor.shape())
    }

    #[pyo3(signature = (dim = None))]
    fn size<'py>(slf: &Bound<'py, Self>, dim: Option<i64>) -> PyResult<Bound<'py, PyAny>> {
        let shape = slf.get().tensor.shape();
        match dim {
            None => size_object(slf.py(), shape),
            Some(dim) => {
                let dim = dim_of(dim, shape.len())?;
                Ok(shape[dim].into_pyobject(slf.py())?.into_any())
            }
        }
    }

    #[pyo3(signature = (dim = None))]
    fn stride<'py>(slf: &Bound<'py, Self>, dim: Option<i64>) -> PyResult<Bound<'py, PyAny>> {
        let strides = slf.get().tensor.strides();
        match dim {
            None => Ok(PyTuple::new(slf.py(), strides)?.into_any()),
            Some(dim) => Ok(strides[dim_of(dim, strides.len())?]
                .into_pyobject(slf.py())?
                .into_any()),
        }
    }

    #[getter]
    fn ndim(&self) -> usize {
        self.tensor.ndim()
    }

    fn dim(&self) -> usize {
        self.tensor.ndim()
    }

    fn ndimension(&self) -> usize {
        self.tensor.ndim()
    }

    fn numel(&self) -> i64 {
        self.tensor.numel()
    }

    fn nelement(&self) -> i64 {
        self.tensor.numel()
    }

    #[getter]
    fn dtype(slf: &Bound<'_, Self>) -> Py<PyDType> {
        dtype_object(slf.py(), slf.get().tensor.dtype())
    }

    #[getter]
    fn device(&self) -> PyDevice {
        PyDevice(self.tensor.device())
    }

    #[getter]
    fn is_cuda(&self) -> bool {
        self.tensor.device().kind == crate::tensor::DeviceType::Cuda
    }

    #[getter]
    fn is_cpu(&self) -> bool {
        self.tensor.device().is_cpu()
    }

    #[getter]
    fn itemsize(&self) -> usize {
        self.tensor.dtype().size()
    }

    fn element_size(&self) -> usize {
        self.tensor.dtype().size()
    }

    #[getter]
    fn nbytes(&self) -> i64 {
        self.tensor.numel() * self.tensor.dtype().size() as i64
    }

    fn storage_offset(&self) -> i64 {
        self.tensor.layout().offset
    }

    fn data_ptr(&self) -> usize {
        if self.tensor.numel() == 0 {
            0
        } else {
            self.tensor.data_ptr() as usize
        }
    }

    fn is_floating_point(&self) -> bool {
        self.tensor.dtype().is_float()
    }

    fn is_complex(&self) -> bool {
        self.tensor.dtype().is_complex()
    }

    fn is_signed(&self) -> bool {
        self.tensor.dtype().is_signed()
    }

    fn is_conj(&self) -> bool {
        self.tensor.lazy().conj
    }

    fn is_neg(&self) -> bool {
        self.tensor.lazy().neg
    }

    fn is_set_to(&self, tensor: &Bound<'_, PyTensor>) -> bool {
        let (a, b) = (&self.tensor, &tensor.get().tensor);
        a.shares_storage(b) && a.layout() == b.layout()
    }

    fn __hash__(slf: &Bound<'_, Self>) -> usize {
        // Identity, as for any object: `==` compares elements.
        slf.as_ptr() as usize >> 4
    }

    fn __len__(&self) -> PyResult<usize> {
        match self.tensor.shape().first() {
            Some(&n) => Ok(n as usize),
            None => Err(PyTypeError::new_err("len() of a 0-d tensor")),
        }
    }
}

fn dim_of(dim: i64, ndim: usize) -> PyResult<usize> {
    if ndim == 0 {
        return Err(pyo3::exceptions::PyIndexError::new_err(format!(
            "Dimension specified as {dim} but tensor has no dimensions"
        )));
    }
    Ok(crate::tensor::wrap_dim(dim, ndim)?)
}

pub fn add_classes(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyTensor>()?;
    module.add_class::<PyDType>()?;
    module.add_class::<PyDevice>()?;
    module.add_class::<super::objects::PyLayout>()?;
    module.add_class::<super::objects::PyMemoryFormat>()
}

/// The tensor behind an object, if it is one.
#[inline]
pub fn unwrap<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a Tensor> {
    object.cast::<PyTensor>().ok().map(|t| &t.get().tensor)
}
