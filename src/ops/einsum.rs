//! `einsum`: subscripts become dimensions, and operands are contracted pair by pair as batched products.

use super::{Args, F, Outputs, Val, Value};
use crate::tensor::Tensor;
use crate::{Result, ensure, fail, ops};
use smallvec::smallvec;

/// A subscript: a letter, or a dimension under the ellipsis counted from its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Label {
    Ellipsis(usize),
    Letter(char),
}

/// Subscripts of an operand or the output as written.
struct Term {
    letters: Vec<char>,
    /// Where the ellipsis stands among the letters.
    ellipsis: Option<usize>,
}

fn parse_term(text: &str, what: &str) -> Result<Term> {
    let (mut letters, mut ellipsis) = (Vec::new(), None);
    let mut rest = text.trim();
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("...") {
            ensure!(
                ellipsis.is_none(),
                Runtime,
                "einsum(): found '.' for {what} for which an ellipsis was already found"
            );
            ellipsis = Some(letters.len());
            rest = after;
            continue;
        }
        match c {
            ' ' => {}
            '.' => fail!(
                Runtime,
                "einsum(): found '.' for {what} that is not part of any ellipsis"
            ),
            _ if c.is_ascii_alphabetic() => letters.push(c),
            _ => fail!(
                Runtime,
                "einsum(): invalid subscript given at index {} in the equation string, subscripts must be in [a-zA-Z]",
                text.len() - rest.len()
            ),
        }
        rest = &rest[c.len_utf8()..];
    }
    Ok(Term { letters, ellipsis })
}

impl Term {
    /// Labels of the dimensions of an operand, or of an output with `covered` dimensions under the ellipsis.
    fn labels(&self, covered: usize) -> Vec<Label> {
        let mut labels: Vec<Label> = self.letters.iter().map(|&c| Label::Letter(c)).collect();
        if let Some(at) = self.ellipsis {
            let dims = (0..covered).map(|i| Label::Ellipsis(covered - i));
            labels.splice(at..at, dims);
        }
        labels
    }
}

/// The labels of each operand and of the output.
fn parse(equation: &str, operands: &[Tensor]) -> Result<(Vec<Vec<Label>>, Vec<Label>)> {
    let (inputs, output) = match equation.split_once("->") {
        Some((inputs, output)) => (inputs, Some(output)),
        None => (equation, None),
    };
    let terms: Vec<&str> = inputs.split(',').collect();
    ensure!(
        terms.len() <= operands.len(),
        Runtime,
        "einsum(): fewer operands were provided than specified in the equation"
    );
    ensure!(
        terms.len() >= operands.len(),
        Runtime,
        "einsum(): more operands were provided than specified in the equation"
    );
    let mut labels = Vec::new();
    let mut widest = 0;
    for (i, (text, operand)) in terms.iter().zip(operands).enumerate() {
        let term = parse_term(text, &format!("operand {i}"))?;
        let (named, ndim) = (term.letters.len(), operand.ndim());
        let fits = if term.ellipsis.is_some() {
            named <= ndim
        } else {
            named == ndim
        };
        ensure!(
            fits,
            Runtime,
            "einsum(): the number of subscripts in the equation ({named}) {} the number of dimensions ({ndim}) for operand {i}{}",
            if term.ellipsis.is_some() {
                "is more than"
            } else {
                "does not match"
            },
            if term.ellipsis.is_some() {
                ""
            } else {
                " and no ellipsis was given"
            }
        );
        widest = widest.max(ndim - named);
        labels.push(term.labels(ndim - named));
    }
    let output = match output {
        Some(text) => explicit_output(text, widest, &labels)?,
        None => implicit_output(&labels),
    };
    Ok((labels, output))
}

fn explicit_output(text: &str, widest: usize, inputs: &[Vec<Label>]) -> Result<Vec<Label>> {
    let output = parse_term(text, "the output")?.labels(widest);
    for (i, label) in output.iter().enumerate() {
        let name = match label {
            Label::Letter(c) => *c,
            Label::Ellipsis(_) => '.',
        };
        ensure!(
            !output[..i].contains(label),
            Runtime,
            "einsum(): output subscript {name} appears more than once in the output"
        );
        ensure!(
            inputs.iter().flatten().any(|l| l == label) || matches!(label, Label::Ellipsis(_)),
            Runtime,
            "einsum(): output subscript {name} does not appear in the equation for any input operand"
        );
    }
    Ok(output)
}

/// The ellipsis, then the letters that appear once, in order.
fn implicit_output(inputs: &[Vec<Label>]) -> Vec<Label> {
    let all: Vec<Label> = inputs.iter().flatten().copied().collect();
    let mut ellipsis: Vec<Label> = all
        .iter()
        .copied()
        .filter(|l| matches!(l, Label::Ellipsis(_)))
        .collect();
    ellipsis.sort_unstable();
    ellipsis.dedup();
    ellipsis.reverse();
    let mut letters: Vec<Label> = all
        .iter()
        .copied()
        .filter(|l| {
            matches!(l, Label::Letter(_)) && all.iter().filter(|&other| other == l).count() == 1
        })
        .collect();
    letters.sort_unstable();
    ellipsis.extend(letters);
    ellipsis
}

