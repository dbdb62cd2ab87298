//! Runs cargo commands one after the other and says which one runs and how long it took.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::Instant;

pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

pub struct Step<'a> {
    args: Vec<&'a str>,
    env: Vec<(&'a str, &'a str)>,
}

impl<'a> Step<'a> {
    pub fn cargo(args: &[&'a str]) -> Self {
        Self { args: args.to_vec(), env: vec![] }
    }

    pub fn env(mut self, name: &'a str, value: &'a str) -> Self {
        self.env.push((name, value));
        self
    }

    fn run(&self) -> Result<(), String> {
        let status = cargo()
            .args(&self.args)
            .envs(self.env.iter().copied())
            .status()
            .map_err(|e| format!("cannot start cargo: {e}"))?;
        if status.success() { Ok(()) } else { Err(status.to_string()) }
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}=\"{value}\" ")?;
        }
        write!(f, "cargo {}", self.args.join(" "))
    }
}

/// Stops at the first step that fails.
pub fn run_steps(steps: &[Step]) -> Result<(), String> {
    let count = steps.len();
    let all = Instant::now();
    for (step, number) in steps.iter().zip(1..) {
        // On stderr, as cargo's own progress: the order is kept when both go to one log.
        eprintln!("\n==> [{number}/{count}] {step}");
        let start = Instant::now();
        let done = step.run();
        let seconds = start.elapsed().as_secs_f64();
        done.map_err(|why| format!("step {number} of {count} failed after {seconds:.1} s ({why}): {step}"))?;
        eprintln!("==> [{number}/{count}] ok in {seconds:.1} s");
    }
    if count > 1 {
        eprintln!("\n==> all {count} steps passed in {:.1} s", all.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Builds what `cargo ARGS` would run, and gives its file.
pub fn executable(args: &[&str]) -> Result<String, String> {
    let output = cargo()
        .args(args)
        .args(["--no-run", "--message-format=json"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("{}: cargo {}", output.status, args.join(" ")));
    }
    // One JSON object per line; the last with an executable is the one asked for.
    let text = String::from_utf8_lossy(&output.stdout);
    let file = text.rsplit_once("\"executable\":\"").and_then(|(_, rest)| rest.split_once('"'));
    file.map(|(file, _)| file.to_owned()).ok_or_else(|| format!("cargo {} made no executable", args.join(" ")))
}

/// A minimal Rust installation has neither component; better said now than after a driver's installation.
pub fn require_components() -> Result<(), String> {
    let absent = |subcommand: &&str| {
        let probe = cargo().args([subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        !probe.is_ok_and(|status| status.success())
    };
    let missing: Vec<&str> = ["fmt", "clippy"].into_iter().filter(absent).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "cargo {} is missing. Add it with `rustup component add rustfmt clippy`, or without rustup with your \
         system's packages (Debian: rustfmt rust-clippy; Fedora: rustfmt clippy).",
        missing.join(" and cargo ")
    ))
}

fn cargo() -> Command {
    // The toolchain that runs this program; the name alone when it was started without cargo.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(ROOT);
    command
}
