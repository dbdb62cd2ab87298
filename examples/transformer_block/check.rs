//! Gradients beside central differences of the loss.

use std::error::Error;

use example_kit::random::Random;
use ndarray::{Array2, Zip};

use crate::model::{Batch, Model};

/// How far a parameter is moved, as a share of its root mean square.
const STEP: f32 = 0.01;

/// Moves each parameter along a random direction to both sides, and back.
///
/// # Errors
/// A gradient along its direction is further from the difference than what rounding and curvature allow.
pub fn check(model: &mut Model, batch: &Batch) -> Result<(), Box<dyn Error>> {
    println!("{:<14} {:>12} {:>12} {:>10} {:>10}", "parameter", "gradient", "difference", "error", "allowed");
    let mut random = Random::new(4);
    // Weights of 1, alike, would hide which is whose.
    for (_, parameter) in model.parameters() {
        parameter.value.mapv_inplace(|value| value + 0.3 * random.signed());
    }
    let loss = model.learn(batch)?;
    let mut wrong = vec![];
    for place in 0..model.parameters().len() {
        let (name, parameter) = model.parameters().swap_remove(place);
        let value = parameter.value.clone();
        let size = (value.mapv(|value| value * value).mean().unwrap_or(0.0)).sqrt();
        let direction = value.mapv(|_| size * random.signed());
        let gradient = f64::from(Zip::from(&parameter.gradient).and(&direction).fold(0.0, |sum, g, d| sum + g * d));
        let mut difference = |step: f32| -> gpunorm::Result<f64> {
            let mut moved = |step: f32| {
                let at: Array2<f32> = &value + step * &direction;
                model.parameters().swap_remove(place).1.value.assign(&at);
                model.loss(batch)
            };
            Ok(f64::from(moved(step)? - moved(-step)?) / f64::from(2.0 * step))
        };
        let (near, far) = (difference(STEP)?, difference(2.0 * STEP)?);
        model.parameters().swap_remove(place).1.value.assign(&value);
        // What curvature does to a difference grows with the step's square: this is three times that. Two losses are rounded to f32,
        // and as much again is for what was rounded on the way to them.
        let rounding = f64::from(f32::EPSILON * loss / STEP);
        let (error, allowed) = ((gradient - near).abs(), (far - near).abs() + rounding);
        println!("{name:<14} {gradient:>12.6} {near:>12.6} {error:>10.1e} {allowed:>10.1e}");
        let is_allowed = error <= allowed;
        if !is_allowed {
            wrong.push(name);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("wrong: {}", wrong.join(", ")).into()) }
}
