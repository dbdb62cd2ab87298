//! What a call costs the host: in the steady state recording a forward allocates nothing beyond what wgpu itself does
//! for the same passes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use gpunorm::unstable::{Binding, Params, Route, Strategy, Target};
use gpunorm::{BatchNorm, DType, Gpu, GpuNorm, LayerNorm, NormSpec, SwitchableNorm, Tensor};
use wgpu::{BufferUsages, CommandEncoder};

use crate::adapters;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread allocates.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What `work` allocates when it is repeated, apart from making and finishing the encoder.
fn allocations(gpu: &Gpu, work: &dyn Fn(&mut CommandEncoder)) -> usize {
    let count = || {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let before = ALLOCATIONS.get();
        work(&mut encoder);
        let count = ALLOCATIONS.get() - before;
        gpu.queue().submit([encoder.finish()]);
        count
    };
    for _ in 0..5 {
        count();
    }
    count()
}

/// The same passes with pipelines and bind groups that were made before, by nothing but wgpu.
fn by_hand(gpu: &Gpu, norm: &GpuNorm, shape: &[usize]) -> Box<dyn Fn(&mut CommandEncoder)> {
    let device = gpu.device();
    let steps: Vec<_> = norm.plan(shape, DType::F32).unwrap().steps;
    let passes: Vec<_> = steps
        .iter()
        .map(|step| {
            let name = step.kernel.name();
            let source = wgpu::ShaderSource::Wgsl(step.kernel.link(Target::default()).into());
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
            let constants: Vec<_> = step.constants.iter().map(|&(name, value)| (name, f64::from(value))).collect();
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: None,
                module: &module,
                entry_point: Some(name),
                compilation_options: wgpu::PipelineCompilationOptions { constants: &constants, ..Default::default() },
                cache: None,
            });
            let buffers: Vec<_> =
                step.kernel.bindings().into_iter().map(|(binding, _)| (binding, buffer(gpu, binding))).collect();
            let entries: Vec<_> = buffers
                .iter()
                .map(|(binding, buffer)| wgpu::BindGroupEntry {
                    binding: *binding as u32,
                    resource: buffer.as_entire_binding(),
                })
                .collect();
            let layout = pipeline.get_bind_group_layout(0);
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &layout,
                entries: &entries,
            });
            (name, pipeline, group)
        })
        .collect();
    Box::new(move |encoder| {
        for (name, pipeline, group) in &passes {
            let descriptor = wgpu::ComputePassDescriptor { label: Some(name), timestamp_writes: None };
            let mut pass = encoder.begin_compute_pass(&descriptor);
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
    })
}

/// Params of zeros: no rows, so nothing runs.
fn buffer(gpu: &Gpu, binding: Binding) -> wgpu::Buffer {
    let (size, usage) = match binding {
        Binding::Params => (size_of::<Params>() as u64, BufferUsages::UNIFORM),
        _ => (1 << 16, BufferUsages::STORAGE),
    };
    gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}

#[test]
fn recording_again_allocates_nothing() {
    let split = Strategy { route: Some(Route::Split), team: None, lanes: None };
    let cases: [(NormSpec, &[usize], Strategy, usize); 3] = [
        (LayerNorm::new([64]).into(), &[16, 64], Strategy::default(), 1),
        (BatchNorm::new(6).into(), &[4, 6, 80], split, 3),
        (SwitchableNorm::new(6).into(), &[4, 6, 80], Strategy::default(), 3),
    ];
    for (name, gpu) in adapters::all() {
        for (spec, shape, strategy, dispatches) in &cases {
            let mut norm = GpuNorm::new(gpu, spec.clone()).unwrap();
            norm.set_strategy(*strategy);
            assert_eq!(norm.plan(shape, DType::F32).unwrap().dispatches(), *dispatches);
            let [x, y] = [0, 1].map(|_| Tensor::zeros(gpu, shape, DType::F32).unwrap());
            let ours = allocations(gpu, &|encoder| norm.encode_forward(encoder, &x, &y).unwrap());
            let least = allocations(gpu, &*by_hand(gpu, &norm, shape));
            assert!(least > 0, "the counter counts");
            assert_eq!(ours, least, "{name} {spec:?}");
        }
    }
}
