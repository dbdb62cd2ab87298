//! Kernels as other runtimes take them: their text, and whole plans run by a runtime that knows nothing of this crate's device layer. All
//! its tensors lie in one buffer.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use gpunorm::reference::{self, State};
use gpunorm::unstable::{Binding, Caps, F16, Geometry, Gradient, Kernel, Pass, Scratch, Step, Strategy, Target};
use gpunorm::{DType, Gpu, Mode, NormSpec, Plan};
use half::{bf16, f16};
use naga::valid::{Capabilities, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess};
use ndarray::ArrayD;
use wgpu::{BufferUsages, util::DeviceExt};

use super::adapters;
use super::case::{gradient_allowance, off};
use super::compare::{allowance, compare};
use super::data::{self, MODES, rounded};
use super::failures::Failures;
use super::plans::zoo;

/// Its text is valid as it is: no override is left, bindings are in the order of the arguments, all storage is written.
fn check(kernel: Kernel, f16: F16, constants: &[(&'static str, u32)]) -> Result<Module, String> {
    let source = kernel.bake(Target { f16, ..Target::default() }, constants);
    let module = naga::front::wgsl::parse_str(&source).map_err(|error| error.emit_to_string(&source))?;
    let capabilities = Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|error| error.emit_to_string(&source))?;
    if !module.overrides.is_empty() || source.contains("override") {
        return Err("an override is left".into());
    }
    let arguments = kernel.arguments();
    if arguments.last() != Some(&(Binding::Params, false)) {
        return Err(format!("the uniform is not last: {arguments:?}"));
    }
    let bound = module.global_variables.iter().filter_map(|(_, global)| Some((global.binding?.binding, global)));
    let bound: BTreeMap<_, _> = bound.collect();
    if !bound.keys().copied().eq(0..arguments.len() as u32) {
        return Err(format!("{:?} are bound", bound.keys()));
    }
    for ((_, global), (argument, _)) in bound.into_iter().zip(arguments) {
        let name = global.name.as_deref().unwrap_or_default();
        if name.replace('_', "") != format!("{argument:?}").to_lowercase() {
            return Err(format!("{name} is in the place of {argument:?}"));
        }
        let written = AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE };
        let expected = if argument == Binding::Params { AddressSpace::Uniform } else { written };
        if global.space != expected {
            return Err(format!("{argument:?} is {:?}", global.space));
        }
    }
    Ok(module)
}

#[test]
fn kernels_are_valid_as_they_are() {
    let mut failures = vec![];
    for kernel in Kernel::all() {
        for f16 in F16::ALL.into_iter().take(if kernel.converts_f16() { 3 } else { 1 }) {
            failures.extend(check(kernel, f16, &[]).err().map(|error| format!("{kernel:?}: {error}")));
        }
    }
    assert!(failures.is_empty(), "{}", failures[..failures.len().min(5)].join("\n"));
}

