//! Copy kernels, the fastest of which is the yardstick.

use gpunorm::{Gpu, Tensor};
use wgpu::CommandEncoder;

pub struct Copy {
    pipeline: wgpu::ComputePipeline,
    workgroup: u32,
    units: u32,
}

/// A few shapes of the same copy.
pub struct Copies {
    copies: Vec<Copy>,
}

impl Copies {
    pub fn new(gpu: &Gpu) -> Copies {
        let device = gpu.device();
        let module = device.create_shader_module(wgpu::include_wgsl!("copy.wgsl"));
        let shapes =
            [(64, 1, false), (256, 1, false), (256, 4, false), (64, 16, false), (64, 16, true), (64, 64, true)];
        let copies = shapes
            .into_iter()
            .map(|(workgroup, units, together)| {
                let constants = [
                    ("WORKGROUP", f64::from(workgroup)),
                    ("UNITS", f64::from(units)),
                    ("TOGETHER", f64::from(u8::from(together))),
                ];
                let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some("copy"),
                    layout: None,
                    module: &module,
                    entry_point: None,
                    compilation_options: wgpu::PipelineCompilationOptions {
                        constants: &constants,
                        ..Default::default()
                    },
                    cache: None,
                });
                Copy { pipeline, workgroup, units }
            })
            .collect();
        Copies { copies }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Copy> {
        self.copies.iter()
    }
}

impl Copy {
    /// Records y = x.
    pub fn record(&self, gpu: &Gpu, encoder: &mut CommandEncoder, x: &Tensor, y: &Tensor) {
        let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: x.as_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: y.as_binding() },
            ],
        });
        let workgroups = x.byte_len().div_ceil(16).div_ceil(u64::from(self.workgroup * self.units)) as u32;
        let rows = workgroups.div_ceil(65_535);
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(workgroups.div_ceil(rows), rows, 1);
    }
}
