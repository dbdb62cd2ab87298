//! Chromium without a window, WebGPU on its software adapter.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::packages::{self, Manager};

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

const FLAGS: [&str; 6] = [
    "--headless",
    // Its sandbox is refused to root, and in many containers.
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--no-first-run",
];

/// A browser, which ends with this.
pub struct Browser {
    child: Child,
    profile: PathBuf,
}

impl Browser {
    /// Opens a page, with a profile of its own; Chromium is installed first where it is missing. `flags` go beside its own.
    pub fn open(address: &str, flags: &[&str]) -> Result<Browser, String> {
        let program = chromium()?;
        let profile = std::env::temp_dir().join(format!("gpunorm-browser-{}", std::process::id()));
        let mut command = Command::new(program);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.display())).args(flags).arg(address);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
        Ok(Browser { child, profile })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

fn chromium() -> Result<&'static str, String> {
    if let Some(name) = find() {
        return Ok(name);
    }
    packages::install("Chromium", |manager| match manager {
        Manager::Apt | Manager::Dnf | Manager::Pacman => vec!["chromium"],
    })?;
    find().ok_or_else(|| "the installation went through, and still no Chromium found".into())
}

fn find() -> Option<&'static str> {
    let runs = |name: &&str| {
        let probe = Command::new(name)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        probe.is_ok_and(|status| status.success())
    };
    NAMES.into_iter().find(runs)
}
