//! What the benches share.

use std::error::Error;

use gpunorm::Gpu;
use gpunorm::unstable::Strategy;

pub mod backward;
pub mod cases;
pub mod chart;
pub mod clock;
pub mod copy;
pub mod elementwise;
pub mod forward;
pub mod measure;
pub mod pass;
pub mod report;

use backward::Backward;
use cases::Case;
use forward::Forward;
use pass::Pass;

/// A backward or a forward of a case.
pub fn pass<'a>(
    gpu: &'a Gpu,
    case: &'a Case,
    backward: bool,
    strategy: Strategy,
) -> Result<Box<dyn Pass + 'a>, Box<dyn Error>> {
    Ok(match backward {
        true => Box::new(Backward::new(gpu, case, strategy)?),
        false => Box::new(Forward::new(gpu, case, strategy)?),
    })
}