/// What plans give overrides is what is left of them.
#[test]
fn constants_have_the_values_of_plans() {
    let mut seen = BTreeSet::new();
    for shape in [&[3, 6, 11, 12][..], &[2, 6, 5000], &[70, 6]] {
        for spec in data::channel_specs(6).into_iter().chain(data::trailing_specs(shape, shape.len() - 1)) {
            for mode in MODES {
                let Ok(geometry) = Geometry::new(&spec, mode, shape) else { continue };
                for caps in &zoo()[..5] {
                    for pass in [Pass::forward(true), Pass::backward(1, Gradient::Replaced, Gradient::Added)] {
                        let plan = Plan::new(&spec, &geometry, DType::F32, caps, Strategy::default(), pass);
                        for step in plan.into_iter().flat_map(|plan| plan.steps) {
                            if !seen.insert(format!("{:?} {:?}", step.kernel, step.constants)) {
                                continue;
                            }
                            let module = check(step.kernel, F16::Integer, &step.constants)
                                .unwrap_or_else(|error| panic!("{:?}, {:?}: {error}", step.kernel, step.constants));
                            for (name, value) in &step.constants {
                                assert_eq!(constant(&module, name), Some(*value), "{name} of {:?}", step.kernel);
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(seen.len() > 200, "only {}", seen.len());
}

fn constant(module: &Module, name: &str) -> Option<u32> {
    let (_, constant) = module.constants.iter().find(|(_, constant)| constant.name.as_deref() == Some(name))?;
    match module.global_expressions[constant.init] {
        naga::Expression::Literal(naga::Literal::U32(value)) => Some(value),
        naga::Expression::Literal(naga::Literal::Bool(value)) => Some(value.into()),
        ref other => panic!("{name}: {other:?}"),
    }
}

/// A runtime as apps have them: one buffer for everything, pipelines whose layout is the shader's, a uniform for each dispatch.
struct Arena<'a> {
    gpu: &'a Gpu,
    buffer: wgpu::Buffer,
    free: Cell<u64>,
}

impl Arena<'_> {
    fn new(gpu: &Gpu) -> Arena<'_> {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: None, size: 1 << 22, usage, mapped_at_creation: false };
        Arena { gpu, buffer: gpu.device().create_buffer(&descriptor), free: Cell::new(0) }
    }

    fn empty(&self, bytes: u64) -> Range<u64> {
        let start = self.free.get();
        self.free.set((start + bytes).next_multiple_of(256));
        start..start + bytes.next_multiple_of(4)
    }

    fn tensor(&self, bytes: &[u8]) -> Range<u64> {
        let range = self.empty(bytes.len() as u64);
        let padded = [bytes, &[0; 4][..range.clone().count() - bytes.len()]].concat();
        self.gpu.queue().write_buffer(&self.buffer, range.start, &padded);
        range
    }

    fn run(&self, plan: &Plan, tensors: &mut BTreeMap<Binding, Range<u64>>) {
        for binding in Scratch::BINDINGS {
            tensors.entry(binding).or_insert_with(|| self.empty(plan.scratch.bytes(binding)));
        }
        plan.steps.iter().for_each(|step| self.dispatch(step, tensors));
    }

    fn dispatch(&self, step: &Step, tensors: &BTreeMap<Binding, Range<u64>>) {
        let (device, kernel) = (self.gpu.device(), step.kernel);
        let target = Target { f16: self.gpu.caps().f16, ..Target::default() };
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(step.bake(target).into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some(kernel.name()),
            compilation_options: Default::default(),
            cache: None,
        });
        let contents = step.params.as_bytes();
        let uniform = wgpu::util::BufferInitDescriptor { label: None, contents, usage: BufferUsages::UNIFORM };
        let uniform = device.create_buffer_init(&uniform);
        let entry = |(place, (binding, _)): (u32, (Binding, bool))| {
            let resource = match step.resource(binding) {
                Binding::Params => uniform.as_entire_binding(),
                binding => {
                    let whole = tensors.get(&binding).unwrap_or_else(|| panic!("{kernel:?} binds {binding:?}"));
                    let sliced = matches!(binding, Binding::X | Binding::Y | Binding::Dy | Binding::Dx);
                    let bytes = if sliced { step.bytes.clone() } else { 0..whole.end - whole.start };
                    let (buffer, offset) = (&self.buffer, whole.start + bytes.start);
                    let size = wgpu::BufferSize::new(bytes.end - bytes.start);
                    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size })
                }
            };
            wgpu::BindGroupEntry { binding: place, resource }
        };
        let entries: Vec<_> = (0..).zip(kernel.arguments()).map(entry).collect();
        let layout = &pipeline.get_bind_group_layout(0);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        let [x, y] = step.workgroups;
        pass.dispatch_workgroups(x, y, 1);
        drop(pass);
        self.gpu.queue().submit([encoder.finish()]);
    }

    fn read(&self, range: &Range<u64>, dtype: DType, shape: &[usize]) -> ArrayD<f32> {
        let (device, size) = (self.gpu.device(), range.end - range.start);
        let usage = BufferUsages::COPY_DST | BufferUsages::MAP_READ;
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let readback = device.create_buffer(&descriptor);
        let mut encoder = device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.buffer, range.start, &readback, 0, size);
        self.gpu.queue().submit([encoder.finish()]);
        readback.slice(..).map_async(wgpu::MapMode::Read, |mapped| mapped.unwrap());
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let bytes = readback.slice(..).get_mapped_range().unwrap().to_vec();
        let halves = || bytes.chunks(2).map(|half| u16::from_le_bytes(half.try_into().unwrap()));
        let mut values: Vec<f32> = match dtype {
            DType::F16 => halves().map(|bits| f16::from_bits(bits).to_f32()).collect(),
            DType::BF16 => halves().map(|bits| bf16::from_bits(bits).to_f32()).collect(),
            _ => bytemuck::pod_collect_to_vec(&bytes),
        };
        values.truncate(shape.iter().product());
        ArrayD::from_shape_vec(shape, values).unwrap()
    }
}

