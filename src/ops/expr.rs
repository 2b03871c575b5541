//! A formula written down: the lane type whose operations build an expression instead of computing.

use std::cell::RefCell;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

use smallvec::{SmallVec, smallvec};

use crate::cpu::lanes::{
    Divided, Factored, Field, Int, Mask, Num, Ordered, Real, field_functions, real_functions,
    real_functions2,
};

/// A value in a formula being written down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expr {
    Lit(f64),
    /// Position in the list of nodes.
    Node(u32),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// An operand of the formula, in its order.
    Input(usize),
    /// An op by its name in the table, and its arguments.
    Call(&'static str, SmallVec<[Expr; 3]>),
}

/// A formula: nodes after what they use, and the result.
#[derive(Clone, Debug)]
pub struct Tree {
    pub nodes: Vec<Node>,
    pub root: Expr,
    /// Which inputs the result depends on, as bits.
    pub inputs: u32,
}

#[derive(Default)]
struct Arena {
    nodes: Vec<Node>,
    /// Whether values are complex: conjugation is left out of real formulas.
    complex: bool,
}

thread_local! {
    static ARENA: RefCell<Arena> = RefCell::default();
}

fn push(node: Node) -> Expr {
    ARENA.with(|arena| {
        let nodes = &mut arena.borrow_mut().nodes;
        let at = nodes.iter().position(|n| *n == node).unwrap_or_else(|| {
            nodes.push(node);
            nodes.len() - 1
        });
        Expr::Node(at as u32)
    })
}

impl Expr {
    #[must_use]
    pub fn input(index: usize) -> Expr {
        push(Node::Input(index))
    }

    pub fn call(name: &'static str, args: &[Expr]) -> Expr {
        push(Node::Call(name, SmallVec::from_slice(args)))
    }
}

impl Tree {
    /// Writes down what `formula` does with its inputs.
    pub fn of(complex: bool, formula: impl FnOnce() -> Expr) -> Tree {
        ARENA.with(|arena| {
            *arena.borrow_mut() = Arena {
                nodes: Vec::new(),
                complex,
            }
        });
        let root = formula();
        let nodes = ARENA.with(|arena| std::mem::take(&mut arena.borrow_mut().nodes));
        pruned(nodes, root)
    }
}

/// The tree of the nodes that the root needs.
fn pruned(all: Vec<Node>, root: Expr) -> Tree {
    let mut needed = vec![false; all.len()];
    let mark = |e: Expr, needed: &mut Vec<bool>| {
        if let Expr::Node(i) = e {
            needed[i as usize] = true;
        }
    };
    mark(root, &mut needed);
    for i in (0..all.len()).rev() {
        if let (true, Node::Call(_, args)) = (needed[i], &all[i]) {
            args.iter().for_each(|&a| mark(a, &mut needed));
        }
    }
    let mut new_index = vec![0; needed.len()];
    let mut nodes = Vec::new();
    let mut inputs = 0;
    let moved = |e: Expr, new_index: &[u32]| match e {
        Expr::Node(i) => Expr::Node(new_index[i as usize]),
        lit @ Expr::Lit(_) => lit,
    };
    for (i, node) in all.into_iter().enumerate() {
        if needed[i] {
            new_index[i] = nodes.len() as u32;
            nodes.push(match node {
                Node::Call(name, args) => {
                    Node::Call(name, args.iter().map(|&a| moved(a, &new_index)).collect())
                }
                Node::Input(input) => {
                    inputs |= 1 << input;
                    node
                }
            });
        }
    }
    Tree {
        root: moved(root, &new_index),
        nodes,
        inputs,
    }
}

/// The tree of a formula, written down once; `complex` says for which numbers.
#[macro_export]
macro_rules! tree {
    ($formula:expr) => {
        |complex: bool| {
            static TREES: [std::sync::OnceLock<$crate::ops::expr::Tree>; 2] =
                [const { std::sync::OnceLock::new() }; 2];
            TREES[usize::from(complex)]
                .get_or_init(|| $crate::ops::expr::Tree::of(complex, || $formula))
        }
    };
}

fn unary(name: &'static str, x: Expr) -> Expr {
    push(Node::Call(name, smallvec![x]))
}

