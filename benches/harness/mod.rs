//! What the benches share.

pub mod backward;
pub mod cases;
pub mod chart;
pub mod clock;
pub mod copy;
pub mod forward;
pub mod measure;
pub mod report;
