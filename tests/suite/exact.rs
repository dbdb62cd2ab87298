//! Error-free transformations hold on every driver, whatever its compiler thinks of `(a + b) - a`: the pieces alone, to the
//! bit, and in layers that would be far off without them.

use gpunorm::reference::{self, State};
use gpunorm::{BatchNorm, DType, Error, Gpu, GpuNorm, LayerNorm, Mode, NormSpec, SwitchableNorm, Tensor};
use gpunorm::{Weighting, reference::Forward};
use ndarray::{ArrayD, IxDyn, arr1, arr2};

use super::compute::Compute;
use super::{adapters, compare, data, variants};

macro_rules! piece {
    ($file:literal) => {
        include_str!(concat!("../../shaders/part/", $file, ".wgsl"))
    };
}

/// What a unit may be: a scalar, a vector, two of f16, the matrix of eight bf16.
const ELEMENTS: [(&str, [&str; 3]); 4] = [
    ("32x1", ["", piece!("element/32x1"), piece!("values/vector")]),
    ("32x4", ["", piece!("element/32x4"), piece!("values/vector")]),
    ("16x2", [concat!(piece!("decode/f16"), piece!("encode/f16")), piece!("element/16x2"), piece!("values/vector")]),
    ("16x8", [concat!(piece!("decode/bf16"), piece!("encode/bf16")), piece!("element/16x8"), piece!("values/matrix")]),
];

/// Four values for each row of four that `exact.wgsl` is given, times four.
fn run(gpu: &Gpu, element: [&str; 3], given: &[[f32; 4]]) -> Vec<[f32; 4]> {
    let shared = [
        piece!("common/params"),
        piece!("common/opaque"),
        piece!("common/two_sum"),
        piece!("common/moments"),
        piece!("sums_buffer/write"),
    ];
    let last = [piece!("common/deviation"), piece!("common/column_sums"), include_str!("exact.wgsl")];
    let source = [shared.concat(), element.concat(), last.concat()].concat();
    let job = Compute { source, entry: "exact", invocations: given.len(), has_params: true };
    let found = job.run(gpu, bytemuck::cast_slice(given), 4 * size_of_val(given));
    bytemuck::pod_collect_to_vec(&found)
}

/// `a + b` as f32 rounds it, and what that takes, of which f64 loses nothing where `a` is the larger.
fn exact_sum(a: f32, b: f32) -> [f32; 2] {
    let sum = a + b;
    let rest = ((f64::from(a) - f64::from(sum)) + f64::from(b)) as f32;
    [sum, rest]
}

#[test]
fn transformations_are_exact_to_the_bit() {
    let mut random = data::Random::new(5);
    let mut number = |most: i32| {
        let exponent = (random.uniform() * f64::from(2 * most + 1)).floor() as i32 - most;
        (random.normal() * f64::from(exponent).exp2()) as f32
    };
    for (name, gpu) in adapters::all() {
        for (element, pieces) in ELEMENTS {
            // The larger first, as a shift is; the means next to nothing beside the shifts.
            let given: Vec<[f32; 4]> = (0..5000)
                .map(|_| {
                    let (a, b, c, d) = (number(12), number(12), number(3), number(3));
                    let (a, b) = if a.abs() < b.abs() { (b, a) } else { (a, b) };
                    [a, b, c * a * 2f32.powi(-26), d * b * 2f32.powi(-26)]
                })
                .collect();
            let found = run(gpu, pieces, &given);
            for (&[a, b, c, d], found) in given.iter().zip(found.chunks_exact(4)) {
                let what = format!("{name}, {element}, {a:e} {b:e} {c:e} {d:e}");
                let [sum, rest] = exact_sum(a, b);
                assert_eq!(found[0], [sum, rest, sum, rest], "two_sum and moved, {what}");
                assert_eq!(found[1], [sum, rest, sum, rest], "columns, {what}");
                assert_eq!(found[2][3], (a - b) - c, "deviation, {what}");
                assert_eq!(found[3][..2], [a, a], "opaque, {what}");
                // The mean of two sets of one: three roundings of half their distance.
                let wide = f64::from;
                let mean = 0.5 * (wide(a) + wide(c) + wide(b) + wide(d));
                let off = (wide(found[2][0]) + wide(found[2][1]) - mean).abs();
                let size = 1.5 * 2f64.powi(-24) * wide((a - b).abs()) + 2f64.powi(-47) * wide(a.abs());
                assert!(off <= size, "merge, {what}: off by {off:e}, {size:e} allowed");
            }
        }
    }
}

