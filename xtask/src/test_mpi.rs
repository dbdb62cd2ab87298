//! The tests of processes that share a batch: `tests/mpi`, by `mpirun`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::drivers::{self, Driver};
use crate::packages::{self, Manager};
use crate::steps::{self, Runner, Step, target};

/// Where Fedora has Open MPI's programs.
const FEDORA: &str = "/usr/lib64/openmpi/bin";
/// Open MPI (4, then 5) as root, with more processes than there are cores; each of MPI's has seconds to end in.
const ENV: [(&str, &str); 5] = [
    ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
    ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
    ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
    ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"),
    ("MPIEXEC_TIMEOUT", "600"),
];

/// What ends all processes, and the words that say why.
const ENDS: [(&str, &str); 4] = [
    ("error", "rank 1 ends all processes: it has no data"),
    ("panic", "rank 1 ends all processes: it has panicked"),
    ("absent", "rank 0 ends all processes: it has waited for 2s, and not all have come"),
    ("exit", "exit"),
];

/// Packages that have MPI only where they are asked for it.
const FEATURES: [&str; 2] = ["--features", "gpunorm-mpi-tests/mpi,gpunorm-mpi-bench/mpi,data_parallel/mpi"];

pub fn run(runner: &Runner) -> Result<(), String> {
    ensure()?;
    drivers::ensure(&[Driver::Lavapipe, Driver::MesaEgl])?;
    let lint = [&["clippy", "--workspace", "--lib", "--bins"], &FEATURES[..], &["--", "-D", "warnings"]].concat();
    runner.steps(&[Step::cargo("lint", &lint)])?;
    let tests = runner.executable(build("build", ["--bin", "gpunorm-mpi-tests"]))?;
    let example = runner.executable(build("example", ["--example", "data_parallel"]))?;
    let readme = runner.executable(build("readme", ["--bin", "mpi-readme"]))?;
    let [tests, example, readme] = [&tests, &example, &readme].map(|path| path.to_str().unwrap_or_default());

    let mut steps = vec![];
    for processes in ["1", "2", "3", "4"] {
        steps.push(mpirun("equal", processes, &[tests, "equal"]).env("WGPU_BACKEND", "vulkan"));
    }
    steps.push(mpirun("equal-gl", "2", &[tests, "equal"]).env("WGPU_BACKEND", "gl"));
    steps.push(mpirun("differ", "2", &[tests, "differ"]));
    steps.push(mpirun("parts", "4", &[tests, "parts"]));
    steps.push(mpirun("single", "2", &[tests, "single"]));
    steps.push(mpirun("readme", "3", &[readme]));
    steps.push(mpirun("example", "3", &[example, "--steps", "5", "--out", "target/data_parallel/test.svg"]));
    runner.steps(&steps)?;
    for (what, words) in ENDS {
        let told = runner.refused(&mpirun(what, "2", &[tests, what]))?;
        if !told.contains(words) {
            return Err(format!("{what} should have said \"{words}\":\n{told}"));
        }
    }
    Ok(())
}

/// With the features of the whole workspace, so that what it is made of is built once for all.
fn build<'a>(name: &'a str, target: [&'a str; 2]) -> Step<'a> {
    Step::cargo(name, &[&["build", "--workspace"], &target[..], &FEATURES].concat())
}

/// Times the batch norms of ResNet-50 over 1, 2 and 4 processes, into `target/mpi/`.
pub fn bench(runner: &Runner) -> Result<(), String> {
    ensure()?;
    drivers::ensure(&[Driver::Vulkan])?;
    // Not in release: what is timed is the driver and MPI, and the tests have built the rest.
    let bench = runner.executable(build("bench", ["--bin", "gpunorm-mpi-bench"]))?;
    let (bench, folder) = (bench.to_string_lossy(), target("mpi")?);
    for processes in ["1", "2", "4"] {
        let report = folder.join(format!("mpi-{processes}.json"));
        let args = ["-n", processes, &*bench, &*report.to_string_lossy()];
        steps::show(launcher(), &args, &ENV)?;
        println!("wrote {}\n", report.display());
    }
    Ok(())
}

/// So many processes of a program.
fn mpirun<'a>(name: &'a str, processes: &'a str, program: &[&'a str]) -> Step<'a> {
    let args = [&["-n", processes], program].concat();
    ENV.into_iter().fold(Step::program(name, launcher(), &args), |step, (name, value)| step.env(name, value))
}

fn launcher() -> &'static Path {
    let fedora = Path::new("/usr/lib64/openmpi/bin/mpirun");
    if fedora.exists() { fedora } else { Path::new("mpirun") }
}

/// Installs MPI, its headers and what reads them, where they are missing.
fn ensure() -> Result<(), String> {
    if has_mpi() && has_libclang() {
        return Ok(());
    }
    packages::install("MPI with its headers, or no libclang to read them,", |manager| match manager {
        Manager::Apt => vec!["libopenmpi-dev", "openmpi-bin", "libclang-dev"],
        Manager::Dnf => vec!["openmpi-devel", "clang-devel"],
        Manager::Pacman => vec!["openmpi", "clang"],
    })
}

fn has_mpi() -> bool {
    let there = |program: &str| {
        let mut command = Command::new(program);
        let probe = command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    };
    Path::new(FEDORA).exists() || there("mpicc") && there("mpirun")
}

/// Where the packages have it, or whoever builds says that it is.
fn has_libclang() -> bool {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path().join("lib"));
    let mut folders = folders.chain(["/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu"].map(Into::into));
    std::env::var_os("LIBCLANG_PATH").is_some()
        || folders.any(|folder| {
            let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
            files.any(|file| file.file_name().to_string_lossy().starts_with("libclang"))
        })
}
