//! What a step says of itself: that it goes on, and at last one line.

use std::fs::File;
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

/// Columns of a line that is written over: one that wraps would stay.
const WIDTH: usize = 79;

/// Where nobody looks on, a sign of life this often.
const SELDOM: Duration = Duration::from_secs(60);

/// A step that runs, what it prints going to a file.
pub struct Progress<'a> {
    name: &'a str,
    start: Instant,
    said: Instant,
    live: bool,
}

impl<'a> Progress<'a> {
    pub fn new(name: &'a str) -> Self {
        let start = Instant::now();
        Self { name, start, said: start, live: stderr().is_terminal() }
    }

    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Where the step is: on a terminal in a line that the next one is written over, elsewhere now and then.
    pub fn show(&mut self, log: &Path) {
        if self.live {
            let line = self.line(&last_line(log));
            eprint!("\r{:WIDTH$}", clip(&line, WIDTH));
            let _ = stderr().flush();
        } else if self.said.elapsed() >= SELDOM {
            self.said = Instant::now();
            eprintln!("{} ...", self.line(&last_line(log)));
        }
    }

    /// The step's last line.
    pub fn end(self, note: &str) {
        if self.live {
            eprint!("\r{:WIDTH$}\r", "");
        }
        eprintln!("{}", self.line(note));
    }

    fn line(&self, note: &str) -> String {
        format!("{:<9}{:>6.1} s  {note}", self.name, self.seconds()).trim_end().to_owned()
    }
}

/// What a step has printed last: a crate that is compiled, a test that has passed.
fn last_line(log: &Path) -> String {
    let end = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(2000)))?;
        let mut bytes = vec![];
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&end().unwrap_or_default()).into_owned();
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn clip(line: &str, width: usize) -> &str {
    line.char_indices().nth(width).map_or(line, |(end, _)| &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_clipped_by_characters() {
        assert_eq!(clip("norm", 9), "norm");
        assert_eq!(clip("norm", 4), "norm");
        assert_eq!(clip("σ²µ·w", 3), "σ²µ");
    }

    #[test]
    fn a_step_is_one_line() {
        let mut step = Progress::new("clippy");
        step.start -= Duration::from_millis(42_100);
        assert_eq!(step.line(""), "clippy     42.1 s");
        assert_eq!(step.line("9 passed"), "clippy     42.1 s  9 passed");
    }

    #[test]
    fn the_last_line_is_what_was_printed_last() {
        let path = std::env::temp_dir().join(format!("xtask-{}.log", std::process::id()));
        let long = "x".repeat(5000);
        std::fs::write(&path, format!("{long}\n   Compiling naga v30\ntest a ... ok\n\n")).unwrap();
        assert_eq!(last_line(&path), "test a ... ok");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(last_line(&path), "");
    }
}