/// A layer under every strategy that takes it.
fn outputs(gpu: &Gpu, spec: &NormSpec, x: &ArrayD<f32>, check: impl Fn(&str, &ArrayD<f32>)) {
    let mut ran = 0;
    for (variant, gpu, strategy) in variants::variants(gpu) {
        let mut norm = GpuNorm::new(&gpu, spec.clone()).unwrap();
        norm.set_strategy(strategy);
        match norm.forward(x) {
            Err(Error::Strategy { .. } | Error::TooLarge { .. }) => continue,
            y => check(&variant, &y.unwrap()),
        }
        ran += 1;
    }
    assert!(ran >= 5, "only {ran} variants");
}

#[test]
fn gradients_of_a_bias_are_compensated() {
    let x = arr2(&[[0f32], [1.0], [2.0], [3.0]]).into_dyn();
    let dy = arr2(&[[1e8f32], [0.3], [0.3], [-1e8]]).into_dyn();
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, BatchNorm::new(1)).unwrap();
        let tensor = |array| Tensor::from_array(gpu, array).unwrap();
        let (_, saved) = norm.forward_saved(&tensor(&x)).unwrap();
        let gradients = norm.backward(&tensor(&dy), &saved).unwrap();
        let bias = gradients.bias.unwrap().to_array().unwrap();
        assert_eq!(bias, arr1(&[0.6f32]).into_dyn(), "{name}");
    }
}

/// Thirds do not sum to 1 in f32, which a large mean shows.
#[test]
fn plain_shares_miss_1_by_what_they_miss_it() {
    for mean in [1e5, 9e5] {
        let spec: NormSpec = SwitchableNorm::new(1).weighting(Weighting::Plain).into();
        let x = ArrayD::from_shape_fn(IxDyn(&[2, 1, 2]), |at| mean + if at[2] == 0 { 1.0 } else { -1.0 });
        let third = ArrayD::from_elem(vec![3], f64::from(1f32 / 3.0));
        let mut state = State::new(&spec).unwrap();
        (state.mean_weight, state.var_weight) = (Some(third.clone()), Some(third));
        let expected = oracle(&spec, &state, &x);
        for (name, gpu) in adapters::all() {
            outputs(gpu, &spec, &x, |variant, y| {
                compare::compare(y, &expected.output, &expected.tolerance(DType::F32))
                    .unwrap_or_else(|reason| panic!("{name}, {variant}, mean {mean}: {reason}"));
            });
        }
    }
}

fn oracle(spec: &NormSpec, state: &State, x: &ArrayD<f32>) -> Forward {
    reference::forward(spec, Mode::Training, &mut state.clone(), &x.mapv(f64::from)).unwrap()
}

/// Means of 9e5 standard deviations, over rows, columns and pieces.
#[test]
fn large_means_cost_no_digits() {
    let cases: [(NormSpec, &[usize]); 5] = [
        (LayerNorm::new([1000]).into(), &[3, 1000]),
        (BatchNorm::new(6).into(), &[700, 6]),
        (BatchNorm::new(3).into(), &[5, 3, 31, 31]),
        (SwitchableNorm::new(3).into(), &[5, 3, 20, 20]),
        (SwitchableNorm::new(6).weighting(Weighting::Plain).into(), &[5, 6, 7, 7]),
    ];
    for (spec, shape) in cases {
        let x = data::values("normal", shape, 1).mapv(|value| (9e5 + f64::from(value)) as f32);
        let mut state = State::new(&spec).unwrap();
        for shares in [&mut state.mean_weight, &mut state.var_weight].into_iter().flatten() {
            shares.mapv_inplace(|w| f64::from(w as f32));
        }
        let expected = oracle(&spec, &state, &x);
        for (name, gpu) in adapters::all() {
            outputs(gpu, &spec, &x, |variant, y| {
                compare::compare(y, &expected.output, &expected.tolerance(DType::F32))
                    .unwrap_or_else(|reason| panic!("{name}, {variant}, {spec:?}: {reason}"));
            });
        }
    }
}
