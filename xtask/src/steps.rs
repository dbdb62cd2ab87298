//! Runs commands, mostly cargo's: one line each as long as they succeed, everything of the one that fails.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::progress::Progress;

pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

pub struct Step<'a> {
    name: &'a str,
    /// The cargo that runs this program, unless it is another.
    program: Option<&'a Path>,
    args: Vec<&'a str>,
    env: Vec<(&'a str, &'a str)>,
}

impl<'a> Step<'a> {
    pub fn cargo(name: &'a str, args: &[&'a str]) -> Self {
        Self { name, program: None, args: args.to_vec(), env: vec![] }
    }

    pub fn program(name: &'a str, program: &'a Path, args: &[&'a str]) -> Self {
        Self { program: Some(program), ..Self::cargo(name, args) }
    }

    pub fn env(mut self, name: &'a str, value: &'a str) -> Self {
        self.env.push((name, value));
        self
    }

    fn arg(mut self, arg: &'a str) -> Self {
        self.args.push(arg);
        self
    }

    fn command(&self) -> Command {
        let mut command = self.program.map_or_else(cargo, command);
        command.args(&self.args).envs(self.env.iter().copied());
        command
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}=\"{value}\" ")?;
        }
        let program = self.program.unwrap_or(Path::new("cargo"));
        write!(f, "{} {}", program.display(), self.args.join(" "))
    }
}

pub struct Runner {
    /// Whether steps show what they print as it comes.
    pub verbose: bool,
}

impl Runner {
    /// Stops at the first step that fails.
    pub fn steps(&self, steps: &[Step]) -> Result<(), String> {
        let start = Instant::now();
        steps.iter().try_for_each(|step| self.run(step, None))?;
        if steps.len() > 1 {
            eprintln!("All {} steps passed in {:.1} s.", steps.len(), start.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Builds what `step` would run, and gives its file.
    pub fn executable(&self, step: Step) -> Result<PathBuf, String> {
        let path = folder()?.join(format!("{}.json", step.name));
        let step = step.arg("--message-format=json-render-diagnostics");
        self.run(&step, Some(&path))?;
        let messages = fs::read_to_string(&path).map_err(|error| told("read", &path, &error))?;
        built(&messages).ok_or_else(|| format!("no executable comes of {step}"))
    }

    /// Runs what has to fail, and gives what it says.
    pub fn refused(&self, step: &Step) -> Result<String, String> {
        let (status, output, progress) = Runner { verbose: false }.attempt(step, None)?;
        progress.end(if status.success() { "succeeded" } else { "refused, as it should be" });
        if status.success() { Err(format!("this should fail: {step}")) } else { Ok(output) }
    }

    /// What it prints on stdout goes to a file where somebody reads it.
    fn run(&self, step: &Step, stdout: Option<&Path>) -> Result<(), String> {
        let (status, output, progress) = self.attempt(step, stdout)?;
        if status.success() {
            progress.end(&passed(&output));
            return Ok(());
        }
        let seconds = progress.seconds();
        progress.end("failed");
        eprint!("\n{output}");
        Err(format!("{} failed after {seconds:.1} s ({status}): {step}", step.name))
    }

    fn attempt<'a>(
        &self,
        step: &Step<'a>,
        stdout: Option<&Path>,
    ) -> Result<(ExitStatus, String, Progress<'a>), String> {
        let mut command = step.command();
        if let Some(path) = stdout {
            command.stdout(create(path)?);
        }
        let mut progress = Progress::new(step.name);
        let (status, output) = if self.verbose {
            eprintln!("\n==> {step}");
            (command.status().map_err(cannot_start)?, String::new())
        } else {
            let path = folder()?.join(format!("{}.log", step.name));
            let log = create(&path)?;
            if stdout.is_none() {
                command.stdout(log.try_clone().map_err(|error| told("write", &path, &error))?);
            }
            command.stdin(Stdio::null()).stderr(log);
            let status = wait(command, || progress.show(&path))?;
            (status, String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned())
        };
        Ok((status, output, progress))
    }
}

/// Runs to its end, and `meanwhile` ten times a second.
fn wait(mut command: Command, mut meanwhile: impl FnMut()) -> Result<ExitStatus, String> {
    let mut child = command.spawn().map_err(cannot_start)?;
    loop {
        if let Some(status) = child.try_wait().map_err(cannot_start)? {
            return Ok(status);
        }
        meanwhile();
        thread::sleep(Duration::from_millis(100));
    }
}

fn cannot_start(error: io::Error) -> String {
    format!("cannot start a step: {error}")
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| told("write", path, &error))
}

/// Runs a program that was built for what it prints.
pub fn show(program: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
    let mut command = command(program);
    let status =
        command.args(args).envs(env.iter().copied()).status().map_err(|error| told("start", program, &error))?;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    if status.success() { Ok(()) } else { Err(format!("{name} failed ({status})")) }
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
    command(Path::new(&std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())))
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    quiet_wayland(&mut command).current_dir(ROOT);
    command
}

/// Where no desktop session is, libwayland would complain of this variable although nothing here needs a window.
fn quiet_wayland(command: &mut Command) -> &mut Command {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(_) => command,
        None => command.env("XDG_RUNTIME_DIR", std::env::temp_dir()),
    }
}

/// A folder of `target/`.
pub fn target(name: &str) -> Result<PathBuf, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let folder = Path::new(ROOT).join(target).join(name);
    fs::create_dir_all(&folder).map_err(|error| told("make", &folder, &error))?;
    Ok(folder)
}

/// Whether something has been built into this folder of the repository.
pub fn target_is_there(folder: &str) -> bool {
    Path::new(ROOT).join(folder).join("debug").exists()
}

/// Where the steps' output is kept.
fn folder() -> Result<PathBuf, String> {
    target("xtask")
}

/// As an argument, or in a variable.
pub fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is no name for a file", path.display()))
}

pub fn told(what: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}

/// The last executable that cargo's messages name, one JSON object per line: the one asked for.
fn built(messages: &str) -> Option<PathBuf> {
    let (file, _) = messages.rsplit_once("\"executable\":\"")?.1.split_once('"')?;
    Some(file.replace("\\\\", "\\").into())
}

/// How many tests passed, if any ran, by what `cargo test` says of each program.
fn passed(log: &str) -> String {
    let results = log.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    let counts = results.filter_map(|rest| rest.split(" passed").next()?.parse::<u32>().ok());
    match counts.sum::<u32>() {
        0 => String::new(),
        count => format!("{count} passed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_last_one() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/target/release/norms\",\"fresh\":true}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(built(messages), Some("/target/release/norms".into()));
        assert_eq!(built("{\"executable\":\"C:\\\\norms.exe\"}"), Some("C:\\norms.exe".into()));
        assert_eq!(built("{\"executable\":null}"), None);
    }

    #[test]
    fn tests_are_counted_over_all_programs() {
        let log = "test result: ok. 141 passed; 0 failed; 0 ignored\ntest result: ok. 9 passed; 0 failed\n";
        assert_eq!(passed(log), "150 passed");
        assert_eq!(passed("   Compiling naga v30\n"), "");
    }

    #[test]
    fn a_step_reads_as_one_would_type_it() {
        let step = Step::cargo("docs", &["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(step.to_string(), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps");
    }
}
