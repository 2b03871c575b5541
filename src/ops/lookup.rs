//! Finding ops by name, and what is derived from a declaration once.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::alias::ALIASES;
use super::{Body, COPY, Entry, F, Grad, I, M, O, Op, P, Schema, Table, table};

pub(super) fn build(families: &[&'static [Op]]) -> Table {
    let mut entries = Vec::new();
    let mut by_name: HashMap<&'static str, Vec<usize>> = HashMap::new();
    let declared = families.iter().flat_map(|family| family.iter());
    let declared: Vec<&'static Op> = declared
        .flat_map(|op| std::iter::once(op).chain(copying(op)))
        .collect();
    let renamed = renamed(&declared);
    for op in declared.into_iter().chain(renamed) {
        let Some(schema) = Schema::parse(op.schema) else {
            // `every_schema_parses` fails on such a declaration.
            continue;
        };
        let id = entries.len();
        by_name.entry(schema.name).or_default().push(id);
        let node_name = match op.grad {
            Some(grad) if !grad.name.is_empty() => grad.name.to_string(),
            _ => node_name(schema.name),
        };
        let device_param = schema.position("device");
        entries.push(Entry {
            op,
            schema,
            id,
            node_name,
            device_param,
            uses: op
                .grad
                .and_then(|grad| grad.uses)
                .map_or_else(SmallVec::new, |uses| uses()),
        });
    }
    Table { entries, by_name }
}

/// The ops under their second names; they live as long as the table.
fn renamed(declared: &[&'static Op]) -> Vec<&'static Op> {
    const FORMS: u16 = F | M | I | O | P;
    let mut ops: Vec<&'static Op> = Vec::new();
    for &(alias, target, forms) in ALIASES {
        for op in declared {
            let Some(end) = op.schema.find(['(', '/']) else {
                continue;
            };
            let (name, rest) = op.schema.split_at(end);
            if name == target {
                ops.push(Box::leak(Box::new(Op {
                    schema: format!("{alias}{rest}").leak(),
                    doc: format!(" Another name of `{target}`.\n").leak(),
                    variants: op.variants & (forms | !FORMS),
                    grad: op.grad.map(|grad| own_name(name, grad)),
                    ..**op
                })));
            }
        }
    }
    ops
}

/// The rule with the name of its node written out.
fn own_name(op: &str, grad: Grad) -> Grad {
    match grad.name {
        "" => Grad {
            name: node_name(op).leak(),
            ..grad
        },
        _ => grad,
    }
}

/// The copying form of a view op, `f_copy`, if it is declared to have one. It lives as long as the table.
fn copying(op: &'static Op) -> Option<&'static Op> {
    let (Body::View(body), true) = (op.body, op.variants & COPY != 0) else {
        return None;
    };
    let end = op.schema.find(['(', '/'])?;
    let (name, rest) = op.schema.split_at(end);
    let grad = op.grad.map(|grad| Grad {
        name: match grad.name {
            "" => node_name(name).leak(),
            given => given,
        },
        ..grad
    });
    let grad = grad.map(|grad| Grad {
        name: format!("{}_copy", grad.name).leak(),
        ..grad
    });
    Some(Box::leak(Box::new(Op {
        schema: format!("{name}_copy{rest}").leak(),
        doc: format!(" Copies what `{name}` views.\n").leak(),
        variants: F | O,
        body: Body::Copies(body),
        grad,
    })))
}

/// `linalg.inv_ex` -> `LinalgInvExBackward0`.
fn node_name(name: &str) -> String {
    let mut text = String::new();
    for word in name.split(['.', '_']) {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            text.extend(first.to_uppercase());
            text.extend(letters);
        }
    }
    text + "Backward0"
}

/// The overloads of a name, in the order of the table.
pub fn find(name: &str) -> impl Iterator<Item = &'static Entry> {
    let table = table();
    table
        .by_name
        .get(name)
        .into_iter()
        .flatten()
        .map(|&id| &table.entries[id])
}

/// One op: `max` is the first of that name, `max/dim` an overload.
#[must_use]
pub fn find_overload(name: &str) -> Option<&'static Entry> {
    match name.split_once('/') {
        None => find(name).next(),
        Some((base, overload)) => find(base).find(|entry| entry.schema.overload == overload),
    }
}

impl Table {
    /// Every public name with its overloads, in the order of the table.
    pub fn names(&'static self) -> Vec<(&'static str, Vec<&'static Entry>)> {
        let mut names: Vec<(&'static str, Vec<&'static Entry>)> = Vec::new();
        let mut at: HashMap<&'static str, usize> = HashMap::new();
        for entry in &self.entries {
            let slot = *at.entry(entry.schema.name).or_insert_with(|| {
                names.push((entry.schema.name, Vec::new()));
                names.len() - 1
            });
            names[slot].1.push(entry);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::{FAMILIES, Schema, find_overload};

    #[test]
    fn every_schema_parses() {
        for op in FAMILIES.iter().flat_map(|family| family.iter()) {
            assert!(
                Schema::parse(op.schema).is_some(),
                "cannot parse {}",
                op.schema
            );
            assert!(!op.doc.trim().is_empty(), "{} has no doc", op.schema);
        }
    }

    #[test]
    fn node_names_are_pytorchs() {
        assert_eq!(super::node_name("linalg.inv_ex"), "LinalgInvExBackward0");
        assert!(find_overload("no such op").is_none());
    }
}
