//! The crate for burn's users, `integrations/burn/`, which is a workspace of its own.

use crate::drivers::{self, Driver};
use crate::steps::{self, Runner, Step};

const MANIFEST: &str = "integrations/burn/Cargo.toml";

/// Its members are compiled by clippy, which lints what it compiles: to check burn's crates for clippy and to build them for the tests would
/// take twice as long.
const CLIPPY: (&str, &str) = ("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");

/// Builds it, with burn, and runs its tests, or those with `word` in their names.
pub fn run(runner: &Runner, word: &str) -> Result<(), String> {
    steps::require_components()?;
    drivers::ensure(&[Driver::Lavapipe])?;
    if !steps::target_is_there("integrations/burn/target") {
        eprintln!("burn is built first, once: 22 minutes on two cores that have nothing else to do.");
    }
    // One build of everything, so that nothing is linked twice; its progress is a step of its own.
    let build = step("build", &["test", "--locked", "--no-run"]);
    if !word.is_empty() {
        return runner.steps(&[build, step("tests", &["test", "--locked", "--test", "suite", word])]);
    }
    runner.steps(&[
        Step::cargo("format", &["fmt", "--manifest-path", MANIFEST, "--check"]),
        build,
        step("tests", &["test", "--locked"]),
        // The readme's net, for a few steps, as its users run it.
        step("example", &["run", "--locked", "--example", "resnet", "--", "--steps", "3", "--batch", "8"]),
    ])
}

fn step<'a>(name: &'a str, args: &[&'a str]) -> Step<'a> {
    let (command, rest) = args.split_at(1);
    let (name_of_wrapper, wrapper) = CLIPPY;
    Step::cargo(name, &[command, &["--manifest-path", MANIFEST], rest].concat()).env(name_of_wrapper, wrapper)
}
