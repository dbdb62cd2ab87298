//! What this crate's tests, benches and tools are built on, and other runtimes may be: the kernels, plans and numbers that
//! forwards and backwards go by. **No promise of stability**: any version may change what is here, a patch too.
//!
//! A [`Plan`](crate::Plan) is a value: [`Plan::new`](crate::Plan::new) makes one for any device's [`Caps`], its fields are the
//! [`Step`]s and the [`Scratch`] between them, and [`Kernel::link`] has the WGSL of each step. [`Gpu::with_caps`] and
//! [`GpuNorm::set_strategy`] have a device planned for as if it were another.
//!
//! [`Gpu::with_caps`]: crate::Gpu::with_caps
//! [`GpuNorm::set_strategy`]: crate::GpuNorm::set_strategy

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
