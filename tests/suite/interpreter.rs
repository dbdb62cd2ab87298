//! Runs a step of a plan invocation by invocation on naga's IR of its shader, as it is linked and with its overrides: which
//! bytes it addresses, by what it divides and how often it loops. It knows nothing of plans or of what shaders are for.
//!
//! Data is unknown here, so floats and what comes of them are. A shader whose addresses or loops depended on data would
//! panic; where a condition does, both of its sides run.

use std::collections::HashMap;
use std::rc::Rc;

use gpunorm::unstable::{F16, Kernel, Step};
use naga::{
    AddressSpace, ArraySize, Block, BuiltIn, Expression, Function, Handle, LocalVariable, MathFunction, Module,
    ScalarKind, Statement, Type, TypeInner, UnaryOperator,
};

use super::translation;
use floats::Floats;
use values::{Pointer, Root, Value, binary, blank, constant, joined, vector};

mod floats;
mod values;

/// Bytes that an invocation addresses.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// The number of a [`Binding`](gpunorm::unstable::Binding).
    pub binding: u32,
    /// In what the step binds.
    pub first: u64,
    pub bytes: u64,
}

/// How a driver forms subgroups of a workgroup's invocations: of neighbours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Subgroups {
    /// Lanes of each.
    pub size: u32,
    /// Those of them that are invocations. All known drivers fill them all, but nothing promises it.
    pub filled: u32,
}

/// A step's shader.
pub struct Shader {
    code: Rc<Code>,
    params: Vec<u8>,
    workgroups: [u32; 2],
}

struct Code {
    module: Module,
    floats: Floats,
}

/// A kernel and its overrides.
type Key = (Kernel, Vec<(&'static str, u32)>);

/// The shaders that were translated before.
#[derive(Default)]
pub struct Shaders(HashMap<Key, Rc<Code>>);

impl Shaders {
    pub fn of(&mut self, step: &Step) -> Shader {
        let key = (step.kernel, step.constants.clone());
        let code = self.0.entry(key).or_insert_with(|| {
            let (module, info) = translation::with_overrides(step.kernel, F16::Integer, &step.constants);
            Rc::new(Code { floats: Floats::of(&module, &info), module })
        });
        Shader { code: code.clone(), params: bytemuck::bytes_of(&step.params).to_vec(), workgroups: step.workgroups }
    }
}

enum Flow {
    On,
    Break,
    Continue,
    Return(Value),
}

struct Frame<'a> {
    function: &'a Function,
    floats: &'a floats::Of,
    number: usize,
    arguments: Vec<Value>,
    values: Vec<Option<Value>>,
    /// What it has returned on one side of an unknown condition.
    returned: Option<Value>,
}

struct Run<'a> {
    shader: &'a Shader,
    locals: Vec<Vec<Value>>,
    /// By the global variable's number; scalars.
    private: Vec<Value>,
    iterations: u64,
    visit: &'a mut dyn FnMut(Access),
}

impl Shader {
    /// Runs one invocation and gives the number of its loop iterations: at least one for each time that a loop is entered.
    pub fn run(&self, workgroup: [u32; 2], index: u32, form: Subgroups, visit: &mut dyn FnMut(Access)) -> u64 {
        let builtin = |builtin| match builtin {
            BuiltIn::WorkGroupId => vector([workgroup[0], workgroup[1], 0]),
            BuiltIn::NumWorkGroups => vector([self.workgroups[0], self.workgroups[1], 1]),
            BuiltIn::LocalInvocationIndex => Value::Number(index),
            BuiltIn::SubgroupId => Value::Number(index / form.filled),
            BuiltIn::SubgroupSize => Value::Number(form.size),
            BuiltIn::SubgroupInvocationId => Value::Number(index % form.filled),
            other => panic!("{other:?}"),
        };
        let Code { module, floats } = &*self.code;
        let function = &module.entry_points[0].function;
        let argument = &function.arguments[0];
        let TypeInner::Struct { members, .. } = &module.types[argument.ty].inner else { panic!("no struct") };
        let members = members.iter().map(|member| match member.binding {
            Some(naga::Binding::BuiltIn(of)) => builtin(of),
            _ => panic!("{member:?}"),
        });
        let arguments = vec![Value::Tuple(members.collect())];
        let private = module.global_variables.iter().map(|(_, global)| match global.space {
            AddressSpace::Private => Value::Number(0),
            _ => Value::Unknown,
        });
        let mut run = Run { shader: self, locals: vec![], private: private.collect(), iterations: 0, visit };
        run.call(function, &floats.entry, arguments);
        run.iterations
    }
}

