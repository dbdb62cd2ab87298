//! Kernels as files, and a compiler for those in HLSL.

use crate::packages::{self, Manager};
use crate::steps::{self, Runner, Step};

/// Written to `target/shaders/`, in these languages beside WGSL.
pub fn write(runner: &Runner, languages: &[&str]) -> Result<(), String> {
    if languages.contains(&"--hlsl") && !packages::succeeds(&["glslangValidator", "--version"]) {
        packages::install("glslang", |manager| match manager {
            Manager::Apt => vec!["glslang-tools"],
            Manager::Dnf | Manager::Pacman => vec!["glslang"],
        })?;
    }
    let program = runner.executable(Step::cargo("build", &["build", "--workspace", "--bin", "gpunorm-shaders"]))?;
    let folder = steps::target("shaders")?;
    steps::show(&program, &[&[steps::text(&folder)?], languages].concat(), &[])
}
