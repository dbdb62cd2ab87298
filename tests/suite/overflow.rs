//! Finite in, finite out: where sums of squares do not fit f32, outputs are `bias` and gradients of the input 0, in every
//! norm, route and team; and rows that are not finite themselves stay NaN.

use gpunorm::reference::{self, State};
use gpunorm::unstable::{Geometry, Gradient, Pass, Strategy};
use gpunorm::{DType, Error, Gpu, GpuNorm, LayerNorm, Mode, NormSpec, Tensor};
use ndarray::{ArrayD, IxDyn, arr2};

use super::data::Random;
use super::variants::{planned, variants};
use super::{adapters, checks, compare, data};

/// Values whose differences, sums or squares overflow.
fn huge(name: &str, shape: &[usize]) -> ArrayD<f32> {
    let mut random = Random::new(3);
    let mut place = 0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        place += 1;
        match name {
            "opposite" => [1.6e38, -1.6e38, 0.0][place % 3],
            "largest" => [f32::MAX, -f32::MAX][place % 2],
            "one" => [f32::MAX, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0][place % 7],
            "squares" => [1e20, -1e20, 3.0][place % 3],
            _ => (random.normal() * (random.uniform() * 126.0).exp2()) as f32,
        }
    })
}

fn specs(shape: &[usize]) -> Vec<NormSpec> {
    let specs = data::channel_specs(shape[1]).into_iter().chain(data::trailing_specs(shape, shape.len() - 1));
    specs.chain(data::layout_specs(shape).into_iter().step_by(3)).collect()
}

/// Every second one of the other devices and strategies, the others in the next `turn`; and with shader checks where a kernel
/// is new.
fn everywhere(gpu: &Gpu, spec: &NormSpec, shape: &[usize], dtype: DType, turn: usize) -> Vec<(String, Gpu, Strategy)> {
    let geometry = Geometry::new(spec, Mode::Training, shape).unwrap();
    let mut all: Vec<_> = variants(gpu).into_iter().skip(turn % 2).step_by(2).collect();
    for (variant, gpu, strategy) in all.clone() {
        let passes = [Pass::forward(true), Pass::backward(1, Gradient::Replaced, Gradient::Replaced)];
        let plans = passes.map(|pass| planned(&gpu, &geometry, spec, dtype, strategy, pass));
        let twin = checks::twin(&gpu, &plans.into_iter().flatten().collect::<Vec<_>>());
        all.extend(twin.map(|twin| (format!("{variant}, with checks"), twin, strategy)));
    }
    all
}

/// A layer's output and the gradients of a loss in the variants of this `turn`, unless a strategy cannot have them.
fn passes(
    gpu: &Gpu,
    spec: &NormSpec,
    state: &State,
    x: &ArrayD<f32>,
    dtype: DType,
    turn: usize,
) -> Vec<(String, Passes)> {
    let mut all = vec![];
    for (variant, gpu, strategy) in everywhere(gpu, spec, x.shape(), dtype, turn) {
        let mut norm = GpuNorm::new(&gpu, spec.clone()).unwrap();
        norm.load_state_dict(&compare::state_dict(state), "").unwrap();
        norm.set_strategy(strategy);
        let tensor = |array: &ArrayD<f32>| Tensor::from_array_as(&gpu, array, dtype).unwrap();
        let (y, saved) = match norm.forward_saved(&tensor(x)) {
            Err(Error::Strategy { .. } | Error::TooLarge { .. }) => continue,
            passed => passed.unwrap(),
        };
        let gradients = match norm.backward(&tensor(&x.mapv(|value| (value * 1e-38).sin() + 0.5)), &saved) {
            Err(Error::Strategy { .. } | Error::TooLarge { .. }) => vec![],
            gradients => {
                let read = |(what, found): (&'static str, Option<&Tensor>)| {
                    found.map(|found| (what, found.to_array().unwrap()))
                };
                gradients.unwrap().named().into_iter().filter_map(read).collect()
            }
        };
        let moved = norm.state_dict("").unwrap();
        let mean = moved.get("running_mean").cloned();
        all.push((variant, Passes { y: y.to_array().unwrap(), gradients, mean }));
    }
    all
}

struct Passes {
    y: ArrayD<f32>,
    gradients: Vec<(&'static str, ArrayD<f32>)>,
    mean: Option<ArrayD<f32>>,
}

#[test]
fn finite_in_finite_out_of_short_rows() {
    finite_in_finite_out(&[&[5, 4, 3], &[70, 6]]);
}

#[test]
fn finite_in_finite_out_of_planes() {
    finite_in_finite_out(&[&[3, 4, 35], &[2, 3, 260]]);
}

fn finite_in_finite_out(shapes: &[&[usize]]) {
    let (mut ran, mut turn) = (0, 0);
    for (name, gpu) in adapters::all() {
        for (number, &shape) in shapes.iter().enumerate() {
            for values in ["opposite", "largest", "one", "squares", "any exponent"] {
                // Every other layer of each set of values, in turn.
                turn += 1;
                for (index, spec) in specs(shape).into_iter().enumerate().filter(|(index, _)| index % 2 == turn % 2) {
                    let dtype = [DType::F32, DType::F32, DType::BF16][(index + turn) % 3];
                    // What bf16 rounds to infinity is not finite.
                    let x = huge(values, shape).mapv(|value| if dtype == DType::BF16 { value * 0.9 } else { value });
                    let state = data::state(&spec);
                    let wide = x.mapv(f64::from);
                    let Ok(expected) = reference::forward(&spec, Mode::Training, &mut state.clone(), &wide) else {
                        continue;
                    };
                    for (variant, found) in passes(gpu, &spec, &state, &x, dtype, index / 2 + number) {
                        let what = format!("{name}, {variant}, {spec:?}, {shape:?}, {dtype}, {values}");
                        ran += 1;
                        assert!(found.y.iter().all(|y| y.is_finite()), "{what}: {}", found.y);
                        assert!(found.mean.iter().flatten().all(|mean| mean.is_finite()), "{what}: {:?}", found.mean);
                        for (gradient, values) in &found.gradients {
                            assert!(values.iter().all(|value| value.is_finite()), "{what}: {gradient} {values}");
                        }
                        if matches!(spec, NormSpec::Switchable(_)) {
                            continue; // mixes what fits with what does not
                        }
                        let zero = ArrayD::zeros(vec![1]);
                        let bias = state.bias.as_ref().unwrap_or(&zero);
                        for (place, &y) in found.y.indexed_iter() {
                            // r² · M is 1 over the sum of squares.
                            let squares = expected.row_len as f64 / expected.inverse_std[&place].powi(2);
                            if squares > 1.1 * f64::from(f32::MAX) {
                                let channel = place[data::parameter_axis(&spec, shape.len())];
                                let dx = found.gradients.iter().find(|(of, _)| *of == "input");
                                assert!(dx.is_none_or(|(_, dx)| dx[&place] == 0.0), "{what}: {dx:?}");
                                let expected = bias[[channel % bias.len()]] as f32;
                                let rounded = if dtype == DType::BF16 { y } else { expected };
                                assert!(y == rounded && (y - expected).abs() <= 0.01 * expected.abs(), "{what}: {y}");
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(ran >= 350 * adapters::count(), "only {ran} passes ran");
}

#[test]
fn three_numbers() {
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, LayerNorm::new([3])).unwrap();
        let y = norm.forward(&arr2(&[[1.6e38f32, -1.6e38, 0.0]])).unwrap();
        assert_eq!(y, arr2(&[[0.0; 3]]), "{name}");
    }
}
