//! The visitor's GPU.

use gpunorm::Gpu;
use serde_json::json;
use wasm_bindgen::prelude::*;
use wgpu::Features;

#[wasm_bindgen]
pub struct Device(pub(crate) Gpu);

/// What the browser gives.
#[wasm_bindgen]
pub async fn open() -> Result<Device, JsError> {
    Ok(Device(Gpu::request().await?))
}

#[wasm_bindgen]
impl Device {
    /// What results depend on, as JSON.
    pub fn describe(&self) -> String {
        let (limits, caps) = (self.0.device().limits(), self.0.caps());
        json!({
            "gpunorm": env!("CARGO_PKG_VERSION"),
            "backend": format!("{:?}", self.0.adapter_info().backend),
            "timestamps": self.0.device().features().contains(Features::TIMESTAMP_QUERY),
            "f16": self.0.device().features().contains(Features::SHADER_F16),
            "max_buffer": limits.max_buffer_size,
            "caps": format!("{caps:?}"),
        })
        .to_string()
    }
}
