//! The macros that declare ops and that call them by name.

/// Declares ops: doc comment, schema, variants, body, and the gradient after `grad`.
#[macro_export]
macro_rules! ops {
    ($($(#[doc = $doc:literal])+ $schema:expr, $variants:expr, $body:expr $(, grad $grad:expr)?;)*) => {
        pub static OPS: &[$crate::ops::Op] = &[$($crate::ops::Op {
            schema: $schema,
            doc: concat!($($doc, "\n"),+),
            variants: $variants,
            body: $body,
            grad: $crate::ops!(@grad $($grad)?),
        }),*];
    };
    (@grad) => { None };
    (@grad $grad:expr) => { Some($grad) };
}

/// `call!("sum", x, dims, keepdim)`: calls an op by name, defaults filled in; gives `Result<Tensor>`.
#[macro_export]
macro_rules! call {
    ($name:expr $(, $arg:expr)* $(,)?) => {
        $crate::call_all!($name $(, $arg)*).and_then(|mut outs| {
            outs.drain(..).next().unwrap_or_default().into_tensor()
        })
    };
}

/// The op of a name, looked up once. A name `max/dim` picks an overload.
#[macro_export]
macro_rules! entry {
    ($name:expr) => {{
        static ENTRY: std::sync::OnceLock<Option<&'static $crate::ops::Entry>> =
            std::sync::OnceLock::new();
        ENTRY
            .get_or_init(|| $crate::ops::find_overload($name))
            .ok_or_else(|| $crate::err!(NotImplemented, "no operator '{}'", $name))
    }};
}

/// As `call!`, with all outputs.
#[macro_export]
macro_rules! call_all {
    ($name:expr $(, $arg:expr)* $(,)?) => {
        $crate::entry!($name)
            .and_then(|entry| entry.call(smallvec::smallvec![$(Into::<$crate::ops::Value>::into($arg)),*]))
    };
}

/// `inplace!("add", x, y)`: calls the in-place form of an op by name.
#[macro_export]
macro_rules! inplace {
    ($name:expr $(, $arg:expr)* $(,)?) => {
        $crate::entry!($name)
            .and_then(|entry| entry.call_inplace(smallvec::smallvec![$(Into::<$crate::ops::Value>::into($arg)),*]))
    };
}

/// `grads![a, None, b]`: what a rule returns.
#[macro_export]
macro_rules! grads {
    ($($grad:expr),* $(,)?) => { smallvec::smallvec![$(Option::<$crate::ops::Val>::from($grad)),*] };
}
