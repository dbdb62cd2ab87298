//! The oracle's gradients through what stands beside a norm, held to finite differences of its forward.

use gpunorm::reference::{self, Neighbours, State};
use gpunorm::{Activation, Mode, NormSpec};
use ndarray::ArrayD;

use super::data::MODES;
use super::torch_neighbours::by_plane;
use super::{beside, data};

/// A norm with everything beside it.
#[derive(Clone)]
struct Case {
    spec: NormSpec,
    mode: Mode,
    state: State,
    x: ArrayD<f64>,
    by_channel: Option<ArrayD<f64>>,
    neighbours: Neighbours,
    dy: ArrayD<f64>,
}

impl Case {
    fn new(spec: &NormSpec, mode: Mode, shape: &[usize]) -> Case {
        let values = |name, shape: &[usize]| data::values(name, shape, 1).mapv(f64::from);
        let by_sample = [&shape[..1], &spec.parameter_shape()].concat();
        let trailing = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
        let neighbours = Neighbours {
            scale: Some(values("uniform", &by_sample)),
            shift: Some(values("normal", &by_sample)),
            add_after: Some(values("uniform", shape) - 0.5),
        };
        Case {
            spec: spec.clone().with_activation(Activation::Silu),
            mode,
            state: data::state(spec),
            x: values("normal", shape),
            by_channel: (!trailing).then(|| values("uniform", &[shape[0], spec.parameter_shape()[0]])),
            neighbours,
            dy: values("normal", shape).mapv(|value| 0.5 - value),
        }
    }

    fn sum(&self) -> ArrayD<f64> {
        self.by_channel.iter().fold(self.x.clone(), |x, a| x + by_plane(&self.spec, a, self.x.shape()))
    }

    fn loss(&self) -> f64 {
        let mut state = self.state.clone();
        let y = reference::forward_beside(&self.spec, self.mode, &mut state, &self.sum(), &self.neighbours).unwrap();
        (y.output * &self.dy).sum()
    }

    /// What a gradient is of.
    fn of(&mut self, what: &str) -> Option<&mut ArrayD<f64>> {
        match what {
            "input" => Some(&mut self.x),
            "weight" => self.state.weight.as_mut(),
            "bias" => self.state.bias.as_mut(),
            "mean_weight" => self.state.mean_weight.as_mut(),
            "var_weight" => self.state.var_weight.as_mut(),
            "add_after" => self.neighbours.add_after.as_mut(),
            "scale" => self.neighbours.scale.as_mut(),
            "shift" => self.neighbours.shift.as_mut(),
            _ => self.by_channel.as_mut(),
        }
    }

    /// How many gradients were compared, of every third element.
    fn compare(&self) -> usize {
        const STEP: f64 = 1e-5;
        let (spec, neighbours) = (&self.spec, &self.neighbours);
        let found =
            reference::backward_beside(spec, self.mode, &self.state, &self.sum(), neighbours, &self.dy).unwrap();
        let mut compared = 0;
        for (what, gradient) in found.named(true, self.by_channel.is_some()) {
            let (Some(gradient), mut moved) = (gradient, self.clone()) else { continue };
            for (index, &value) in gradient.value.iter().enumerate().step_by(3) {
                let mut loss = |step: f64| {
                    *moved.of(what).unwrap().iter_mut().nth(index).unwrap() += step;
                    moved.loss()
                };
                let differences = (loss(STEP) - loss(-2.0 * STEP)) / (2.0 * STEP);
                loss(STEP);
                // The third derivative times the square of the step, and what rounding takes from the losses over the step.
                let size = 1.0 + gradient.magnitude.iter().nth(index).unwrap();
                let off = (differences - value).abs();
                assert!(off < 1e-7 * size, "{spec:?}, {what}, element {index}: {value}, differences {differences}");
                compared += 1;
            }
        }
        compared
    }
}

#[test]
fn gradients_are_what_differences_are() {
    let mut compared = 0;
    for shape in [[3, 4, 6], [2, 6, 5]] {
        for (spec, mode) in beside::specs(&shape).iter().flat_map(|spec| MODES.map(|mode| (spec, mode))) {
            if gpunorm::unstable::Geometry::new(spec, mode, &shape).is_ok() {
                compared += Case::new(spec, mode, &shape).compare();
            }
        }
    }
    assert!(compared > 1000, "only {compared}");
}
