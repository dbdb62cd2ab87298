//! Compiled kernels, each compiled once however many threads ask for it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use wgpu::{BindGroupLayoutEntry, BindingType, BufferBindingType, ShaderStages};

use super::browser::IN_BROWSER;
use super::checked::CheckedDevice;
use super::memory::lock;
use crate::error::Result;
use crate::kernel::{Binding, F16, Kernel, Target};
use crate::plan::{Plan, Step};

/// A pipeline and the layout of its one bind group.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub compute: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Everything that is baked into a pipeline.
type Key = (Linked, Vec<(&'static str, u32)>);

/// A kernel and how it converts f16.
type Linked = (Kernel, F16);

/// What errors say is done.
pub(crate) const COMPILING: &str = "compiling kernels";

/// What is made once, by whoever asks first while others wait; by the next who asks, if that failed.
#[derive(Debug)]
struct Slot<T>(Mutex<Option<Arc<T>>>);

impl<T> Slot<T> {
    fn empty() -> Slot<T> {
        Slot(Mutex::new(None))
    }

    fn get_or_make(&self, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut slot = lock(&self.0);
        match &*slot {
            Some(made) => Ok(made.clone()),
            None => Ok(slot.insert(Arc::new(make()?)).clone()),
        }
    }
}

/// What is made once for each key.
type Slots<K, T> = Mutex<HashMap<K, Arc<Slot<T>>>>;

/// The slot of a key. The map is not locked while it is filled, so others go on.
fn slot<K: Eq + Hash, T>(slots: &Slots<K, T>, key: K) -> Arc<Slot<T>> {
    lock(slots).entry(key).or_insert_with(|| Arc::new(Slot::empty())).clone()
}

/// A parsed shader and the layout of its one bind group, for pipelines of any overrides.
#[derive(Debug)]
struct Shader {
    module: wgpu::ShaderModule,
    layout: wgpu::BindGroupLayout,
    pipeline_layout: wgpu::PipelineLayout,
}

/// The pipelines of one device.
#[derive(Debug)]
pub(crate) struct Pipelines {
    device: CheckedDevice,
    shaders: Slots<Linked, Shader>,
    pipelines: Slots<Key, Pipeline>,
    copy: Slot<Pipeline>,
    checks: bool,
    cache: Option<wgpu::PipelineCache>,
}

impl Pipelines {
    /// `checks` are the run-time checks of wgpu's shaders; `cache` is what drivers keep compiled code in.
    pub fn new(device: CheckedDevice, checks: bool, cache: Option<wgpu::PipelineCache>) -> Pipelines {
        let (shaders, pipelines) = Default::default();
        Pipelines { device, shaders, pipelines, copy: Slot::empty(), checks, cache }
    }

    pub fn checks(&self) -> bool {
        self.checks
    }

    pub fn cache(&self) -> Option<&wgpu::PipelineCache> {
        self.cache.as_ref()
    }

    /// How many pipelines there are, and of how many shaders.
    #[cfg(test)]
    pub fn len(&self) -> (usize, usize) {
        (lock(&self.pipelines).len(), lock(&self.shaders).len())
    }

    /// All pipelines of `plan`.
    pub fn compile(&self, plan: &Plan, f16: F16) -> Result<()> {
        plan.steps.iter().try_for_each(|step| self.get(step, f16).map(drop))
    }

    /// That of shaders/device/copy.wgsl.
    pub fn copy(&self) -> Result<Arc<Pipeline>> {
        self.copy.get_or_make(|| {
            let storage = |read_only| BufferBindingType::Storage { read_only };
            let types = [storage(true), storage(false), BufferBindingType::Uniform];
            let entries: Vec<_> = (0..).zip(types).map(|(binding, ty)| layout_entry(binding, ty)).collect();
            let shader = self.parse("copy", &entries, |device| {
                let source = wgpu::ShaderSource::Wgsl(include_str!("../../shaders/device/copy.wgsl").into());
                device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("copy"), source })
            })?;
            self.compile_shader("copy", &shader, &[])
        })
    }

    /// The pipeline of `step`; compiles it if nobody has.
    pub fn get(&self, step: &Step, f16: F16) -> Result<Arc<Pipeline>> {
        let linked = (step.kernel, if step.kernel.converts_f16() { f16 } else { F16::default() });
        slot(&self.pipelines, (linked, step.constants.clone())).get_or_make(|| {
            let shader = self.shader(linked)?;
            let constants: Vec<_> = step.constants.iter().map(|&(name, value)| (name, f64::from(value))).collect();
            self.compile_shader(step.kernel.name(), &shader, &constants)
        })
    }

    fn shader(&self, (kernel, f16): Linked) -> Result<Arc<Shader>> {
        slot(&self.shaders, (kernel, f16)).get_or_make(|| {
            let bindings = kernel.bindings().into_iter();
            let entries: Vec<_> = bindings.map(|(binding, writes)| entry(binding, writes)).collect();
            self.parse(kernel.name(), &entries, |device| module(device, (kernel, f16), self.checks))
        })
    }

    fn parse(
        &self,
        name: &'static str,
        entries: &[BindGroupLayoutEntry],
        module: impl FnOnce(&wgpu::Device) -> wgpu::ShaderModule,
    ) -> Result<Shader> {
        let label = Some(name);
        self.device.call(COMPILING, |device| {
            let module = module(device);
            let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries });
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label,
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            Shader { module, layout, pipeline_layout }
        })
    }

    fn compile_shader(&self, name: &'static str, shader: &Shader, constants: &[(&str, f64)]) -> Result<Pipeline> {
        let label = Some(name);
        let descriptor = wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&shader.pipeline_layout),
            module: &shader.module,
            entry_point: label,
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                // Shared memory is written before it is read.
                zero_initialize_workgroup_memory: false,
            },
            cache: self.cache.as_ref(),
        };
        let compute = self.device.call(COMPILING, |device| device.create_compute_pipeline(&descriptor))?;
        Ok(Pipeline { compute, layout: shader.layout.clone() })
    }
}

