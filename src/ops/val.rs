//! Tensors in formulas: operators that carry an error along instead of stopping at each step.

use super::Value;
use crate::tensor::{DType, Device, Element, Layout, Tensor, wrap_dim};
use crate::{Result, autograd, call};

/// A tensor, or the error that kept it from being computed. Gradient rules and compositions are
/// written over it; the error comes out at [`Val::get`], or when the value becomes an argument.
#[derive(Clone)]
pub struct Val(pub Result<Tensor>);

impl Val {
    pub fn get(self) -> Result<Tensor> {
        self.0
    }

    /// The tensor's sizes; empty where there is none.
    #[must_use]
    pub fn shape(&self) -> &[i64] {
        self.0.as_ref().map_or(&[], |t| t.shape())
    }

    #[must_use]
    pub fn dtype(&self) -> DType {
        self.0.as_ref().map_or(DType::F32, Tensor::dtype)
    }

    #[must_use]
    pub fn ndim(&self) -> usize {
        self.shape().len()
    }

    #[must_use]
    pub fn is_complex(&self) -> bool {
        self.dtype().is_complex()
    }
}

impl From<Tensor> for Val {
    fn from(t: Tensor) -> Val {
        Val(Ok(t))
    }
}

impl From<&Tensor> for Val {
    fn from(t: &Tensor) -> Val {
        Val(Ok(t.clone()))
    }
}

impl From<Result<Tensor>> for Val {
    fn from(t: Result<Tensor>) -> Val {
        Val(t)
    }
}

impl From<Val> for Value {
    fn from(v: Val) -> Value {
        v.0.into()
    }
}

impl From<&Val> for Value {
    fn from(v: &Val) -> Value {
        v.clone().into()
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $name:literal;)*) => {$(
        operators!(@one $trait $method $name, Val, Val);
        operators!(@one $trait $method $name, &Val, Val);
        operators!(@one $trait $method $name, Val, &Val);
        operators!(@one $trait $method $name, &Val, &Val);
        operators!(@one $trait $method $name, Val, f64);
        operators!(@one $trait $method $name, &Val, f64);
    )*};
    (@one $trait:ident $method:ident $name:literal, $left:ty, $right:ty) => {
        impl std::ops::$trait<$right> for $left {
            type Output = Val;
            fn $method(self, other: $right) -> Val {
                Val(call!($name, self, other))
            }
        }
    };
}

operators! {
    Add add "add";
    Sub sub "sub";
    Mul mul "mul";
    Div div "div";
}

impl std::ops::Neg for Val {
    type Output = Val;
    fn neg(self) -> Val {
        Val(call!("neg", self))
    }
}

impl std::ops::Neg for &Val {
    type Output = Val;
    fn neg(self) -> Val {
        Val(call!("neg", self))
    }
}

/// Methods that call the op of the same name.
macro_rules! methods {
    ($($name:ident $(($($arg:ident),*))?;)*) => {
        impl Val {$(
            pub fn $name(&self $($(, $arg: impl Into<Value>)*)?) -> Val {
                Val(call!(stringify!($name), self $($(, $arg)*)?))
            }
        )*}
    };
}

// The ops that rules and compositions use all the time; `call!` reaches every other.
methods! {
    abs; neg; exp; log; log2; sqrt; rsqrt; sin; cos; tanh; sinh; cosh; sigmoid; reciprocal; square; sign; sgn; floor;
    conj; angle; isnan; logical_not; real; imag; view_as_real; view_as_complex; detach; t; contiguous;
    add(other); sub(other); mul(other); div(other); pow(exponent);
    eq(other); ne(other); lt(other); le(other); gt(other); ge(other);
    maximum(other); minimum(other); logical_and(other); logical_or(other);
    masked_fill(mask, value);
    sum(dim, keepdim); mean(dim, keepdim); prod(dim, keepdim); cumsum(dim); flip(dims);
    matmul(other); mm(mat2); bmm(mat2); mv(vec); dot(tensor);
    reshape(shape); view(size); expand(size); permute(dims); transpose(dim0, dim1); unsqueeze(dim); squeeze(dim);
    narrow(dim, start, length); select(dim, index); slice(dim, start, end, step);
    diagonal(offset, dim1, dim2); tril(diagonal); triu(diagonal);
    index_select(dim, index); gather(dim, index); scatter(dim, index, src); scatter_add(dim, index, src);
    index_add(dim, index, source); sum_to_size(size);
    new_zeros(size, dtype); new_ones(size, dtype);
}

impl Val {
    /// `where(condition, self, other)`.
    pub fn select_where(&self, condition: &Val, other: impl Into<Value>) -> Val {
        Val(call!("where", condition, self, other))
    }

    pub fn to(&self, dtype: DType) -> Val {
        if self.dtype() == dtype {
            self.clone()
        } else {
            Val(call!("_to_copy", self, dtype))
        }
    }

    /// The matrix with ones on its diagonal, of this device.
    pub fn eye(&self, rows: i64, columns: i64, dtype: DType) -> Val {
        let device = self.0.as_ref().map_or(Device::CPU, Tensor::device);
        Val(call!("eye/m", rows, columns, dtype, Value::None, device))
    }

    /// The values, with a shape, on the device of this tensor.
    pub fn beside<T: Element>(&self, values: &[T], shape: &[i64]) -> Val {
        let made = |like| super::view::beside(values, shape, like);
        Val(self.0.as_ref().map_err(Clone::clone).and_then(made))
    }

    /// Conjugate transpose of the last two dimensions.
    pub fn mh(&self) -> Val {
        let turned = |layout: &Layout| {
            let last = wrap_dim(-1, layout.ndim())?;
            Ok(layout.transposed(wrap_dim(-2, layout.ndim())?, last))
        };
        let transposed = self.alias(turned);
        let t = transposed.unwrap_or_else(|| self.transpose(-2i64, -1i64));
        if self.is_complex() { t.conj() } else { t }
    }

    /// The value spread over a shape that it broadcasts to.
    pub fn spread(&self, shape: &[i64]) -> Val {
        let wide = self.alias(|layout| layout.expand(shape));
        wide.unwrap_or_else(|| self.expand(shape))
    }

    /// Another layout of the elements, where nobody asks how it came about: a view op costs much more.
    fn alias(&self, layout: impl FnOnce(&Layout) -> Result<Layout>) -> Option<Val> {
        let t = self.0.as_ref().ok().filter(|_| !autograd::recording())?;
        Some(Val(layout(t.layout()).and_then(|layout| t.alias(layout))))
    }

    /// The conjugate, which for real values is the value itself.
    pub fn conj_if_complex(&self) -> Val {
        if self.is_complex() {
            self.conj()
        } else {
            self.clone()
        }
    }

    pub fn zeros_like(&self) -> Val {
        Val(call!("zeros_like", self))
    }

    pub fn ones_like(&self) -> Val {
        Val(call!("ones_like", self))
    }
}
