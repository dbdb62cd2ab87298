//! The project's own commands: `cargo xtask help` lists them.

mod drivers;
mod pack;
mod steps;

use std::process::ExitCode;

use drivers::Driver;
use steps::{Step, run_steps};

const HELP: &str = "\
cargo xtask demo              run the quickstart example, with a GPU driver installed first where there is none
cargo xtask test              check the format, lint, test and build the docs, as CI does
cargo xtask test -- ARGS...   the same, with ARGS handed to `cargo test`
cargo xtask fuzz [SECONDS]    run random cases against float64 until enough fail; GPUNORM_TEST_SEED says where to begin
cargo xtask bench [ARGS...]   time every norm against copying its bytes and against the CPU; --help lists the options
cargo xtask pack FOLDER       gather what runs the bench, its peers and the tests on a machine without Rust
cargo xtask shaders           write every linked kernel to target/shaders/, for editors and other compilers
cargo xtask help              print this list";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        ["demo"] => demo(),
        ["fuzz"] => fuzz("1000000000"),
        ["fuzz", seconds] => fuzz(seconds),
        ["bench", ref rest @ ..] => bench(rest),
        ["pack", folder] => pack::pack(folder.as_ref()),
        ["shaders"] => run_steps(&[Step::cargo(&["run", "--quiet", "--example", "dump_shaders"])]),
        ["test"] => test(&[]),
        ["test", "--", ref rest @ ..] => test(rest),
        _ => Err(format!("no such command: {}\n\n{HELP}", args.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\nxtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<(), String> {
    drivers::ensure(&[Driver::Vulkan])?;
    // Where no desktop session is, libwayland would complain of this variable although nothing here needs a window.
    let folder = std::env::temp_dir().display().to_string();
    let folder = std::env::var("XDG_RUNTIME_DIR").unwrap_or(folder);
    run_steps(&[Step::cargo(&["run", "--release", "--example", "quickstart"]).env("XDG_RUNTIME_DIR", &folder)])
}

fn fuzz(seconds: &str) -> Result<(), String> {
    drivers::ensure(&[Driver::Lavapipe, Driver::MesaEgl])?;
    // Other cases every time, in the process that one looks at.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let seed = std::env::var("GPUNORM_TEST_SEED").unwrap_or((now << 20).to_string());
    let test = ["test", "--test", "suite", "--", "--exact", "hostile::fuzz::random_cases", "--nocapture"];
    let step = Step::cargo(&test).env("GPUNORM_FUZZ_SECONDS", seconds).env("GPUNORM_TEST_SEED", &seed);
    run_steps(&[step.env("GPUNORM_TEST_CHILD", "1")])
}

fn bench(args: &[&str]) -> Result<(), String> {
    drivers::ensure(&[Driver::Vulkan])?;
    run_steps(&[Step::cargo(&[&["bench", "--bench", "norms", "--"], args].concat())])
}

fn test(test_args: &[&str]) -> Result<(), String> {
    steps::require_components()?;
    // The same tests run on Mesa's software Vulkan and on wgpu's GL backend.
    drivers::ensure(&[Driver::Lavapipe, Driver::MesaEgl])?;
    run_steps(&[
        Step::cargo(&["fmt", "--all", "--check"]),
        Step::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        Step::cargo(&["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
        Step::cargo(&[&["test", "--workspace"], test_args].concat()),
        // The kernels' own bounds have to hold without wgpu's checks (above) and change nothing with them.
        Step::cargo(&[&["test", "--test", "suite"], test_args].concat()).env("GPUNORM_TEST_SHADER_CHECKS", "1"),
    ])
}
