//! What fails of many checks.

use super::adapters;

/// Gathers what fails, so that one run shows all of it.
#[derive(Default)]
pub struct Failures {
    checks: usize,
    failed: Vec<String>,
}

impl Failures {
    pub fn check(&mut self, what: impl Fn() -> String, result: Result<(), String>) {
        self.checks += 1;
        if let Err(reason) = result {
            self.failed.push(format!("{}: {reason}", what()));
        }
    }

    /// Nothing failed, and at least this many checks ran per adapter.
    pub fn assert_none(self, least: usize) {
        let shown = self.failed.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.failed.is_empty(), "{} of {} failed:\n{shown}", self.failed.len(), self.checks);
        assert!(self.checks >= least * adapters::count(), "only {} checks ran", self.checks);
        println!("{} checks", self.checks);
    }
}
