//! Training inside an app's own encoder: forward, loss, backward and gradient descent, step after step in one compute pass
//! and one submission. The app's shader steps on the layer's live weight and bias; nothing is read back before the end.
//!
//! The layer learns the weight and bias that made the outputs that are wanted.

use std::error::Error;
use std::process::ExitCode;

use gpunorm::{Gpu, GpuNorm, LayerNorm, Tensor};
use ndarray::Array2;

const ROWS: usize = 64;
const FEATURES: usize = 48;
const STEPS: usize = 60;
const LEARNING_RATE: f64 = 0.5;

fn main() -> ExitCode {
    match app() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("own_training: {error}");
            ExitCode::FAILURE
        }
    }
}

fn app() -> Result<(), Box<dyn Error>> {
    let gpu = Gpu::new()?;
    let device = gpu.device();
    let x =
        Tensor::from_array(&gpu, &Array2::<f32>::from_shape_fn((ROWS, FEATURES), |(n, c)| noise(n * FEATURES + c)))?;

    // A layer that knows makes the outputs that are wanted.
    let teacher = GpuNorm::new(&gpu, LayerNorm::new(FEATURES))?;
    let [weight, bias] = [teacher.weight().ok_or("affine")?, teacher.bias().ok_or("affine")?];
    weight.write(&[0, 1].map(|odd| 0.5 + odd as f32).repeat(FEATURES / 2))?;
    bias.write(&[-0.25f32; FEATURES])?;
    let wanted = teacher.forward_tensor(&x)?;

    // A layer that learns, and the app's shaders beside it.
    let norm = GpuNorm::new(&gpu, LayerNorm::new(FEATURES))?;
    let [weight, bias] = [norm.weight().ok_or("affine")?, norm.bias().ok_or("affine")?];
    let (y, saved) = norm.forward_saved(&x)?;
    let gradients = norm.zero_gradients(&saved)?;
    let dy = Tensor::zeros(&gpu, y.shape(), y.dtype())?;
    let by = |of: &Option<Tensor>| of.clone().ok_or("affine");
    let loss = Shader::new(device, "loss_gradient", &[("ROWS", ROWS as f64)]);
    let sgd = Shader::new(device, "sgd", &[("LEARNING_RATE", LEARNING_RATE)]);
    let loss = loss.bind(device, &[&y, &wanted, &dy]);
    let steps =
        [sgd.bind(device, &[weight, &by(&gradients.weight)?]), sgd.bind(device, &[bias, &by(&gradients.bias)?])];

    let before = error(&y, &wanted)?;
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    for _ in 0..STEPS {
        norm.encode_forward_again(&mut pass, &y, &saved)?;
        loss.record(&mut pass, y.len());
        norm.encode_backward(&mut pass, &dy, &saved, &gradients)?;
        steps.iter().for_each(|step| step.record(&mut pass, FEATURES));
    }
    drop(pass);
    gpu.queue().submit([encoder.finish()]);

    let after = error(&norm.forward_tensor(&x)?, &wanted)?;
    println!("{STEPS} steps in one compute pass: largest error of the outputs {before:.1e}, then {after:.1e}");
    println!("weight {:.3?}, bias {:.3?}", &weight.to_vec::<f32>()?[..2], &bias.to_vec::<f32>()?[..2]);
    if after < 1e-4 * before { Ok(()) } else { Err("it has not learned".into()) }
}

/// From −1 to 1.
fn noise(index: usize) -> f32 {
    let hash = (index as u32 + 1).wrapping_mul(2654435761);
    (hash >> 8) as f32 / 8388608.0 - 1.0
}

fn error(y: &Tensor, wanted: &Tensor) -> Result<f32, Box<dyn Error>> {
    let difference = y.to_array()? - wanted.to_array()?;
    Ok(difference.iter().fold(0f32, |most, value| most.max(value.abs())))
}

struct Shader(wgpu::ComputePipeline);

impl Shader {
    fn new(device: &wgpu::Device, entry: &str, constants: &[(&str, f64)]) -> Shader {
        let module = device.create_shader_module(wgpu::include_wgsl!("own_training.wgsl"));
        let compilation_options = wgpu::PipelineCompilationOptions { constants, ..Default::default() };
        Shader(device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: None,
            module: &module,
            entry_point: Some(entry),
            compilation_options,
            cache: None,
        }))
    }

    fn bind(&self, device: &wgpu::Device, tensors: &[&Tensor]) -> Bound {
        let entries: Vec<_> = (0..)
            .zip(tensors)
            .map(|(binding, tensor)| wgpu::BindGroupEntry { binding, resource: tensor.as_binding() })
            .collect();
        let layout = self.0.get_bind_group_layout(0);
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries };
        Bound { pipeline: self.0.clone(), group: device.create_bind_group(&descriptor) }
    }
}

struct Bound {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
}

impl Bound {
    fn record(&self, pass: &mut wgpu::ComputePass, elements: usize) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups((elements as u32).div_ceil(64), 1, 1);
    }
}
