//! Kernels as files, and a compiler for those in HLSL.

use std::process::{Command, Stdio};

use crate::packages::{self, Manager};
use crate::steps::{self, Runner, Step};

/// Written to `target/shaders/`, in these languages beside WGSL.
pub fn write(runner: &Runner, languages: &[&str]) -> Result<(), String> {
    if languages.contains(&"--hlsl") && !glslang_runs() {
        packages::install("glslang", |manager| match manager {
            Manager::Apt => vec!["glslang-tools"],
            Manager::Dnf | Manager::Pacman => vec!["glslang"],
        })?;
    }
    let program = runner.executable(Step::cargo("build", &["build", "--workspace", "--bin", "gpunorm-shaders"]))?;
    let folder = steps::target("shaders")?;
    let folder = folder.to_str().ok_or_else(|| format!("{} is no name for a folder", folder.display()))?;
    steps::show(&program, &[&[folder], languages].concat(), &[])
}

fn glslang_runs() -> bool {
    let mut probe = Command::new("glslangValidator");
    let status = probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
