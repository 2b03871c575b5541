//! The one error type: which exception class, and what the op expected and got.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The exception class that Python sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    Runtime,
    Type,
    Value,
    Index,
    NotImplemented,
    OutOfMemory,
    Linalg,
    Attribute,
    Overflow,
    /// An exception raised by a callback (hook, user function, backend), passed through unchanged.
    Foreign,
}

#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    payload: Option<Arc<dyn Any + Send + Sync>>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            payload: None,
        }))
    }

    /// Wraps an exception object of the host language.
    #[cold]
    pub fn foreign(message: impl Into<String>, payload: Arc<dyn Any + Send + Sync>) -> Self {
        Error(Box::new(Inner {
            kind: ErrorKind::Foreign,
            message: message.into(),
            payload: Some(payload),
        }))
    }

    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    #[must_use]
    pub fn payload(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.0.payload.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)
    }
}

impl std::error::Error for Error {}

type Warn = fn(&str) -> Result<()>;

static WARN: std::sync::OnceLock<Warn> = std::sync::OnceLock::new();

/// Where warnings go; the host language sets it once.
pub fn set_warn(handler: Warn) {
    let _ = WARN.set(handler);
}

/// Warns the user (a `UserWarning`); an error where warnings are errors.
pub fn warn(message: &str) -> Result<()> {
    WARN.get().map_or(Ok(()), |handler| handler(message))
}

/// `err!(Type, "mm(): expected {}, got {}", a, b)` builds an [`Error`].
#[macro_export]
macro_rules! err {
    ($kind:ident, $($arg:tt)+) => {
        $crate::error::Error::new($crate::error::ErrorKind::$kind, format!($($arg)+))
    };
}

/// Returns from the function with the error that `err!` builds.
#[macro_export]
macro_rules! fail {
    ($($arg:tt)+) => {
        return Err($crate::err!($($arg)+))
    };
}

/// `ensure!(cond, Type, "...")`: fails unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($cond:expr, $($arg:tt)+) => {
        if !$cond {
            $crate::fail!($($arg)+);
        }
    };
}