/// The crate's one unsafe block. wgpu's run-time checks clamp every index, count every loop and test every divisor.
///
/// They may be off because a module is made of nothing but this crate's own kernels, each of which says in its header
/// why it stays in bounds of buffers that the plan and `GpuNorm` have sized; because no loop runs more than
/// [`MAX_ITERATIONS`](crate::plan::MAX_ITERATIONS), a property of every plan; and because divisors are sizes that no
/// planned step has as 0. `tests/suite/bounds.rs` runs the shaders of random plans on naga's IR to see all three; what the
/// suite holds to an oracle it runs with checks too, each kernel once (`tests/suite/checks.rs`).
#[allow(unsafe_code)]
fn module(device: &wgpu::Device, (kernel, f16): Linked, checks: bool) -> wgpu::ShaderModule {
    let target = Target { browser: IN_BROWSER, f16 };
    let source = wgpu::ShaderSource::Wgsl(kernel.link(target).into());
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(kernel.name()), source };
    if checks {
        return device.create_shader_module(descriptor);
    }
    // SAFETY: as above.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}

fn entry(binding: Binding, writes: bool) -> BindGroupLayoutEntry {
    layout_entry(
        binding as u32,
        match binding {
            Binding::Params => BufferBindingType::Uniform,
            _ => BufferBindingType::Storage { read_only: !writes },
        },
    )
}

fn layout_entry(binding: u32, ty: BufferBindingType) -> BindGroupLayoutEntry {
    BindGroupLayoutEntry {
        binding,
        visibility: ShaderStages::COMPUTE,
        ty: BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::Error;

    /// However many ask at once; but what failed is tried again.
    #[test]
    fn a_slot_is_filled_once() {
        let (slot, barrier, made) = (Slot::empty(), Barrier::new(8), AtomicUsize::new(0));
        let failed = Error::OutOfMemory { during: COMPILING, bytes: None };
        assert_eq!(slot.get_or_make(|| Err(failed.clone())), Err(failed));
        let make = || Ok(made.fetch_add(1, Ordering::Relaxed));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    assert_eq!(slot.get_or_make(make).map(|made| *made), Ok(0));
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
