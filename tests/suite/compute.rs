//! Runs a shader of the tests' own: pieces of the crate's with an entry point around them.

use gpunorm::Gpu;
use gpunorm::unstable::Params;
use wgpu::util::DeviceExt;
use wgpu::{BufferUsages, ShaderModuleDescriptor, ShaderSource};

/// What reads binding 0 and writes binding 1, by workgroups of 64.
pub struct Compute<'a> {
    pub source: String,
    pub entry: &'a str,
    pub invocations: usize,
    /// Whether it reads the uniform, of zeros, at binding 2.
    pub has_params: bool,
}

impl Compute<'_> {
    /// So many bytes that it makes of `given`.
    pub fn run(self, gpu: &Gpu, given: &[u8], size: usize) -> Vec<u8> {
        let device = gpu.device();
        let source = ShaderSource::Wgsl(self.source.into());
        let module = device.create_shader_module(ShaderModuleDescriptor { label: None, source });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some(self.entry),
            compilation_options: Default::default(),
            cache: None,
        });
        let buffer = |contents: &[u8], usage| {
            device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: None, contents, usage })
        };
        let input = buffer(given, BufferUsages::STORAGE);
        let params = buffer(bytemuck::bytes_of(&Params::default()), BufferUsages::UNIFORM);
        let size = size as u64;
        let created = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let output = created(BufferUsages::STORAGE | BufferUsages::COPY_SRC);
        let readback = created(BufferUsages::COPY_DST | BufferUsages::MAP_READ);
        let buffers = [&input, &output, &params].into_iter().take(if self.has_params { 3 } else { 2 });
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let bound = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bound, &[]);
        pass.dispatch_workgroups((self.invocations as u32).div_ceil(64), 1, 1);
        drop(pass);
        encoder.copy_buffer_to_buffer(&output, 0, &readback, 0, size);
        gpu.queue().submit([encoder.finish()]);
        readback.slice(..).map_async(wgpu::MapMode::Read, |mapped| mapped.unwrap());
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        readback.slice(..).get_mapped_range().unwrap().to_vec()
    }
}
