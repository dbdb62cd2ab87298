//! What is published: the packed crate alone, its public interface, its oldest compiler, and what it depends on.

use std::path::Path;

use crate::drivers::{self, Driver};
use crate::packages;
use crate::steps::{ROOT, Runner, Step, show, target, text, told};

/// Packs the crate, and builds and tests what is in the package with nothing around it.
pub fn package(runner: &Runner) -> Result<(), String> {
    drivers::ensure(&[Driver::Vulkan])?;
    let files = target("package")?;
    // Packages of before would hide that this one has another name.
    std::fs::remove_dir_all(&files).map_err(|error| told("empty", &files, &error))?;
    // What is not committed is tested too.
    runner.steps(&[Step::cargo("package", &["package", "--package", "gpunorm", "--allow-dirty"])])?;
    let packed = std::fs::read_dir(&files).map_err(|error| told("read", &files, &error))?;
    let mut packed =
        packed.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join("Cargo.toml").is_file());
    let manifest = packed.next().ok_or("nothing was packed")?.join("Cargo.toml");
    let manifest = text(&manifest)?;
    let target = target("")?;
    let target = text(&target)?;
    // Which builds the examples too.
    runner.steps(&[Step::cargo("tests", &["test", "--manifest-path", manifest, "--target-dir", target])])
}

/// Builds the library with the oldest compiler that the manifest allows, which rustup brings.
pub fn msrv(runner: &Runner) -> Result<(), String> {
    let manifest = Path::new(ROOT).join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(|error| told("read", &manifest, &error))?;
    let version = text.split_once("rust-version = \"").and_then(|(_, rest)| rest.split_once('"'));
    let (version, _) = version.ok_or("the manifest names no rust-version")?;
    let rustup = Path::new("rustup");
    // Cargo has told the compiler that runs this where it is, which another may not be told.
    let run = ["run", version, "cargo", "check", "--locked", "--package", "gpunorm", "--target-dir", "target/msrv"];
    runner.steps(&[
        Step::program("rustup", rustup, &["toolchain", "install", version, "--profile", "minimal"]),
        Step::program(version, rustup, &run),
    ])
}

/// Compares the public interface with docs/public-api.txt, or writes that.
pub fn api(runner: &Runner, args: &[&str]) -> Result<(), String> {
    // rustdoc writes JSON only where unstable options are allowed.
    let rustdoc =
        ["rustdoc", "--lib", "--package", "gpunorm", "--", "-Z", "unstable-options", "--output-format", "json"];
    runner.steps(&[Step::cargo("rustdoc", &rustdoc).env("RUSTC_BOOTSTRAP", "1")])?;
    let program = runner.executable(Step::cargo("build", &["build", "--package", "gpunorm-api"]))?;
    let json = target("doc")?.join("gpunorm.json");
    show(&program, &[&[text(&json)?, "docs/public-api.txt"], args].concat(), &[])
}

/// Licences, advisories, sources and duplicates of what the crate depends on, by deny.toml.
pub fn deny(runner: &Runner) -> Result<(), String> {
    if !packages::succeeds(&["cargo-deny", "--version"]) {
        runner.steps(&[Step::cargo("install", &["install", "--locked", "cargo-deny"])])?;
    }
    runner.steps(&[Step::cargo("deny", &["deny", "check"])])
}
