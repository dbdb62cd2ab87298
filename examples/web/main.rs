//! The page in the browser: what norms do, whether they are right on this GPU, and how fast they are there.
//!
//! `cargo xtask web` builds it. This is what computes; `site/` is what the visitor sees, and calls it.

#[path = "../../benches/harness/cases.rs"]
#[expect(dead_code, reason = "what peers read is of no use here")]
mod cases;
mod check;
mod clock;
#[path = "../../benches/harness/copy.rs"]
mod copy;
mod cube;
mod device;
#[path = "../shared/held.rs"]
mod held;
mod measure;
mod memory;
mod see;
mod settings;
#[path = "../shared/worst.rs"]
mod worst;

/// The page calls what the modules export.
fn main() {}