impl<'a> Run<'a> {
    fn module(&self) -> &'a Module {
        &self.shader.code.module
    }

    fn inner(&self, ty: Handle<Type>) -> &'a TypeInner {
        &self.module().types[ty].inner
    }

    fn call(&mut self, function: &'a Function, floats: &'a floats::Of, arguments: Vec<Value>) -> Value {
        let number = self.locals.len();
        let values = vec![None; function.expressions.len()];
        let mut frame = Frame { function, floats, number, arguments, values, returned: None };
        self.locals.push(vec![]);
        for (_, local) in function.local_variables.iter() {
            let value = match local.init {
                Some(init) => self.value(&mut frame, init),
                None => self.filled(local.ty, true),
            };
            self.locals[number].push(value);
        }
        let flow = self.block(&mut frame, &function.body);
        self.locals.pop();
        let last = if let Flow::Return(value) = flow { value } else { Value::Unknown };
        match frame.returned {
            Some(before) => joined(before, last),
            None => last,
        }
    }

    /// Of zeros, or of nothing known.
    fn filled(&self, ty: Handle<Type>, zeros: bool) -> Value {
        let scalar = |scalar: naga::Scalar| match scalar.kind {
            ScalarKind::Uint if zeros => Value::Number(0),
            ScalarKind::Bool if zeros => Value::Bool(false),
            _ => Value::Unknown,
        };
        match self.inner(ty) {
            TypeInner::Scalar(kind) => scalar(*kind),
            TypeInner::Vector { size, scalar: kind } => Value::Tuple(vec![scalar(*kind); *size as usize].into()),
            TypeInner::Matrix { columns, rows, .. } => {
                let column = Value::Tuple(vec![Value::Unknown; *rows as usize].into());
                Value::Tuple(vec![column; *columns as usize].into())
            }
            TypeInner::Array { base, size: ArraySize::Constant(size), .. } => {
                Value::Tuple(vec![self.filled(*base, zeros); size.get() as usize].into())
            }
            TypeInner::Struct { members, .. } => {
                Value::Tuple(members.iter().map(|member| self.filled(member.ty, zeros)).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    /// A uniform's value from its bytes: floats are data.
    fn uniform(&self, ty: Handle<Type>, offset: usize) -> Value {
        match self.inner(ty) {
            TypeInner::Scalar(scalar) if scalar.kind == ScalarKind::Uint => {
                let bytes = self.shader.params[offset..offset + 4].try_into().expect("4 bytes");
                Value::Number(u32::from_le_bytes(bytes))
            }
            TypeInner::Scalar(_) => Value::Unknown,
            other => panic!("{other:?}"),
        }
    }

    // ---- statements

    fn block(&mut self, frame: &mut Frame<'a>, block: &'a Block) -> Flow {
        for statement in block.iter() {
            let flow = self.statement(frame, statement);
            if !matches!(flow, Flow::On) {
                return flow;
            }
        }
        Flow::On
    }

    fn statement(&mut self, frame: &mut Frame<'a>, statement: &'a Statement) -> Flow {
        match statement {
            Statement::Emit(range) => {
                for handle in range.clone().filter(|handle| !frame.floats.data[handle.index()]) {
                    let value = self.compute(frame, handle);
                    frame.values[handle.index()] = Some(value);
                }
            }
            Statement::Block(block) => return self.block(frame, block),
            Statement::If { condition, accept, reject } => match self.value(frame, *condition) {
                Value::Bool(true) => return self.block(frame, accept),
                Value::Bool(false) => return self.block(frame, reject),
                _ => return self.both(frame, accept, reject),
            },
            Statement::Loop { body, continuing, break_if } => return self.repeat(frame, body, continuing, *break_if),
            Statement::Break => return Flow::Break,
            Statement::Continue => return Flow::Continue,
            Statement::Return { value } => {
                return Flow::Return(value.map_or(Value::Unknown, |value| self.value(frame, value)));
            }
            Statement::Store { pointer, value } => {
                let Value::Pointer(pointer) = self.value(frame, *pointer) else { panic!("no pointer") };
                let value = self.value(frame, *value);
                self.store(&pointer, value);
            }
            Statement::Call { function, arguments, result } => {
                let arguments = arguments.iter().map(|&argument| self.value(frame, argument)).collect();
                let floats = &self.shader.code.floats.functions[function.index()];
                let value = self.call(&self.module().functions[*function], floats, arguments);
                if let Some(result) = result {
                    frame.values[result.index()] = Some(value);
                }
            }
            Statement::SubgroupGather { result, .. } => frame.values[result.index()] = Some(Value::Unknown),
            Statement::ControlBarrier(_) => {}
            other => panic!("{other:?}"),
        }
        Flow::On
    }

    fn both(&mut self, frame: &mut Frame<'a>, accept: &'a Block, reject: &'a Block) -> Flow {
        let before = self.locals.clone();
        let one = self.block(frame, accept);
        let after = std::mem::replace(&mut self.locals, before);
        let other = self.block(frame, reject);
        match (one, other) {
            (Flow::On, Flow::On) => {
                for (locals, after) in self.locals.iter_mut().zip(after) {
                    for (local, after) in locals.iter_mut().zip(after) {
                        *local = joined(std::mem::replace(local, Value::Unknown), after);
                    }
                }
                Flow::On
            }
            (Flow::Return(one), Flow::Return(other)) => Flow::Return(joined(one, other)),
            (Flow::Return(value), Flow::On) => {
                frame.returned = Some(frame.returned.take().map_or(value.clone(), |before| joined(before, value)));
                Flow::On
            }
            _ => panic!("data decides where {} goes on", frame.function.name.as_deref().unwrap_or("it")),
        }
    }

    fn repeat(
        &mut self,
        frame: &mut Frame<'a>,
        body: &'a Block,
        continuing: &'a Block,
        break_if: Option<Handle<Expression>>,
    ) -> Flow {
        self.iterations += 1;
        for turn in 0u64.. {
            match self.block(frame, body) {
                Flow::Break => break,
                Flow::Return(value) => return Flow::Return(value),
                Flow::On | Flow::Continue => {}
            }
            self.iterations += u64::from(turn > 0);
            self.block(frame, continuing);
            if let Some(condition) = break_if {
                match self.value(frame, condition) {
                    Value::Bool(false) => {}
                    Value::Bool(true) => break,
                    _ => panic!("data decides how often it loops"),
                }
            }
        }
        Flow::On
    }

    fn store(&mut self, pointer: &Pointer, value: Value) {
        match pointer.root {
            Root::Local { frame, place } => {
                let mut target = &mut self.locals[frame][place];
                for &step in &pointer.path {
                    let Value::Tuple(parts) = target else { panic!("{target:?}") };
                    target = &mut Rc::make_mut(parts)[step as usize];
                }
                *target = match (&*target, value) {
                    // Parts stay parts, known or not.
                    (Value::Tuple(parts), Value::Unknown) => blank(parts),
                    (_, value) => value,
                };
            }
            Root::Storage(binding) => self.touch(pointer, binding),
            Root::Workgroup => {}
            Root::Private(number) => self.private[number] = value,
            Root::Uniform => panic!("a uniform is written"),
        }
    }

    fn touch(&mut self, pointer: &Pointer, binding: u32) {
        let bytes = pointer.ty.map_or(4, |ty| u64::from(self.inner(ty).size(self.module().to_ctx())));
        (self.visit)(Access { binding, first: pointer.offset, bytes });
    }

    // ---- expressions

    fn value(&mut self, frame: &mut Frame<'a>, handle: Handle<Expression>) -> Value {
        match &frame.values[handle.index()] {
            Some(value) => value.clone(),
            None if frame.floats.data[handle.index()] => Value::Unknown,
            None => self.compute(frame, handle),
        }
    }

    fn compute(&mut self, frame: &mut Frame<'a>, handle: Handle<Expression>) -> Value {
        match frame.function.expressions[handle] {
            Expression::Literal(literal) => constant(literal),
            Expression::Constant(constant) => self.global(self.module().constants[constant].init),
            Expression::ZeroValue(ty) => self.filled(ty, true),
            Expression::Compose { ty, ref components } => {
                let inner = self.inner(ty);
                let parts = components.iter().map(|&part| self.value(frame, part));
                let flat = |part| if let Value::Tuple(parts) = part { parts.to_vec() } else { vec![part] };
                match *inner {
                    // Of scalars and of shorter vectors.
                    TypeInner::Vector { size, .. } => match parts.flat_map(flat).collect::<Vec<_>>() {
                        parts if parts.len() == size as usize => Value::Tuple(parts.into()),
                        _ => Value::Unknown,
                    },
                    _ => Value::Tuple(parts.collect()),
                }
            }
            Expression::Splat { size, value } => Value::Tuple(vec![self.value(frame, value); size as usize].into()),
            Expression::Swizzle { size, vector, pattern } => match self.value(frame, vector) {
                Value::Tuple(parts) => {
                    Value::Tuple(pattern[..size as usize].iter().map(|&at| parts[at as usize].clone()).collect())
                }
                _ => Value::Unknown,
            },
            Expression::Access { base, index } => match self.value(frame, index) {
                Value::Number(index) => {
                    let inside = frame.floats.parts[base.index()].is_none_or(|parts| index < parts);
                    assert!(inside, "part {index} of a value in {:?}", frame.function.name);
                    let base = self.value(frame, base);
                    self.part(base, index)
                }
                _ => panic!("data decides an address in {:?}", frame.function.name),
            },
            Expression::AccessIndex { base, index } => {
                let base = self.value(frame, base);
                self.part(base, index)
            }
            Expression::FunctionArgument(index) => frame.arguments[index as usize].clone(),
            Expression::LocalVariable(local) => self.local(frame, local),
            Expression::GlobalVariable(global) => {
                let number = global.index();
                let global = &self.module().global_variables[global];
                let root = match global.space {
                    AddressSpace::Uniform => Root::Uniform,
                    AddressSpace::WorkGroup => Root::Workgroup,
                    AddressSpace::Private => Root::Private(number),
                    _ => Root::Storage(global.binding.expect("a binding").binding),
                };
                Value::Pointer(Rc::new(Pointer { root, path: vec![], offset: 0, ty: Some(global.ty) }))
            }
            Expression::Load { pointer } => {
                let Value::Pointer(pointer) = self.value(frame, pointer) else { panic!("no pointer") };
                self.load(&pointer)
            }
            Expression::Unary { op, expr } => match (op, self.value(frame, expr)) {
                (UnaryOperator::LogicalNot, Value::Bool(value)) => Value::Bool(!value),
                (UnaryOperator::BitwiseNot, Value::Number(value)) => Value::Number(!value),
                _ => Value::Unknown,
            },
            Expression::Binary { op, left, right } => binary(op, self.value(frame, left), self.value(frame, right)),
            Expression::Select { condition, accept, reject } => {
                let (accept, reject) = (self.value(frame, accept), self.value(frame, reject));
                match (self.value(frame, condition), accept, reject) {
                    (Value::Bool(true), accept, _) => accept,
                    (Value::Bool(false), _, reject) => reject,
                    (_, Value::Number(a), Value::Number(b)) if a != b => Value::AtMost(a.max(b)),
                    (_, accept, reject) => joined(accept, reject),
                }
            }
            Expression::Math { fun, arg, arg1: Some(other), arg2: None, .. } => {
                match (fun, self.value(frame, arg), self.value(frame, other)) {
                    (MathFunction::Min, Value::Number(a), Value::Number(b)) => Value::Number(a.min(b)),
                    (MathFunction::Max, Value::Number(a), Value::Number(b)) => Value::Number(a.max(b)),
                    _ => Value::Unknown,
                }
            }
            Expression::Math { fun: MathFunction::Clamp, arg, arg1: Some(least), arg2: Some(most), .. } => {
                match (self.value(frame, arg), self.value(frame, least), self.value(frame, most)) {
                    (Value::Number(value), Value::Number(least), Value::Number(most)) => {
                        Value::Number(value.clamp(least, most))
                    }
                    _ => Value::Unknown,
                }
            }
            Expression::Math { .. } | Expression::Relational { .. } => Value::Unknown,
            Expression::As { expr, kind, .. } => match (kind, self.value(frame, expr)) {
                (ScalarKind::Uint, Value::Number(value)) => Value::Number(value),
                _ => Value::Unknown,
            },
            ref other => panic!("{other:?}"),
        }
    }

    fn global(&self, handle: Handle<Expression>) -> Value {
        match self.module().global_expressions[handle] {
            Expression::Literal(literal) => constant(literal),
            ref other => panic!("{other:?}"),
        }
    }

    fn local(&self, frame: &Frame<'a>, local: Handle<LocalVariable>) -> Value {
        let root = Root::Local { frame: frame.number, place: local.index() };
        let ty = Some(frame.function.local_variables[local].ty);
        Value::Pointer(Rc::new(Pointer { root, path: vec![], offset: 0, ty }))
    }

    fn load(&mut self, pointer: &Pointer) -> Value {
        match pointer.root {
            Root::Local { frame, place } => {
                let mut value = &self.locals[frame][place];
                for &step in &pointer.path {
                    let Value::Tuple(parts) = value else { panic!("{value:?}") };
                    value = &parts[step as usize];
                }
                value.clone()
            }
            Root::Uniform => self.uniform(pointer.ty.expect("a scalar"), pointer.offset as usize),
            Root::Storage(binding) => {
                self.touch(pointer, binding);
                Value::Unknown
            }
            Root::Workgroup => Value::Unknown,
            Root::Private(number) => self.private[number].clone(),
        }
    }

    fn part(&self, base: Value, index: u32) -> Value {
        match base {
            Value::Tuple(parts) => parts[index as usize].clone(),
            Value::Pointer(pointer) => {
                let Pointer { root, path, offset, ty } = &*pointer;
                let ty = ty.expect("parts");
                let step = |size: u64| offset + size * u64::from(index);
                let (offset, ty) = match self.inner(ty) {
                    TypeInner::Struct { members, .. } => {
                        let member = &members[index as usize];
                        (offset + u64::from(member.offset), Some(member.ty))
                    }
                    TypeInner::Array { base, size, stride } => {
                        if let ArraySize::Constant(size) = size {
                            assert!(index < size.get(), "place {index} of an array of {size}");
                        }
                        (step(u64::from(*stride)), Some(*base))
                    }
                    TypeInner::Vector { size, .. } => {
                        assert!(index < *size as u32, "component {index} of {size:?}");
                        (step(4), None)
                    }
                    TypeInner::Matrix { .. } => (step(16), None),
                    other => panic!("{other:?}"),
                };
                let path = if let Root::Local { .. } = root { [path, &[index][..]].concat() } else { vec![] };
                Value::Pointer(Rc::new(Pointer { root: *root, path, offset, ty }))
            }
            _ => Value::Unknown,
        }
    }
}
