//! What is known of a value without its data.

use std::rc::Rc;

use naga::{BinaryOperator, Handle, Literal, Type};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Unknown,
    Number(u32),
    /// One of two numbers, this one or a smaller one: what data decides may bound a loop, which then runs as far as it can.
    AtMost(u32),
    Bool(bool),
    Tuple(Rc<[Value]>),
    Pointer(Rc<Pointer>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pointer {
    pub root: Root,
    /// To a part of a local.
    pub path: Vec<u32>,
    pub offset: u64,
    /// None of a vector's component.
    pub ty: Option<Handle<Type>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Root {
    Local { frame: usize, place: usize },
    Uniform,
    Storage(u32),
    Workgroup,
    Private(usize),
}

pub(super) fn vector(numbers: [u32; 3]) -> Value {
    Value::Tuple(numbers.map(Value::Number).into())
}

/// What is the same on both sides.
pub(super) fn joined(a: Value, b: Value) -> Value {
    match (a, b) {
        (a, b) if a == b => a,
        (Value::Tuple(a), Value::Tuple(b)) if a.len() == b.len() => {
            Value::Tuple(a.iter().zip(&*b).map(|(a, b)| joined(a.clone(), b.clone())).collect())
        }
        _ => Value::Unknown,
    }
}

pub(super) fn blank(parts: &[Value]) -> Value {
    let part = |part: &Value| if let Value::Tuple(parts) = part { blank(parts) } else { Value::Unknown };
    Value::Tuple(parts.iter().map(part).collect())
}

pub(super) fn constant(literal: Literal) -> Value {
    match literal {
        Literal::U32(value) => Value::Number(value),
        Literal::Bool(value) => Value::Bool(value),
        Literal::F32(_) => Value::Unknown,
        other => panic!("{other:?}"),
    }
}

pub(super) fn binary(op: BinaryOperator, left: Value, right: Value) -> Value {
    use BinaryOperator::*;
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => match op {
            Add => Value::Number(a.wrapping_add(b)),
            Subtract => Value::Number(a.wrapping_sub(b)),
            Multiply => Value::Number(a.wrapping_mul(b)),
            Divide => Value::Number(a.checked_div(b).expect("a division by 0")),
            Modulo => Value::Number(a.checked_rem(b).expect("a division by 0")),
            Equal => Value::Bool(a == b),
            NotEqual => Value::Bool(a != b),
            Less => Value::Bool(a < b),
            LessEqual => Value::Bool(a <= b),
            Greater => Value::Bool(a > b),
            GreaterEqual => Value::Bool(a >= b),
            And => Value::Number(a & b),
            ExclusiveOr => Value::Number(a ^ b),
            InclusiveOr => Value::Number(a | b),
            ShiftLeft => Value::Number(a << b),
            ShiftRight => Value::Number(a >> b),
            LogicalAnd | LogicalOr => panic!("{op:?} of numbers"),
        },
        (Value::Number(a), Value::AtMost(b)) if op == Less => Value::Bool(a < b),
        (Value::Bool(a), Value::Bool(b)) => Value::Bool(match op {
            And | LogicalAnd => a && b,
            InclusiveOr | LogicalOr => a || b,
            Equal => a == b,
            NotEqual => a != b,
            _ => panic!("{op:?} of truths"),
        }),
        (Value::Tuple(a), Value::Tuple(b)) => {
            Value::Tuple(a.iter().zip(&*b).map(|(a, b)| binary(op, a.clone(), b.clone())).collect())
        }
        _ => Value::Unknown,
    }
}
