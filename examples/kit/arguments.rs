//! What stands behind a program's name, and how it ends.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

/// Options are taken out by name; what is left is no option.
pub struct Arguments {
    help: &'static str,
    left: Vec<OsString>,
}

impl Arguments {
    /// Those of this process; `None`, and `help` is printed, where that was asked for.
    pub fn new(help: &'static str) -> Option<Arguments> {
        let left: Vec<OsString> = std::env::args_os().skip(1).collect();
        if left.iter().any(|word| word == "--help" || word == "-h") {
            println!("{help}");
            return None;
        }
        Some(Arguments { help, left })
    }

    /// Whether `name` is there.
    pub fn flag(&mut self, name: &str) -> bool {
        let before = self.left.len();
        self.left.retain(|word| word != name);
        self.left.len() < before
    }

    /// The path behind `name`.
    ///
    /// # Errors
    /// Nothing stands behind it.
    pub fn path(&mut self, name: &str) -> Result<Option<PathBuf>, String> {
        Ok(self.behind(name, "file")?.map(PathBuf::from))
    }

    /// The number behind `name`.
    ///
    /// # Errors
    /// Nothing stands behind it, or what is no number or not `allowed`.
    pub fn number<T: FromStr>(&mut self, name: &str, allowed: impl Fn(&T) -> bool) -> Result<Option<T>, String> {
        let Some(value) = self.behind(name, "number")? else { return Ok(None) };
        let number = value.to_str().and_then(|text| text.parse().ok()).filter(allowed);
        number.ok_or_else(|| format!("{name}: {} will not do\n\n{}", value.display(), self.help)).map(Some)
    }

    /// What is left, which are paths.
    ///
    /// # Errors
    /// An option is among it.
    pub fn paths(self) -> Result<Vec<PathBuf>, String> {
        self.refuse(|word| word.as_encoded_bytes().starts_with(b"-"))?;
        Ok(self.left.into_iter().map(PathBuf::from).collect())
    }

    /// Nothing is left.
    ///
    /// # Errors
    /// Something is.
    pub fn end(self) -> Result<(), String> {
        self.refuse(|_| true)
    }

    fn refuse(&self, what: impl Fn(&OsString) -> bool) -> Result<(), String> {
        match self.left.iter().find(|word| what(word)) {
            Some(unknown) => Err(format!("no such option: {}\n\n{}", unknown.display(), self.help)),
            None => Ok(()),
        }
    }

    /// The last word that stands behind `name`.
    fn behind(&mut self, name: &str, what: &str) -> Result<Option<OsString>, String> {
        let mut found = None;
        while let Some(at) = self.left.iter().position(|word| word == name) {
            if at + 1 == self.left.len() {
                return Err(format!("{name} needs a {what}\n\n{}", self.help));
            }
            found = self.left.drain(at..at + 2).next_back();
        }
        Ok(found)
    }
}

/// How the program called `name` ends, with the error on stderr if there is one.
pub fn exit(name: &str, done: Result<(), impl Display>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
