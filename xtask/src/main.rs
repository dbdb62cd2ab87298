//! The project's own commands: `cargo xtask help` lists them.

mod browser;
mod command;
mod devtools;
mod drivers;
mod pack;
mod package;
mod packages;
mod progress;
mod serve;
mod shaders;
mod steps;
mod test_burn;
mod test_mpi;
mod test_page;
mod test_web;
mod wasm;
mod web;

use std::process::ExitCode;

use command::{Command, HELP};
use drivers::Driver;
use steps::{Runner, Step};

/// Modules of the suite in which no GPU computes, and the examples, which are programs of their own.
const SAME_EVERYWHERE: [&str; 11] = [
    "baseline::",
    "bounds::",
    "differences::",
    "dispatches::",
    "examples::",
    "layering::",
    "pieces::",
    "plans::",
    "plans_backward::",
    "shaders::",
    "torch::",
];

/// Parts of the suite that run in processes of their own: Mesa's drivers keep what they have compiled, some gigabytes.
const PARTS: [&str; 2] = ["backward::", "beside::"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = command::parse(&args).and_then(|(command, verbose)| run(command, &Runner { verbose }));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\nxtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, runner: &Runner) -> Result<(), String> {
    match command {
        Command::Help => {
            println!("{HELP}");
            Ok(())
        }
        Command::Demo => demo(runner),
        Command::Test(args) => test(runner, &args),
        Command::SwiftShader => swiftshader(runner),
        Command::TestWeb("") => test_web::run(runner, "").and_then(|()| test_page::run(runner)),
        Command::TestWeb(word) => test_web::run(runner, word),
        Command::TestPage => test_page::run(runner),
        Command::TestBurn(word) => test_burn::run(runner, word),
        Command::TestMpi => test_mpi::run(runner),
        Command::BenchMpi => test_mpi::bench(runner),
        Command::Web => web::serve(runner),
        Command::Fuzz(seconds) => fuzz(runner, seconds),
        Command::Soak(seconds) => soak(runner, seconds),
        Command::Bench(args) => bench(runner, &args),
        Command::Occupancy => occupancy(runner, &[]),
        Command::Pack(folder) => pack::pack(runner, folder.as_ref()),
        Command::Shaders(languages) => shaders::write(runner, &languages),
        Command::Package => package::package(runner),
        Command::Msrv => package::msrv(runner),
        Command::Api(args) => package::api(runner, &args),
        Command::Deny => package::deny(runner),
    }
}

fn demo(runner: &Runner) -> Result<(), String> {
    drivers::ensure(&[Driver::Vulkan])?;
    let quickstart = runner
        .executable(Step::cargo("build", &["build", "--release", "--package", "gpunorm", "--example", "quickstart"]))?;
    steps::show(&quickstart, &[], &[])
}

fn fuzz(runner: &Runner, seconds: &str) -> Result<(), String> {
    drivers::ensure(&[Driver::Lavapipe, Driver::MesaEgl])?;
    // Other cases every time, in the process that one looks at.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let seed = std::env::var("GPUNORM_TEST_SEED").unwrap_or((now << 20).to_string());
    let suite = runner.executable(Step::cargo("build", &["test", "--no-run", "--test", "suite"]))?;
    let env = [("GPUNORM_FUZZ_SECONDS", seconds), ("GPUNORM_TEST_SEED", &seed), ("GPUNORM_TEST_CHILD", "1")];
    steps::show(&suite, &["--exact", "hostile::fuzz::random_cases", "--nocapture"], &env)
}

fn soak(runner: &Runner, seconds: &str) -> Result<(), String> {
    drivers::ensure(&[Driver::Lavapipe, Driver::MesaEgl])?;
    let suite = runner.executable(Step::cargo("build", &["test", "--no-run", "--test", "suite"]))?;
    let report = steps::target("soak")?.join("report.json");
    let path = steps::text(&report)?;
    let env = [
        ("GPUNORM_SOAK_SECONDS", seconds),
        ("GPUNORM_SOAK_REPORT", path),
        ("GPUNORM_TEST_CHILD", "1"),
        ("MALLOC_ARENA_MAX", "1"),
    ];
    steps::show(&suite, &["--exact", "hostile::soak::mixed_work", "--nocapture"], &env)?;
    println!("wrote {path}");
    Ok(())
}

