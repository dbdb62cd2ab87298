//! What stands beside a norm, as kernels of their own.

use gpunorm::{Gpu, Tensor};
use wgpu::CommandEncoder;

/// One of the entry points of `elementwise.wgsl`, with its overrides.
pub struct Elementwise {
    pipeline: wgpu::ComputePipeline,
    /// Of the operands that it takes beside x.
    operands: usize,
}

impl Elementwise {
    pub fn new(gpu: &Gpu, entry: &str, constants: &[(&str, f64)]) -> Elementwise {
        let device = gpu.device();
        let module = device.create_shader_module(wgpu::include_wgsl!("elementwise.wgsl"));
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: None,
            module: &module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
            cache: None,
        });
        let operands = match entry {
            "add" => 1,
            "modulate" => 2,
            _ => 0,
        };
        Elementwise { pipeline, operands }
    }

    /// Records y from x and operands.
    pub fn record(&self, gpu: &Gpu, encoder: &mut CommandEncoder, x: &Tensor, operands: &[&Tensor], y: &Tensor) {
        let tensors = [x, y].into_iter().chain(operands.iter().copied().take(self.operands));
        let entries: Vec<_> = (0..)
            .zip(tensors)
            .map(|(binding, tensor)| wgpu::BindGroupEntry { binding, resource: tensor.as_binding() })
            .collect();
        let layout = self.pipeline.get_bind_group_layout(0);
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries };
        let group = gpu.device().create_bind_group(&descriptor);
        let workgroups = (x.len() / 4).div_ceil(256) as u32;
        let rows = workgroups.div_ceil(65_535);
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(workgroups.div_ceil(rows), rows, 1);
    }
}
