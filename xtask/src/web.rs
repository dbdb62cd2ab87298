//! The page of `examples/web`.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::serve::Server;
use crate::steps::{ROOT, Runner, target, told};
use crate::wasm::Wasm;

/// Where the page is on this machine, if nobody else is there: what a browser keeps of a page goes by its port.
const PORT: u16 = 8000;

/// All files of the page, in a folder that any server of static files can have.
pub fn build(runner: &Runner) -> Result<PathBuf, String> {
    let folder = target("page")?;
    Wasm::ensure(runner)?.build(runner, "gpunorm-web", &["--profile", "web"], &folder)?;
    let site = Path::new(ROOT).join("examples/web/site");
    let files = fs::read_dir(&site).map_err(|error| told("read", &site, &error))?;
    for file in files.flatten() {
        let to = folder.join(file.file_name());
        fs::copy(file.path(), &to).map_err(|error| told("write", &to, &error))?;
    }
    Ok(folder)
}

/// Builds the page and serves it until this program is stopped.
pub fn serve(runner: &Runner) -> Result<(), String> {
    let folder = build(runner)?;
    let server = Server::start(&folder, PORT).or_else(|_| Server::start(&folder, 0));
    let server = server.map_err(|error| format!("cannot serve {}: {error}", folder.display()))?;
    println!("{} is at {}", folder.display(), server.address());
    loop {
        thread::park();
    }
}
