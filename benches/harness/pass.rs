//! What is measured: a pass over tensors that take turns, and what it has to give.

use std::error::Error;

use gpunorm::Plan;
use gpunorm::Tensor;
use wgpu::CommandEncoder;

/// Tensors take turns until so many bytes have passed, more than any last-level cache holds four times.
const ROTATION_BYTES: u64 = 256 << 20;
const MOST_TURNS: u64 = 16;
/// A forward or a backward of a layer, over tensors that take turns.
pub trait Pass {
    fn plan(&self) -> gpunorm::Result<Plan>;

    /// The least bytes that it moves, in copies of its input.
    fn floor(&self) -> f64;

    /// An input and an output for each turn. They are also what is copied, which poisons the outputs.
    fn pairs(&self) -> &[(Tensor, Tensor)];

    fn record(&self, encoder: &mut CommandEncoder, turn: usize) -> gpunorm::Result<()>;

    /// The same on the CPU.
    fn on_cpu(&mut self);

    /// From an array to an array, by way of the GPU.
    fn arrays(&self) -> Result<(), Box<dyn Error>>;

    /// Every element of every turn's outputs against the CPU's, within what rounding may do to both.
    fn check(&self) -> Result<(), Box<dyn Error>>;
}

/// How many sets of tensors take turns, if a pass has `tensors` of `len` f32 elements each.
pub fn turns(tensors: usize, len: usize) -> u64 {
    ROTATION_BYTES.div_ceil(4 * (tensors * len) as u64).min(MOST_TURNS)
}

/// An error unless each of `found` is closer than `tolerance` to what was `expected`.
pub fn compare(what: &str, found: &[f32], expected: &[f32], tolerance: f64) -> Result<(), Box<dyn Error>> {
    if found.len() != expected.len() {
        return Err(format!("{what} has {} elements on the GPU and {} on the CPU", found.len(), expected.len()).into());
    }
    let wrong = |(found, expected): (&f32, &f32)| found.is_nan() || f64::from((found - expected).abs()) > tolerance;
    match found.iter().zip(expected).position(wrong) {
        None => Ok(()),
        Some(at) => {
            let (found, expected) = (found[at], expected[at]);
            Err(format!("{what}: element {at} is {found} on the GPU and {expected} on the CPU").into())
        }
    }
}

/// The largest absolute value.
pub fn magnitude(values: &[f32]) -> f64 {
    f64::from(values.iter().fold(0f32, |most, value| most.max(value.abs())))
}
