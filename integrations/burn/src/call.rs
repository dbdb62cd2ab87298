//! What a layer is for inputs of one shape and type on one device: looked at once, and remembered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeDevice;
use gpunorm::unstable::{Binding, Caps, Geometry, Gradient, Pass, Scratch, Source, Strategy, Target};
use gpunorm::{Mode, NormSpec, Plan};

use crate::device::caps;
use crate::kernel::Launch;

/// Calls that are remembered. More than these in turn are planned anew each, which takes some tens of microseconds.
const REMEMBERED: usize = 1024;

static CALLS: Mutex<VecDeque<Arc<Call>>> = Mutex::new(VecDeque::new());

/// Whoever panicked has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A layer, its mode, an input's shape and type, and a device.
#[derive(Debug)]
pub struct Call {
    pub spec: NormSpec,
    mode: Mode,
    shape: Shape,
    dtype: gpunorm::DType,
    device: CubeDevice,
    geometry: Geometry,
    caps: Caps,
    planned: Mutex<Vec<(Pass, Arc<Planned>)>>,
}

/// What a pass runs.
#[derive(Debug)]
pub struct Planned {
    pub launches: Vec<Launch>,
    pub scratch: Scratch,
    /// Partial moments that a forward leaves.
    parts: usize,
}

/// Which gradients a backward finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub input: bool,
    pub parameters: bool,
}

impl Call {
    /// What is remembered, or else planned; or why it cannot be.
    pub fn find(
        device: &CubeDevice,
        spec: &NormSpec,
        mode: Mode,
        shape: &Shape,
        dtype: gpunorm::DType,
    ) -> gpunorm::Result<Arc<Call>> {
        let same = |call: &&Arc<Call>| {
            call.mode == mode
                && call.dtype == dtype
                && call.shape == *shape
                && call.device == *device
                && call.spec == *spec
        };
        if let Some(call) = lock(&CALLS).iter().rev().find(same) {
            return Ok(call.clone());
        }
        let call = Call {
            spec: spec.clone(),
            mode,
            shape: shape.clone(),
            dtype,
            device: device.clone(),
            geometry: Geometry::new(spec, mode, shape)?,
            caps: caps(&device.client()),
            planned: Mutex::default(),
        };
        // All that may be asked for later, where nobody can do without it.
        call.forward(false)?;
        call.backward(Wanted { input: true, parameters: true })?;
        let call = Arc::new(call);
        let mut calls = lock(&CALLS);
        if calls.len() == REMEMBERED {
            calls.pop_front();
        }
        calls.push_back(call.clone());
        Ok(call)
    }

    /// A forward; whether it `saves` what a backward needs.
    pub fn forward(&self, saves: bool) -> gpunorm::Result<Arc<Planned>> {
        self.planned(Pass::forward(saves))
    }

    pub fn backward(&self, wanted: Wanted) -> gpunorm::Result<Arc<Planned>> {
        let of = |wanted| if wanted { Gradient::Replaced } else { Gradient::Unwanted };
        let parts = self.forward(true)?.parts;
        self.planned(Pass::backward(parts, of(wanted.input), of(wanted.parameters)))
    }

    fn planned(&self, pass: Pass) -> gpunorm::Result<Arc<Planned>> {
        let mut planned = lock(&self.planned);
        if let Some((_, found)) = planned.iter().find(|(planned, _)| *planned == pass) {
            return Ok(found.clone());
        }
        let Call { spec, geometry, dtype, caps, .. } = self;
        let plan = Plan::new(spec, geometry, *dtype, caps, Strategy::default(), pass)?;
        let target = Target { browser: cfg!(target_family = "wasm"), f16: caps.f16 };
        let new = Arc::new(Planned {
            launches: plan.steps.iter().map(|step| Launch::new(step, target)).collect(),
            scratch: plan.scratch,
            parts: plan.parts(spec),
        });
        planned.push((pass, new.clone()));
        Ok(new)
    }

    /// What of its scratch a forward keeps for a backward.
    pub fn saved(&self) -> &'static [Binding] {
        Scratch::saved(&self.spec, self.geometry.source)
    }

    /// Whether the running statistics take the input's place.
    pub fn uses_running(&self) -> bool {
        self.geometry.source == Source::Running
    }

    /// Whether a forward moves the running statistics.
    pub fn updates(&self) -> bool {
        self.geometry.updates
    }

    pub fn channels(&self) -> usize {
        self.geometry.channels
    }
}

/// burn's element type, if kernels have it.
pub fn dtype(dtype: DType) -> Option<gpunorm::DType> {
    match dtype {
        DType::F32 => Some(gpunorm::DType::F32),
        DType::F16 => Some(gpunorm::DType::F16),
        DType::BF16 => Some(gpunorm::DType::BF16),
        _ => None,
    }
}
