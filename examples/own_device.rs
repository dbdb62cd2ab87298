//! A norm inside an app that has its own wgpu device: the app's buffers, the app's command encoder, one submission.
//!
//! The app fills a buffer with activations, normalizes them, applies a ReLU and copies the result back.

use std::error::Error;
use std::process::ExitCode;

use gpunorm::reference::{self, State};
use gpunorm::{DType, Gpu, GpuNorm, GroupNorm, Tensor};
use ndarray::{ArrayD, IxDyn};
use wgpu::BufferUsages;

#[path = "shared/worst.rs"]
mod worst;
use worst::Worst;

const SHAPE: [usize; 4] = [4, 32, 24, 24];
const ELEMENTS: usize = SHAPE[0] * SHAPE[1] * SHAPE[2] * SHAPE[3];
const BYTES: u64 = 4 * ELEMENTS as u64;

fn main() -> ExitCode {
    match app() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("own_device: {error}");
            ExitCode::FAILURE
        }
    }
}

fn app() -> Result<(), Box<dyn Error>> {
    // The app's part: a device with the limits that every WebGPU device grants, and no features.
    let (device, queue) = pollster::block_on(open_device())?;
    let shader = device.create_shader_module(wgpu::include_wgsl!("own_device.wgsl"));
    let (fill, relu) = (pipeline(&device, &shader, "fill"), pipeline(&device, &shader, "relu"));
    let storage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
    let activations = buffer(&device, "activations", storage);
    let normalized = buffer(&device, "normalized", storage);
    let readback = buffer(&device, "readback", BufferUsages::MAP_READ | BufferUsages::COPY_DST);
    let first = number_of(&queue.submit([]));

    // gpunorm's part: it takes the device and looks at the buffers as tensors, without copies.
    let gpu = Gpu::from_device(device.clone(), queue.clone());
    let norm = GpuNorm::new(&gpu, GroupNorm::new(8, 32))?;
    let x = Tensor::wrap(&gpu, activations.clone(), 0, &SHAPE, DType::F32)?;
    let y = Tensor::wrap(&gpu, normalized.clone(), 0, &SHAPE, DType::F32)?;
    println!("{} ({:?})", gpu.adapter_info().name, gpu.adapter_info().backend);
    print!("{} of {SHAPE:?}: {}", norm.spec().name(), norm.plan(&SHAPE, gpunorm::DType::F32)?);

    // One encoder: the app's pass, the norm, the app's pass, the app's copy.
    let mut encoder = device.create_command_encoder(&Default::default());
    run(&device, &mut encoder, &fill, &activations);
    norm.encode_forward(&mut encoder, &x, &y)?;
    run(&device, &mut encoder, &relu, &normalized);
    encoder.copy_buffer_to_buffer(&normalized, 0, &readback, 0, BYTES);
    let last = number_of(&queue.submit([encoder.finish()]));
    assert_eq!(last, first + 1, "gpunorm must not submit anything by itself");

    readback.map_async(wgpu::MapMode::Read, .., |result| result.expect("a mapping"));
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(&readback.get_mapped_range(..)?);
    let found = ArrayD::from_shape_vec(IxDyn(&SHAPE), values)?;

    let x = ArrayD::from_shape_vec(IxDyn(&SHAPE), (0..ELEMENTS as u32).map(activation).collect())?;
    let expected = reference::forward(norm.spec(), norm.mode(), &mut State::new(norm.spec())?, &x)?;
    // A ReLU moves no two values further apart, so the tolerance stays.
    let worst = Worst::of(&found, &expected.output.mapv(|y| y.max(0.0)), &expected.tolerance(DType::F32));
    let share = 100.0 * worst.of_tolerance;
    println!(
        "fill, norm, ReLU and copy in 1 submission; largest error {:.1e}, {share:.0} % of the tolerance",
        worst.error
    );
    if worst.is_allowed() { Ok(()) } else { Err("the result is not within tolerance".into()) }
}

async fn open_device() -> Result<(wgpu::Device, wgpu::Queue), Box<dyn Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle().with_env());
    let adapter = instance.request_adapter(&Default::default()).await?;
    Ok(adapter.request_device(&Default::default()).await?)
}

fn buffer(device: &wgpu::Device, label: &str, usage: BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size: BYTES, usage, mapped_at_creation: false })
}

fn pipeline(device: &wgpu::Device, module: &wgpu::ShaderModule, entry: &str) -> wgpu::ComputePipeline {
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(entry),
        layout: None,
        module,
        entry_point: Some(entry),
        compilation_options: Default::default(),
        cache: None,
    })
}

/// Records one pass of the app over all of `buffer`.
fn run(
    device: &wgpu::Device,
    encoder: &mut wgpu::CommandEncoder,
    pipeline: &wgpu::ComputePipeline,
    buffer: &wgpu::Buffer,
) {
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() }],
    });
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, &group, &[]);
    pass.dispatch_workgroups((ELEMENTS as u32).div_ceil(64), 1, 1);
}

/// What the shader `fill` writes; exact in f32.
fn activation(index: u32) -> f64 {
    let hash = (index + 1).wrapping_mul(2654435761);
    f64::from(hash >> 8) / 8388608.0 - 1.0
}

/// wgpu counts a queue's submissions, and shows the count in `Debug` only.
fn number_of(submission: &wgpu::SubmissionIndex) -> u64 {
    let digits: String = format!("{submission:?}").chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("the number of a submission")
}
