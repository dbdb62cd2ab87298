//! Which GPU drivers there are to make sure of.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Any Vulkan driver, and the loader.
    Vulkan,
    /// Mesa's software Vulkan driver, and the loader.
    Lavapipe,
    /// Mesa's Vulkan driver for AMD's GPUs, and the loader. It compiles without a GPU.
    Radv,
    /// EGL with Mesa's OpenGL, for wgpu's GL backend.
    MesaEgl,
    /// Chromium's software Vulkan driver, and the loader.
    SwiftShader,
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Driver::Vulkan => "Vulkan driver",
            Driver::Lavapipe => "software Vulkan driver (Mesa's lavapipe)",
            Driver::Radv => "Vulkan driver for AMD's GPUs (Mesa's RADV)",
            Driver::MesaEgl => "Mesa EGL and OpenGL driver",
            Driver::SwiftShader => "SwiftShader (it comes with Debian's chromium, not with Ubuntu's snap)",
        })
    }
}

pub fn list(drivers: &[Driver]) -> String {
    drivers.iter().map(Driver::to_string).collect::<Vec<_>>().join(" and no ")
}
