//! Programs for browsers: what compiles them, and what makes a module of them that a page imports. Both are installed first
//! where they are missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::packages::{self, Manager};
use crate::steps::{ROOT, Runner, Step, target, told};

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler has the target's standard library as source.
const DEBIAN: [&str; 2] = ["/usr/bin/cargo", "/usr/bin/rustc"];
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const DEBIAN_LINKER: &str = "/usr/bin/wasm-ld-19";
/// Two compilers in one folder would wait for one another.
const DEBIAN_FOLDER: &str = "target/wasm";

pub struct Wasm {
    debian: bool,
    bindgen: PathBuf,
}

impl Wasm {
    /// Installs what is missing: the target by rustup, or else Debian's; and wasm-bindgen.
    pub fn ensure(runner: &Runner) -> Result<Wasm, String> {
        let own = has_target() || !has_debian() && add_target();
        if !own && !has_debian() {
            packages::install(&format!("standard library for {TARGET}"), |manager| match manager {
                Manager::Apt => vec!["rustc-web", "cargo-web", "rust-web-src", "lld-19"],
                Manager::Dnf => vec!["rust-std-static-wasm32-unknown-unknown"],
                Manager::Pacman => vec!["rust-wasm"],
            })?;
        }
        Ok(Wasm { debian: !own && has_debian(), bindgen: bindgen(runner)? })
    }

    /// cargo's `command`, with these arguments, for browsers.
    pub fn cargo<'a>(&self, name: &'a str, command: &'a str, args: &[&'a str]) -> Step<'a> {
        if !self.debian {
            return Step::cargo(name, &[&[command, "--target", TARGET], args].concat());
        }
        let [cargo, rustc] = DEBIAN;
        let own = [command, "--target", TARGET, "-Zbuild-std=std,panic_abort", "--target-dir", DEBIAN_FOLDER];
        Step::program(name, Path::new(cargo), &[&own, args].concat())
            // What stable compilers refuse to do from source.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", rustc)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER)
    }

    /// Fails over any warning of the library, for browsers: clippy's, where the compiler comes with it.
    pub fn lint(&self, runner: &Runner) -> Result<(), String> {
        let command = if self.debian { "rustc" } else { "clippy" };
        let args = ["--package", "gpunorm", "--lib", "--", "-D", "warnings"];
        runner.steps(&[self.cargo("lint", command, &args)])
    }

    /// Builds the program of this package and writes it to `folder` as what a page imports: `NAME.js`, `NAME_bg.wasm`.
    pub fn build(&self, runner: &Runner, package: &str, args: &[&str], folder: &Path) -> Result<(), String> {
        let args = [&["--package", package], args].concat();
        let program = runner.executable(self.cargo("wasm", "build", &args))?;
        let [program, folder] = [&program, folder].map(|path| path.to_str().unwrap_or_default());
        let args = ["--target", "web", "--no-typescript", "--out-dir", folder, program];
        runner.steps(&[Step::program("bindgen", &self.bindgen, &args)])
    }
}

/// Whether the compiler that runs this program has the target.
fn has_target() -> bool {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = sysroot.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir()
}

fn add_target() -> bool {
    eprintln!("no {TARGET} found: rustup target add {TARGET}");
    let rustup = Command::new("rustup").args(["target", "add", TARGET]).stdin(Stdio::null()).status();
    rustup.is_ok_and(|status| status.success())
}

fn has_debian() -> bool {
    [DEBIAN[0], DEBIAN[1], DEBIAN_SOURCE, DEBIAN_LINKER].iter().all(|path| Path::new(path).exists())
}

/// wasm-bindgen's program of the version that Cargo.lock has of its library: no two versions understand one another.
fn bindgen(runner: &Runner) -> Result<PathBuf, String> {
    let lock = Path::new(ROOT).join("Cargo.lock");
    let text = fs::read_to_string(&lock).map_err(|error| told("read", &lock, &error))?;
    let version = locked(&text, "wasm-bindgen").ok_or("Cargo.lock has no wasm-bindgen")?;
    let root = target("tools")?;
    let program = root.join("bin").join(format!("wasm-bindgen{}", std::env::consts::EXE_SUFFIX));
    let printed = Command::new(&program).arg("--version").output();
    if !printed.is_ok_and(|output| output.stdout.trim_ascii() == format!("wasm-bindgen {version}").as_bytes()) {
        let root = root.to_str().unwrap_or_default();
        let args = ["install", "wasm-bindgen-cli", "--bin", "wasm-bindgen", "--version", version, "--root", root];
        runner.steps(&[Step::cargo("bindgen", &args)])?;
    }
    Ok(program)
}

/// The version of a package in a Cargo.lock.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, entry) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    entry.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_of_this_package() {
        let lock = "name = \"wasm-bindgen-futures\"\nversion = \"0.4.1\"\n\n\
                    name = \"wasm-bindgen\"\nversion = \"0.2.130\"\nsource = \"\"\n";
        assert_eq!(locked(lock, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked(lock, "wasm"), None);
    }

    #[test]
    fn debians_compiler_is_asked_for_its_source() {
        let wasm = Wasm { debian: true, bindgen: PathBuf::new() };
        let line = wasm.cargo("wasm", "build", &["--release"]).to_string();
        let cargo = "/usr/bin/cargo build --target wasm32-unknown-unknown -Zbuild-std=std,panic_abort --target-dir ";
        assert!(line.contains(cargo) && line.ends_with(" --release"), "{line}");
        assert!(line.starts_with("RUSTC_BOOTSTRAP=\"1\" RUSTC=\"/usr/bin/rustc\" "), "{line}");
        let wasm = Wasm { debian: false, ..wasm };
        assert_eq!(wasm.cargo("wasm", "check", &[]).to_string(), "cargo check --target wasm32-unknown-unknown");
    }
}
