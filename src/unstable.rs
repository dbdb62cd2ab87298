//! What this crate's tests, benches and tools are built on, and other runtimes may be: the kernels, plans and numbers that
//! forwards and backwards go by. **No promise of stability**: any version may change what is here, a patch too.
//!
//! A [`Plan`](crate::Plan) is a value: [`Plan::new`](crate::Plan::new) makes one for any device's [`Caps`], its fields are the
//! [`Step`]s and the [`Scratch`] between them, and [`Kernel::link`] has the WGSL of each step. [`Gpu::with_caps`] and
//! [`GpuNorm::set_strategy`] have a device planned for as if it were another.
//!
//! [`Gpu::with_caps`]: crate::Gpu::with_caps
//! [`GpuNorm::set_strategy`]: crate::GpuNorm::set_strategy
//!
//! # On another runtime
//!
//! What launches WGSL can run a plan: `integrations/burn/` does on CubeCL, `tests/suite/baked.rs` in an arena on bare wgpu. [`Caps`]
//! are plain numbers, to be filled in from whatever the runtime tells of its device. [`Step::bake`] gives a step's text as such
//! runtimes take it: no overrides, bindings counted from 0, the uniform last, all storage `read_write`.
//!
//! ```
//! use gpunorm::unstable::{Binding, Caps, Geometry, Pass, Scratch, Strategy, Target};
//! use gpunorm::{DType, LayerNorm, Mode, NormSpec, Plan};
//!
//! # fn main() -> gpunorm::Result<()> {
//! let caps = Caps { max_workgroup: 1024, max_storage_buffers: 16, ..Caps::WEBGPU };
//! let spec = NormSpec::from(LayerNorm::new(768));
//! let geometry = Geometry::new(&spec, Mode::Training, &[512, 768])?;
//! let plan = Plan::new(&spec, &geometry, DType::F32, &caps, Strategy::default(), Pass::forward(true))?;
//! let kept = Scratch::saved(&spec, geometry.source); // for the backward; other scratch may go after the last step
//! for step in &plan.steps {
//!     let source = step.bake(Target::default()); // to be compiled; its entry point is called as the kernel is
//!     assert!(source.contains(&format!("fn {}(", step.kernel.name())));
//!     for (binding, _writes) in step.kernel.arguments() {
//!         match step.resource(binding) {
//!             Binding::Params => drop(step.params.as_bytes()), // the uniform
//!             Binding::X | Binding::Y => drop(step.bytes.clone()), // these bytes of the input, of the output
//!             scratch if Scratch::BINDINGS.contains(&scratch) => drop(plan.scratch.bytes(scratch)), // a buffer of so many bytes
//!             _parameter => {} // the whole weight, the whole bias
//!         }
//!     }
//!     let [_x, _y] = step.workgroups; // dispatch so many
//! }
//! # assert_eq!(kept, [Binding::Statistics]);
//! # Ok(())
//! # }
//! ```
//!
//! Steps run in order, each after what the one before has written. The shaders stay in bounds of buffers that have these sizes, and
//! divide by nothing that is 0, so that a runtime's own checks may be off (`src/device/pipeline.rs` says why that holds); shared memory need not be
//! zeroed. A backward is [`Pass::backward`], told the forward's [`Plan::parts`](crate::Plan::parts), with what the forward has kept in the place of its
//! scratch of the same name. A gradient of a parameter that nobody wants needs a buffer of its size all the same, where a step writes
//! it. Tensors are contiguous, and begin at multiples of [`Caps::alignment`].

pub use crate::kernel::{
    Beside, Binding, CoefficientsFrom, Element, F16, KeptSums, Kernel, Parameters, Params, RunningStatistics, Save,
    StatisticsFrom, Target, Team,
};
pub use crate::plan::{
    Caps, Exchange, Gradient, Layout, MAX_ITERATIONS, Modulation, Neighbours, Pass, Pitched, Route, Scratch, Step,
    Strategy, SubgroupSizes, Takes,
};
pub use crate::spec::geometry::{Geometry, ParameterIndex, SharedBatch, Source};
pub use crate::spec::strides::Pitch;
