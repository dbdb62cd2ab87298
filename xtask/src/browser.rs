//! Chromium without a window, WebGPU on its software adapter.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
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

    /// Bytes of memory that all of its processes have; 0 where the system has no `/proc` to tell.
    pub fn memory(&self) -> u64 {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut processes: Vec<Process> = entries.filter_map(process).collect();
        // Children are numbered after their parents, but for a machine that has come round.
        processes.sort_by_key(|process| process.id);
        let mut own = vec![self.child.id()];
        let mut bytes = 0;
        for process in &processes {
            if own.contains(&process.parent) {
                own.push(process.id);
            }
            if own.contains(&process.id) {
                bytes += process.bytes;
            }
        }
        bytes
    }

    /// The folder of its profile.
    pub fn profile(&self) -> &Path {
        &self.profile
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

struct Process {
    id: u32,
    parent: u32,
    bytes: u64,
}

fn process(entry: DirEntry) -> Option<Process> {
    let id = entry.file_name().to_str()?.parse().ok()?;
    let status = fs::read_to_string(entry.path().join("status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next();
    let kibibytes: u64 = field("VmRSS:").and_then(|value| value.parse().ok()).unwrap_or(0);
    Some(Process { id, parent: field("PPid:")?.parse().ok()?, bytes: kibibytes << 10 })
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
