//! PyTorch's results of norms with what stands beside them, from `tests/fixtures/neighbours.py`, and the oracle held to them.

use gpunorm::reference::{self, Neighbours, State};
use gpunorm::{Activation, Mode, NormSpec};
use ndarray::ArrayD;
use safetensors::tensor::SafeTensors;
use serde_json::Value;

use super::torch::{excess, largest, spec, tensor};

/// One forward and backward of torch in float64.
struct Case {
    name: String,
    spec: NormSpec,
    mode: Mode,
    state: State,
    /// With what is added before.
    sum: ArrayD<f64>,
    neighbours: Neighbours,
    y: ArrayD<f64>,
    dy: ArrayD<f64>,
    /// By what they are of.
    gradients: Vec<(&'static str, Option<ArrayD<f64>>)>,
}

fn cases() -> Vec<Case> {
    let list: Vec<Value> = serde_json::from_str(include_str!("../fixtures/neighbours.json")).unwrap();
    let tensors = SafeTensors::deserialize(include_bytes!("../fixtures/neighbours.safetensors")).unwrap();
    let case = |(index, entry): (usize, &Value)| {
        let tensor = |key: &str| tensor(&tensors, &format!("{index}.{key}"));
        let activation = match entry["activation"].as_str().unwrap() {
            "identity" => Activation::Identity,
            "relu" => Activation::Relu,
            "leaky_relu" => Activation::LeakyRelu { negative_slope: 0.2 },
            "silu" => Activation::Silu,
            "gelu" => Activation::Gelu,
            "gelu_tanh" => Activation::GeluTanh,
            other => panic!("{other}"),
        };
        let spec = spec(entry["norm"].as_str().unwrap(), entry["args"].as_object().unwrap());
        let spec = spec.with_activation(activation);
        let mut state = State::new(&spec).unwrap();
        (state.weight, state.bias) = (tensor("weight"), tensor("bias"));
        (state.mean_weight, state.var_weight) = (tensor("mean_weight"), tensor("var_weight"));
        (state.running_mean, state.running_var) = (tensor("before.running_mean"), tensor("before.running_var"));
        state.num_batches_tracked = spec.has_running_stats().then_some(3);
        let x = tensor("x").unwrap();
        let by_channel = entry["add_before"] == "channels";
        // The input's, where it has its shape.
        let gradient = |name| tensor(&format!("grad.{name}")).filter(|_| name != "add_before" || by_channel);
        let one = entry["modulation"].as_f64().unwrap_or(0.0);
        Case {
            name: entry.to_string(),
            mode: if entry["mode"] == "training" { Mode::Training } else { Mode::Evaluation },
            state,
            sum: match tensor("add_before") {
                Some(a) if by_channel => by_plane(&a, x.shape()) + x,
                Some(a) => x + a,
                None => x,
            },
            neighbours: Neighbours {
                scale: tensor("scale").map(|scale| scale + one),
                shift: tensor("shift"),
                add_after: tensor("add_after"),
            },
            y: tensor("y").unwrap(),
            dy: tensor("dy").unwrap(),
            gradients: [
                "x",
                "weight",
                "bias",
                "mean_weight",
                "var_weight",
                "add_after",
                "scale",
                "shift",
                "add_before",
            ]
            .map(|name| (name, gradient(name)))
            .to_vec(),
            spec,
        }
    };
    list.iter().enumerate().map(case).collect()
}

/// `[N, C]` in an input's shape.
pub fn by_plane<T: Copy>(values: &ArrayD<T>, shape: &[usize]) -> ArrayD<T> {
    ArrayD::from_shape_fn(shape, |at| values[[at[0], at[1]]])
}

/// As for a layer alone (`torch`), with the roundings of what follows; torch's larger error of a mean goes through it too.
#[test]
fn the_oracle_computes_what_torch_does() {
    for case in cases() {
        let mut state = case.state.clone();
        let forward =
            reference::forward_beside(&case.spec, case.mode, &mut state, &case.sum, &case.neighbours).unwrap();
        let depth = (forward.row_len as f64).log2() + f64::from(4 + forward.roundings);
        let u = 4.0 * 2f64.powi(-53) * depth;
        let weight = case.state.weight.as_ref().map_or(1.0, largest);
        let scale = case.neighbours.scale.as_ref().map_or(1.0, largest);
        let size = |i: usize| forward.magnitude.as_slice().unwrap()[i];
        let folded = |i: usize| scale * weight * forward.inverse_std.as_slice().unwrap()[i] * largest(&case.sum);
        let off = excess(&forward.output, &case.y, |i| u * (size(i) + 2.0 * folded(i)));
        assert!(off <= 1.0, "{}: off by {off} tolerances\n{}\ntorch:\n{}", case.name, forward.output, case.y);
    }
}

/// Both sides round in f64: the derived tolerance, of f32, with f64's unit; and 64 times as much, since torch's autograd takes the
/// means off products that are as large as |x|·r.
#[test]
fn the_oracle_has_torchs_gradients() {
    let to_f64 = 2f64.powi(24 - 53) * 64.0;
    let mut compared = 0;
    for case in cases() {
        let (state, neighbours) = (&case.state, &case.neighbours);
        let gradients =
            reference::backward_beside(&case.spec, case.mode, state, &case.sum, neighbours, &case.dy).unwrap();
        let found = gradients.named(neighbours.add_after.is_some(), case.gradients[8].1.is_some());
        for ((what, found), (_, expected)) in found.into_iter().zip(&case.gradients) {
            assert_eq!(found.is_some(), expected.is_some(), "{}: {what}", case.name);
            let (Some(found), Some(expected)) = (found, expected) else { continue };
            let tolerance = found.tolerance(gpunorm::DType::F32);
            let off = excess(&found.value, expected, |i| to_f64 * tolerance.as_slice().unwrap()[i]);
            let place = || format!("{}, {what}: off by {off} tolerances", case.name);
            assert!(off <= 1.0, "{}\n{}\ntorch:\n{expected}", place(), found.value);
            compared += 1;
        }
    }
    assert!(compared > 250, "only {compared} gradients");
}

/// Each neighbour of some fixture matters.
#[test]
fn the_comparison_can_fail() {
    for case in cases() {
        let y = |neighbours: &Neighbours, spec: &NormSpec| {
            let mut state = case.state.clone();
            reference::forward_beside(spec, case.mode, &mut state, &case.sum, neighbours).unwrap().output
        };
        let right = y(&case.neighbours, &case.spec);
        let without = [
            Neighbours { scale: None, shift: None, ..case.neighbours.clone() },
            Neighbours { add_after: None, ..case.neighbours.clone() },
        ];
        for neighbours in without.into_iter().filter(|neighbours| *neighbours != case.neighbours) {
            assert!(excess(&y(&neighbours, &case.spec), &right, |_| 1e-3) > 1.0, "{}", case.name);
        }
        if case.spec.activation() != Activation::Identity {
            let plain = case.spec.clone().with_activation(Activation::Identity);
            assert!(excess(&y(&case.neighbours, &plain), &right, |_| 1e-3) > 1.0, "{}", case.name);
        }
    }
}