fn binary(name: &'static str, x: Expr, y: Expr) -> Expr {
    push(Node::Call(name, smallvec![x, y]))
}

macro_rules! operators {
    ($($trait:ident $method:ident $name:literal;)*) => { $(
        impl $trait for Expr {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr {
                fold($name, self, other).unwrap_or_else(|| binary($name, self, other))
            }
        }
    )* };
}

/// Drops additions of 0 and multiplications by 1, and computes with literals.
fn fold(name: &str, x: Expr, y: Expr) -> Option<Expr> {
    use Expr::Lit;
    Some(match (name, x, y) {
        ("add", Lit(a), Lit(b)) => Lit(a + b),
        ("sub", Lit(a), Lit(b)) => Lit(a - b),
        ("mul", Lit(a), Lit(b)) => Lit(a * b),
        ("div", Lit(a), Lit(b)) => Lit(a / b),
        ("add", Lit(0.0), other) | ("add" | "sub", other, Lit(0.0)) => other,
        ("mul", Lit(1.0), other) | ("mul" | "div", other, Lit(1.0)) => other,
        _ => return None,
    })
}

operators! {
    Add add "add";
    Sub sub "sub";
    Mul mul "mul";
    Div div "div";
    BitAnd bitand "logical_and";
    BitOr bitor "logical_or";
}

impl Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        match self {
            Expr::Lit(v) => Expr::Lit(-v),
            node @ Expr::Node(_) => unary("neg", node),
        }
    }
}

impl Not for Expr {
    type Output = Expr;
    fn not(self) -> Expr {
        unary("logical_not", self)
    }
}

impl Mask for Expr {}

macro_rules! unary_methods {
    ($($name:ident)*) => { $(fn $name(self) -> Expr { unary(stringify!($name), self) })* };
}
macro_rules! binary_methods {
    ($($name:ident)*) => { $(fn $name(self, other: Expr) -> Expr { binary(stringify!($name), self, other) })* };
}

impl Num for Expr {
    type Mask = Expr;
    const ZERO: Expr = Expr::Lit(0.0);
    const ONE: Expr = Expr::Lit(1.0);
    fn lit(value: f64) -> Expr {
        Expr::Lit(value)
    }
    fn select(mask: Expr, yes: Expr, no: Expr) -> Expr {
        push(Node::Call("where", smallvec![mask, yes, no]))
    }
    fn conj(self) -> Expr {
        if ARENA.with(|arena| arena.borrow().complex) {
            unary("conj", self)
        } else {
            self
        }
    }
    fn square(self) -> Expr {
        unary("square", self)
    }
    fn is_nan(self) -> Expr {
        unary("isnan", self)
    }
    fn is_inf(self) -> Expr {
        unary("isinf", self)
    }
    binary_methods!(eq ne pow);
}

impl Ordered for Expr {
    unary_methods!(abs sign floor ceil trunc round signbit);
    binary_methods!(lt le gt ge maximum minimum fmax fmin fmod remainder div_trunc div_floor);
}

impl Int for Expr {
    binary_methods!(bitwise_and bitwise_or bitwise_xor);
    unary_methods!(bitwise_not);
    fn shift_left(self, count: Expr) -> Expr {
        binary("bitwise_left_shift", self, count)
    }
    fn shift_right(self, count: Expr) -> Expr {
        binary("bitwise_right_shift", self, count)
    }
}

impl Factored for Expr {
    binary_methods!(gcd lcm);
}

impl Divided for Expr {
    type Slow = Expr;
    fn slow(self) -> Expr {
        self
    }
    fn from_slow(value: Expr) -> Expr {
        value
    }
    fn is_far(self, _: Expr) -> bool {
        false
    }
}

impl Field for Expr {
    type Exact = Expr;
    fn exact(self) -> Expr {
        self
    }
    fn inexact(value: Expr) -> Expr {
        value
    }
    field_functions!(unary_methods);
    binary_methods!(logaddexp);
    unary_methods!(sgn);
    fn lerp(self, end: Expr, weight: Expr) -> Expr {
        push(Node::Call("lerp", smallvec![self, end, weight]))
    }
}

impl Real for Expr {
    real_functions!(unary_methods);
    real_functions2!(binary_methods);
}