fn bytes(array: &ArrayD<f32>, dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F16 => array.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        DType::BF16 => array.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// A forward that saves and its backward, planned for `caps`, as other runtimes run them.
fn in_an_arena(
    gpu: &Gpu,
    caps: &Caps,
    spec: &NormSpec,
    mode: Mode,
    shape: &[usize],
    dtype: DType,
) -> Result<(), String> {
    let text = |error: gpunorm::Error| error.to_string();
    let geometry = Geometry::new(spec, mode, shape).map_err(text)?;
    let plan = |pass| Plan::new(spec, &geometry, dtype, caps, Strategy::default(), pass).map_err(text);
    let x = rounded(&data::values("normal", shape, geometry.row_len), dtype);
    let dy = rounded(&data::values("normal", shape, 1).mapv(|value| 0.5 - value), dtype);
    let (wide, wide_dy, before) = (x.mapv(f64::from), dy.mapv(f64::from), data::state(spec));
    let expected = reference::forward(spec, mode, &mut before.clone(), &wide).map_err(text)?;
    let gradients = reference::backward(spec, mode, &before, &wide, &wide_dy).map_err(text)?;

    let arena = Arena::new(gpu);
    let mut tensors = BTreeMap::from([
        (Binding::X, arena.tensor(&bytes(&x, dtype))),
        (Binding::Y, arena.empty((x.len() * dtype.size()) as u64)),
    ]);
    let State { weight, bias, mean_weight, var_weight, running_mean, running_var, .. } = &before;
    let own = [
        (Binding::Weight, weight),
        (Binding::Bias, bias),
        (Binding::MeanWeight, mean_weight),
        (Binding::VarWeight, var_weight),
        (Binding::RunningMean, running_mean),
        (Binding::RunningVar, running_var),
    ];
    for (binding, array) in own.into_iter().filter_map(|(binding, array)| Some((binding, array.as_ref()?))) {
        tensors.insert(binding, arena.tensor(&bytes(&array.mapv(|value| value as f32), DType::F32)));
    }
    tensors.insert(Binding::NumBatchesTracked, arena.tensor(&vec![0; 4 * geometry.channels]));
    let forward = plan(Pass::forward(true))?;
    arena.run(&forward, &mut tensors);
    let tolerance = expected.tolerance(dtype) + allowance(&before, &wide, &expected);
    let y = arena.read(&tensors[&Binding::Y], dtype, shape);
    compare(&y, &expected.output, &tolerance).map_err(|worst| format!("output, {worst}"))?;

    // Of what lies between the steps, a backward gets what its forward saves.
    tensors.retain(|binding, _| {
        !Scratch::BINDINGS.contains(binding) || Scratch::saved(spec, geometry.source).contains(binding)
    });
    tensors.insert(Binding::Dy, arena.tensor(&bytes(&dy, dtype)));
    let places = [
        Binding::Dx,
        Binding::WeightGradient,
        Binding::BiasGradient,
        Binding::MeanWeightGradient,
        Binding::VarWeightGradient,
    ];
    let named = || places.into_iter().zip(gradients.named()).filter_map(|(place, (name, of))| Some((place, name, of?)));
    for (place, _, gradient) in named() {
        let size = if place == Binding::Dx { dtype.size() } else { 4 };
        tensors.insert(place, arena.empty((size * gradient.value.len()) as u64));
    }
    let replaced = Gradient::Replaced;
    arena.run(&plan(Pass::backward(forward.parts(spec), replaced, replaced))?, &mut tensors);
    let (off, r) = off(&expected, &wide);
    let allowance = gradient_allowance(off, r, &before, &wide_dy);
    for (place, name, gradient) in named() {
        let dtype = if place == Binding::Dx { dtype } else { DType::F32 };
        let found = arena.read(&tensors[&place], dtype, gradient.value.shape());
        compare(&found, &gradient.value, &(gradient.tolerance(dtype) + allowance(name)))
            .map_err(|worst| format!("{name}, {worst}"))?;
    }
    Ok(())
}

#[test]
fn plans_run_in_an_arena() {
    let mut failures = Failures::default();
    for (number, shape) in [&[3, 6, 11][..], &[2, 6, 8, 8], &[5, 6]].into_iter().enumerate() {
        let specs = data::channel_specs(6).into_iter().chain(data::trailing_specs(shape, shape.len() - 1));
        for (index, spec) in specs.enumerate() {
            let dtype = [DType::F32, DType::F16, DType::BF16, DType::F32][(index + number) % 4];
            // In turns: each step is compiled anew.
            let mode = MODES[(index + number / 2) % 2];
            if Geometry::new(&spec, mode, shape).is_ok() {
                let turn = (index + number) % adapters::count();
                for (_, (name, gpu)) in adapters::all().enumerate().filter(|(adapter, _)| *adapter == turn) {
                    let hardware = Caps { software: false, ..*gpu.caps() };
                    let caps = if index.is_multiple_of(2) { gpu.caps() } else { &hardware };
                    let case = || format!("{name}, {spec:?}, {mode:?}, {shape:?}, {dtype}");
                    failures.check(case, in_an_arena(gpu, caps, &spec, mode, shape, dtype));
                }
            }
        }
    }
    failures.assert_none(25);
}