fn bench(runner: &Runner, args: &[&str]) -> Result<(), String> {
    drivers::ensure(&[Driver::Vulkan])?;
    let norms = runner
        .executable(Step::cargo("build", &["bench", "--no-run", "--package", "gpunorm-benches", "--bench", "norms"]))?;
    steps::show(&norms, args, &[])
}

fn occupancy(runner: &Runner, args: &[&str]) -> Result<(), String> {
    drivers::ensure(&[Driver::Radv])?;
    // With the whole workspace's features, as the tests have built what it is made of.
    let build = Step::cargo("occupancy", &["build", "--workspace", "--bin", "gpunorm-occupancy"]);
    steps::show(&runner.executable(build)?, args, &[])
}

fn test(runner: &Runner, test_args: &[&str]) -> Result<(), String> {
    steps::require_components()?;
    // The same tests run on Mesa's software Vulkan and on wgpu's GL backend.
    drivers::ensure(&[Driver::Lavapipe, Driver::MesaEgl])?;
    runner.steps(&[
        Step::cargo("format", &["fmt", "--all", "--check"]),
        Step::cargo("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        Step::cargo(
            "features",
            &["clippy", "--lib", "--package", "gpunorm", "--no-default-features", "--", "-D", "warnings"],
        ),
        Step::cargo("docs", &["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
    ])?;
    if !test_args.is_empty() {
        return runner.steps(&[tests("tests", test_args)]);
    }
    let others: Vec<&str> = ["--"].into_iter().chain(PARTS.iter().flat_map(|part| ["--skip", part])).collect();
    runner.steps(&[tests("tests", &others)])?;
    runner.steps(&PARTS.map(|part| tests(part.trim_end_matches(':'), &["--test", "suite", "--", part])))?;
    // Mesa's driver for AMD's GPUs compiles on Linux only.
    if cfg!(target_os = "linux") { occupancy(runner, &["--check"]) } else { Ok(()) }
}

/// Tests of the whole workspace's features.
fn tests<'a>(name: &'a str, args: &[&'a str]) -> Step<'a> {
    // Where RUST_BACKTRACE is set, wgpu would take a backtrace of each of its locks.
    Step::cargo(name, &[&["test", "--workspace"], args].concat()).env("RUST_LIB_BACKTRACE", "0")
}

fn swiftshader(runner: &Runner) -> Result<(), String> {
    let icd = drivers::swiftshader()?;
    let icd = icd.to_str().ok_or_else(|| format!("{} is no name for VK_DRIVER_FILES", icd.display()))?;
    let skipped = || SAME_EVERYWHERE.iter().flat_map(|module| ["--skip", module]);
    let parts = || PARTS.iter().flat_map(|part| ["--skip", part]);
    let suite = ["--test", "suite", "--"];
    let step = |name: &'static str, args: Vec<&'static str>| {
        tests(name, &[&suite[..], &args].concat()).env("VK_DRIVER_FILES", icd).env("WGPU_BACKEND", "vulkan")
    };
    let others = step("swiftshader", skipped().chain(parts()).collect());
    let of = |part: &'static str| step(part.trim_end_matches(':'), [part].into_iter().chain(skipped()).collect());
    runner.steps(&[others])?;
    runner.steps(&PARTS.map(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_everywhere_opens_no_adapter() {
        for module in SAME_EVERYWHERE {
            let path = format!("{}/tests/suite/{}.rs", steps::ROOT, module.trim_end_matches(':'));
            let source = std::fs::read_to_string(&path).unwrap();
            assert!(source.contains("#[test]") && !source.contains("adapters"), "{path}");
        }
    }
}
