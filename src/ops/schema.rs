//! PyTorch's schema notation: `sum/dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor`.

use super::value::{MemoryFormat, Value};
use crate::tensor::Scalar;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Tensor,
    /// `Tensor|Scalar`: a tensor, or a number that stays weak in promotion.
    Operand,
    Tensors,
    OptTensors,
    Scalar,
    Scalars,
    Int,
    /// `int[]`, `int[N]`: with N, one int stands for N equal ones (or for a list of one, for N = 1).
    Ints(Option<usize>),
    Float,
    Floats,
    Bool,
    Bools,
    Str,
    DType,
    Layout,
    Device,
    MemoryFormat,
    Generator,
    /// An index expression, as `x[...]` takes.
    Index,
}

impl Type {
    /// May an argument of this type be, or hold, tensors?
    #[must_use]
    pub fn holds_tensors(self) -> bool {
        matches!(
            self,
            Type::Tensor | Type::Operand | Type::Tensors | Type::OptTensors | Type::Index
        )
    }
}

#[derive(Clone)]
pub struct Param {
    pub name: &'static str,
    pub ty: Type,
    pub nullable: bool,
    pub keyword_only: bool,
    pub default: Option<Value>,
    /// The default as written, for stubs and docs.
    pub default_text: &'static str,
}

/// What an op gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returns {
    Nothing,
    Tensor,
    /// A list of tensors whose length depends on the call.
    Tensors,
    /// A plain tuple, or a named one where every field has a name.
    Tuple(Vec<&'static str>),
    /// A Python value: `Scalar`, `bool`, `int`, `int[]`, `ScalarType`.
    Plain(&'static str),
}

pub struct Schema {
    /// Public name, dotted for submodules: `sum`, `linalg.inv`.
    pub name: &'static str,
    pub overload: &'static str,
    pub params: Vec<Param>,
    pub returns: Returns,
}

impl Schema {
    /// Parses a declaration. The table's test runs it over every op, so a mistake never reaches a user.
    #[must_use]
    pub fn parse(text: &'static str) -> Option<Schema> {
        let open = text.find('(')?;
        let close = matching(text, open)?;
        let (name, overload) = split_name(&text[..open]);
        let mut keyword_only = false;
        let mut params = Vec::new();
        for piece in split_top(&text[open + 1..close]) {
            if piece == "*" {
                keyword_only = true;
            } else if !piece.is_empty() {
                params.push(param(piece, keyword_only)?);
            }
        }
        let returns = match text[close + 1..].trim().strip_prefix("->") {
            None => Returns::Tensor,
            Some(rest) => returns(rest.trim()),
        };
        Some(Schema {
            name,
            overload,
            params,
            returns,
        })
    }

    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.params.iter().position(|p| p.name == name)
    }
}

/// `max/dim` is the overload `dim` of `max`; a dot in the name is a submodule (`linalg.inv`).
fn split_name(text: &'static str) -> (&'static str, &'static str) {
    match text.rfind('/') {
        Some(slash) => (&text[..slash], &text[slash + 1..]),
        None => (text, ""),
    }
}

fn matching(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    for (i, c) in text[open..].char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(open + i);
                }
            }
            _ => {}
        }
    }
    None
}

/// Splits at commas outside brackets.
fn split_top(text: &'static str) -> Vec<&'static str> {
    let (mut depth, mut start, mut pieces) = (0, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                pieces.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    pieces.push(text[start..].trim());
    pieces
}

fn param(piece: &'static str, keyword_only: bool) -> Option<Param> {
    let (left, default_text) = match piece.split_once('=') {
        Some((left, text)) => (left.trim(), text.trim()),
        None => (piece, ""),
    };
    let (ty, name) = left.rsplit_once(' ')?;
    let ty = ty.trim();
    let (ty, nullable) = match ty.strip_suffix('?') {
        Some(inner) => (inner, true),
        None => (ty, false),
    };
    let ty = parse_type(ty)?;
    let default = if default_text.is_empty() {
        None
    } else {
        Some(parse_default(default_text, ty)?)
    };
    Some(Param {
        name,
        ty,
        nullable,
        keyword_only,
        default,
        default_text,
    })
}

fn parse_type(text: &str) -> Option<Type> {
    Some(match text {
        "Tensor" => Type::Tensor,
        "Tensor|Scalar" => Type::Operand,
        "Tensor[]" => Type::Tensors,
        "Tensor?[]" => Type::OptTensors,
        "Scalar" => Type::Scalar,
        "Scalar[]" => Type::Scalars,
        "int" => Type::Int,
        "int[]" => Type::Ints(None),
        "float" => Type::Float,
        "float[]" => Type::Floats,
        "bool" => Type::Bool,
        "bool[]" => Type::Bools,
        "str" => Type::Str,
        "ScalarType" => Type::DType,
        "Layout" => Type::Layout,
        "Device" => Type::Device,
        "MemoryFormat" => Type::MemoryFormat,
        "Generator" => Type::Generator,
        "Index" => Type::Index,
        _ => Type::Ints(Some(
            text.strip_prefix("int[")?.strip_suffix(']')?.parse().ok()?,
        )),
    })
}

fn parse_default(text: &'static str, ty: Type) -> Option<Value> {
    Some(match text {
        "None" => Value::None,
        "True" => Value::from(true),
        "False" => Value::from(false),
        "contiguous_format" => Value::MemoryFormat(MemoryFormat::Contiguous),
        "preserve_format" => Value::MemoryFormat(MemoryFormat::Preserve),
        _ if text.starts_with('[') => {
            let inner = text[1..].strip_suffix(']')?;
            let numbers = inner.split(',').map(str::trim).filter(|s| !s.is_empty());
            match ty {
                Type::Floats => Value::Floats(
                    numbers
                        .map(str::parse)
                        .collect::<std::result::Result<_, _>>()
                        .ok()?,
                ),
                Type::Tensors => Value::Tensors(Vec::new()),
                _ => Value::Ints(
                    numbers
                        .map(str::parse)
                        .collect::<std::result::Result<_, _>>()
                        .ok()?,
                ),
            }
        }
        _ if text.starts_with('\'') || text.starts_with('"') => {
            Value::from(text.trim_matches(['\'', '"']))
        }
        _ => match (text.parse::<i64>(), ty) {
            (Ok(n), Type::Ints(size)) => Value::Ints(vec![n; size.unwrap_or(1)]),
            (Ok(n), Type::Float) => Value::from(n as f64),
            (Ok(n), _) => Value::from(n),
            (Err(_), _) => Value::Num(Scalar::Float(text.parse().ok()?)),
        },
    })
}

fn returns(text: &'static str) -> Returns {
    match text {
        "()" => Returns::Nothing,
        "Tensor" => Returns::Tensor,
        "Tensor[]" => Returns::Tensors,
        _ => match text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
            Some(inner) => Returns::Tuple(
                split_top(inner)
                    .into_iter()
                    .map(|field| field.split_once(' ').map_or("", |(_, name)| name))
                    .collect(),
            ),
            None => Returns::Plain(text),
        },
    }
}
