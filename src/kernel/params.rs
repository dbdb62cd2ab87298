//! The uniform.

use bytemuck::{Pod, Zeroable};

/// The uniform of every kernel; fields are explained in `shaders/part/common/params.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
#[repr(C)]
#[allow(missing_docs, reason = "the shader says it, where it is used")]
pub struct Params {
    pub rows: u32,
    pub first: u32,
    pub row_len: u32,
    pub units: u32,
    pub row_stride: u32,
    pub run: u32,
    pub run_stride: u32,
    pub tiles: u32,
    pub segments: u32,
    pub segment_units: u32,
    pub partial_first: u32,
    pub partial_row: u32,
    pub partial_segment: u32,
    pub parts: u32,
    pub period: u32,
    pub step: u32,
    pub inner: u32,
    pub statistics_period: u32,
    pub samples: u32,
    pub channels: u32,
    pub eps: f32,
    pub momentum: f32,
    pub unbias: f32,
    pub instance_scale: f32,
    pub layer_scale: f32,
    pub batch_scale: f32,
    pub statistics_run: u32,
    pub channel_stride: u32,
    pub channel_run: u32,
    pub channel_run_stride: u32,
    pub channel_units: u32,
    pub channel_first: u32,
    pub sum_parts: u32,
    pub zero: u32,
    pub start: u32,
    pub elements: u32,
    pub slope: f32,
    pub sample_rows: u32,
    pub sample_stride: u32,
    pub first_element: u32,
    pub plane_len: u32,
    pub plane_multiplier: u32,
    pub plane_bits: u32,
    pub weight_stride: u32,
    pub pitch_period: u32,
    pub input_start: u32,
    pub input_row: u32,
    pub input_group: u32,
    pub output_start: u32,
    pub output_row: u32,
    pub output_group: u32,
    pub gradient_start: u32,
    pub gradient_row: u32,
    pub gradient_group: u32,
    pub lines: u32,
    pub interleaved: u32,
}

impl Params {
    /// What the uniform's buffer holds.
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::bytes_of(self)
    }
}
