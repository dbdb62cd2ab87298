//! Makes sure that the machine has the GPU drivers that a command needs. A driver that is there is left alone.

mod detect;
mod install;

use std::fmt;

use detect::System;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Any Vulkan driver, and the loader.
    Vulkan,
    /// Mesa's software Vulkan driver, and the loader.
    Lavapipe,
    /// EGL with Mesa's OpenGL, for wgpu's GL backend.
    MesaEgl,
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Driver::Vulkan => "Vulkan driver",
            Driver::Lavapipe => "software Vulkan driver (Mesa's lavapipe)",
            Driver::MesaEgl => "Mesa EGL and OpenGL driver",
        })
    }
}

/// Installs what is missing of `wanted`. macOS and Windows come with their drivers.
pub fn ensure(wanted: &[Driver]) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let system = System::host();
    let missing = system.missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let done = install::install(&missing).and_then(|()| match system.missing(wanted) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("the installation went through, and still no {} found", list(&left))),
    });
    done.map_err(|why| match system.icd_override() {
        Some(variable) => format!("{why}\n{variable} is set: only the Vulkan drivers that it names are found."),
        None => why,
    })
}

fn list(drivers: &[Driver]) -> String {
    drivers.iter().map(Driver::to_string).collect::<Vec<_>>().join(" and no ")
}
