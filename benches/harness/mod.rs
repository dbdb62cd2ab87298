//! What the benches share.

pub mod cases;
pub mod chart;
pub mod clock;
pub mod copy;
pub mod measure;
pub mod report;
