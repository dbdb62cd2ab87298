//! Makes sure that the machine has the GPU drivers that a command needs. A driver that is there is left alone.

mod detect;
mod driver;
mod install;

use std::path::PathBuf;

use detect::System;
pub use driver::Driver;
use driver::list;

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

/// The file by which SwiftShader announces itself, installed first where it is missing.
pub fn swiftshader() -> Result<PathBuf, String> {
    ensure(&[Driver::SwiftShader])?;
    System::host().swiftshader().ok_or_else(|| {
        format!("no {} found: VK_DRIVER_FILES may name its vk_swiftshader_icd.json.", Driver::SwiftShader)
    })
}