/// The operand with one dimension per label of `order`: repeated labels become diagonals, absent ones size 1.
fn arrange(operand: &Tensor, mut labels: Vec<Label>, order: &[Label]) -> Result<Val> {
    let mut v = Val::from(operand);
    let mut i = 0;
    while i < labels.len() {
        match labels[..i].iter().position(|l| *l == labels[i]) {
            None => i += 1,
            Some(first) => {
                let (a, b) = (v.shape()[first], v.shape()[i]);
                ensure!(
                    a == b,
                    Runtime,
                    "einsum(): subscript {:?} is repeated for an operand but the sizes don't match, {b} != {a}",
                    labels[i]
                );
                let last = labels.len() as i64 - 2;
                v = v.diagonal(0, first as i64, i as i64);
                labels.remove(i);
                let label = labels.remove(first);
                labels.push(label);
                debug_assert_eq!(labels.len() as i64 - 1, last);
                i = 0;
            }
        }
    }
    let present = order
        .iter()
        .filter_map(|l| labels.iter().position(|x| x == l))
        .map(|p| p as i64);
    v = v.permute(present.collect::<Vec<_>>());
    for (d, label) in order.iter().enumerate() {
        if !labels.contains(label) {
            v = v.unsqueeze(d as i64);
        }
    }
    Ok(v)
}

/// The product of two operands of equal rank, summed over the dimensions in `sums` (which keep size 1).
fn contract(mut left: Val, mut right: Val, sums: &[usize]) -> Val {
    let n = left.ndim();
    let (mut batch, mut only_left, mut only_right, mut summed) = (vec![], vec![], vec![], vec![]);
    for d in 0..n {
        let (wide_left, wide_right) = (left.shape()[d] != 1, right.shape()[d] != 1);
        let dim = d as i64;
        if sums.contains(&d) {
            match (wide_left, wide_right) {
                (true, true) => summed.push(dim),
                (true, false) => left = left.sum([dim], true),
                (false, true) => right = right.sum([dim], true),
                (false, false) => {}
            }
        } else {
            match (wide_left, wide_right) {
                (true, true) => batch.push(dim),
                (true, false) => only_left.push(dim),
                (false, _) => only_right.push(dim),
            }
        }
    }
    if summed.is_empty() {
        return left.mul(right);
    }
    multiply_groups(&left, &right, [&batch, &only_left, &only_right, &summed])
}

/// One batched product over dimensions grouped by their part in it.
fn multiply_groups(
    left: &Val,
    right: &Val,
    [batch, only_left, only_right, summed]: [&[i64]; 4],
) -> Val {
    let n = left.ndim();
    let size =
        |v: &Val, dims: &[i64]| -> i64 { dims.iter().map(|&d| v.shape()[d as usize]).product() };
    let rest = |used: &[&[i64]]| -> Vec<i64> {
        (0..n as i64)
            .filter(|d| !used.iter().any(|group| group.contains(d)))
            .collect()
    };
    let order = |groups: &[&[i64]]| [groups.concat(), rest(groups)].concat();
    let (b, s) = (size(left, batch), size(left, summed));
    let (l, r) = (size(left, only_left), size(right, only_right));
    let a = left
        .permute(order(&[batch, only_left, summed]))
        .reshape([b, l, s]);
    let c = right
        .permute(order(&[batch, summed, only_right]))
        .reshape([b, s, r]);
    let groups = [batch, only_left, only_right];
    let positions = order(&groups);
    let shape: Vec<i64> = positions
        .iter()
        .map(|d| {
            let v = if batch.contains(d) || only_left.contains(d) {
                left
            } else {
                right
            };
            if summed.contains(d) {
                1
            } else {
                v.shape()[*d as usize]
            }
        })
        .collect();
    let mut back = vec![0; n];
    positions
        .iter()
        .enumerate()
        .for_each(|(i, &d)| back[d as usize] = i as i64);
    a.bmm(c).reshape(shape).permute(back)
}

fn einsum(a: Args) -> Result<Outputs> {
    let (equation, operands) = (a.str(0)?, a.ts(1)?);
    ensure!(
        !operands.is_empty(),
        Runtime,
        "einsum(): must provide at least one operand"
    );
    let (labels, output) = parse(equation, operands)?;
    let mut order = output.clone();
    for label in labels.iter().flatten() {
        if !order.contains(label) {
            order.push(*label);
        }
    }
    let mut arranged = Vec::new();
    for (operand, labels) in operands.iter().zip(labels) {
        arranged.push(arrange(operand, labels, &order)?);
    }
    check_sizes(&arranged)?;
    let last_use = |d: usize| {
        arranged
            .iter()
            .rposition(|v| v.shape()[d] != 1)
            .unwrap_or(0)
    };
    let last: Vec<usize> = (0..order.len()).map(last_use).collect();
    let due = |i: usize| -> Vec<usize> {
        (output.len()..order.len())
            .filter(|&d| last[d] == i)
            .collect()
    };
    let mut result = arranged[0].clone();
    let first: Vec<i64> = due(0).into_iter().map(|d| d as i64).collect();
    if !first.is_empty() {
        result = result.sum(first, true);
    }
    for (i, operand) in arranged.iter().enumerate().skip(1) {
        result = contract(result, operand.clone(), &due(i));
    }
    let shape = result.shape()[..output.len().min(result.ndim())].to_vec();
    Ok(smallvec![Value::Tensor(result.reshape(shape).get()?)])
}

/// Sizes under one label are equal or one.
fn check_sizes(arranged: &[Val]) -> Result<()> {
    for d in 0..arranged[0].ndim() {
        let mut known = 1;
        for (i, v) in arranged.iter().enumerate() {
            let size = v.shape()[d];
            ensure!(
                size == known || size == 1 || known == 1,
                Runtime,
                "einsum(): operands do not broadcast with remapped shapes [original->remapped]: operand {i} has size {size} where others have {known}"
            );
            known = if known == 1 { size } else { known };
        }
    }
    Ok(())
}

ops! {
    /// Sums of products of elements, by Einstein's notation.
    "einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor", F, super::Body::Composite(einsum);
}
