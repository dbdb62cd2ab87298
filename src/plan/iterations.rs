//! How often an invocation loops: drivers that run on the CPU end loops after so many iterations.

use super::Step;

impl Step {
    /// The most loop iterations that one invocation runs, inner loops included and unrolled by nobody; a loop that is entered
    /// counts at least one.
    pub fn iterations(&self) -> u64 {
        self.kernel.iterations(&self.params, &self.constants)
    }
}
