//! Which expressions are nothing but data, so that nobody need compute them.

use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{AddressSpace, ArraySize, Expression, Function, Handle, Module, ScalarKind, Type, TypeInner};

/// Of a module's functions.
pub(super) struct Floats {
    pub entry: Of,
    pub functions: Vec<Of>,
}

/// By the numbers of a function's expressions.
pub(super) struct Of {
    pub data: Vec<bool>,
    /// How many parts a vector, matrix or array has.
    pub parts: Vec<Option<u32>>,
}

impl Floats {
    pub fn of(module: &Module, info: &ModuleInfo) -> Floats {
        let functions = module.functions.iter().map(|(handle, function)| Of::new(module, function, &info[handle]));
        let entry = Of::new(module, &module.entry_points[0].function, info.get_entry_point(0));
        Floats { entry, functions: functions.collect() }
    }
}

impl Of {
    fn new(module: &Module, function: &Function, info: &FunctionInfo) -> Of {
        let inner = |handle: Handle<Expression>| info[handle].ty.inner_with(&module.types);
        let has_to_be_seen = |expression: &Expression| match *expression {
            Expression::Load { pointer } => {
                matches!(inner(pointer).pointer_space(), Some(AddressSpace::Storage { .. }))
            }
            // Its index may be outside.
            Expression::Access { .. } => true,
            _ => false,
        };
        let is_data = |(handle, expression)| is_float(module, inner(handle)) && !has_to_be_seen(expression);
        let parts = |(handle, _)| match *inner(handle) {
            TypeInner::Vector { size, .. } | TypeInner::Matrix { columns: size, .. } => Some(size as u32),
            TypeInner::Array { size: ArraySize::Constant(size), .. } => Some(size.get()),
            _ => None,
        };
        let expressions = || function.expressions.iter();
        Of { data: expressions().map(is_data).collect(), parts: expressions().map(parts).collect() }
    }
}

/// Whether a value of this type has floats only.
fn is_float(module: &Module, ty: &TypeInner) -> bool {
    let named = |ty: Handle<Type>| is_float(module, &module.types[ty].inner);
    match ty {
        TypeInner::Scalar(scalar) | TypeInner::Vector { scalar, .. } => scalar.kind == ScalarKind::Float,
        TypeInner::Matrix { .. } => true,
        TypeInner::Array { base, .. } => named(*base),
        TypeInner::Struct { members, .. } => members.iter().all(|member| named(member.ty)),
        _ => false,
    }
}
