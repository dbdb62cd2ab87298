//! What a machine with a GPU and no Rust needs to run the bench, its peers and the tests.

use std::fs;
use std::path::Path;

use crate::steps::{ROOT, Runner, Step};

/// Fills `folder` with binaries and scripts; benches/peers/README.md says how to run them.
pub fn pack(runner: &Runner, folder: &Path) -> Result<(), String> {
    let binaries = [
        (
            "norms",
            runner.executable(Step::cargo(
                "bench",
                &["bench", "--no-run", "--package", "gpunorm-benches", "--bench", "norms"],
            ))?,
        ),
        ("suite", runner.executable(Step::cargo("suite", &["test", "--no-run", "--release", "--test", "suite"]))?),
    ];
    let peers = Path::new(ROOT).join("benches/peers");
    let put = |from: &Path, to: &Path| {
        println!("{}", to.display());
        fs::copy(from, to).map(drop).map_err(|error| format!("cannot copy {}: {error}", from.display()))
    };
    let scripts = folder.join("peers");
    fs::create_dir_all(&scripts).map_err(|error| format!("cannot make {}: {error}", scripts.display()))?;
    for (name, binary) in binaries {
        put(&binary, &folder.join(name))?;
    }
    let burn = peers.join("burn/target/release/burn-norms");
    if burn.exists() {
        put(&burn, &folder.join("burn-norms"))?;
    } else {
        println!("burn is not built: cargo build --release --manifest-path benches/peers/burn/Cargo.toml");
    }
    let files = fs::read_dir(&peers).map_err(|error| format!("cannot read {}: {error}", peers.display()))?;
    for file in files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "py")) {
        put(&file, &scripts.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}
