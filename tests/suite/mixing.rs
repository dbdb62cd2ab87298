//! Switchable norm is within its bound over small random cases, instances of one element among them, and the bound is not
//! much wider than it has to be. The outputs are computed here once more, in f64 and in the simplest way, not by the oracle.

use gpunorm::reference::{self, State};
use gpunorm::unstable::Strategy;
use gpunorm::{DType, GpuNorm, Mode, NormSpec, SwitchableNorm, Weighting};
use ndarray::{Array3, ArrayD, arr1};

use super::data::Random;
use super::failures::Failures;
use super::{adapters, case, compare, settings};

struct Case {
    norm: SwitchableNorm,
    plain: bool,
    on: [bool; 3],
    state: State,
    x: Array3<f32>,
}

fn case(random: &mut Random) -> Case {
    let mut below = |n: usize| (random.uniform() * n as f64) as usize;
    let (samples, channels, spatial) = (1 + below(4), 1 + below(5), [1, 1, 1, 2, 3, 8][below(6)]);
    let on = [[true; 3], [true, true, false], [false, true, true]][below(3)];
    let plain = below(2) == 1;
    let weighting = if plain { Weighting::Plain } else { Weighting::Softmax };
    let on = if spatial == 1 && below(2) == 1 { [true; 3] } else { on };
    let norm = SwitchableNorm::new(channels)
        .weighting(weighting)
        .instance_statistics(on[0])
        .batch_statistics(on[2])
        .momentum(0.5);
    let mut state = State::new(&norm.clone().into()).unwrap();
    let mut fill = |array: &mut Option<ArrayD<f64>>, value: &mut dyn FnMut(&mut Random) -> f64| {
        array.iter_mut().flatten().for_each(|element| *element = f64::from(value(random) as f32));
    };
    fill(&mut state.weight, &mut Random::normal);
    fill(&mut state.bias, &mut |random| 0.1 * random.normal());
    // Shares of means of either sign; of variances they are positive, or their sum would not be.
    fill(&mut state.mean_weight, &mut |random| if plain { random.normal() } else { 8.0 * random.normal() });
    fill(&mut state.var_weight, &mut |random| if plain { random.uniform() } else { 8.0 * random.normal() });
    // Instances of sizes and places of their own.
    let (size, place) = (3.0 * random.normal(), 4.0 * random.uniform());
    let mut x = Array3::zeros((samples, channels, spatial));
    for mut instance in x.rows_mut() {
        let (spread, center) = ((size + random.normal()).exp(), 10f64.powf(place) * random.normal());
        instance.mapv_inplace(|_: f32| (center + spread * random.normal()) as f32);
    }
    Case { norm, plain, on, state, x }
}

/// A channel at its sample's mean, which its x̂ and the variance that is mixed know nothing of.
fn centered(random: &mut Random) -> Case {
    let norm = SwitchableNorm::new(5);
    let mut state = State::new(&norm.clone().into()).unwrap();
    state.mean_weight = Some(arr1(&[-20.0, 0.0, -20.0]).into_dyn());
    state.var_weight = Some(arr1(&[20.0, 0.0, 0.0]).into_dyn());
    let mut x = Array3::from_shape_simple_fn((1, 5, 1), || (1000.0 * random.normal()) as f32);
    x[[0, 4, 0]] = (0..4).map(|c| x[[0, c, 0]]).sum::<f32>() / 4.0;
    Case { norm, plain: false, on: [true; 3], state, x }
}

/// Means and variances over what shares a sample, a channel or both.
fn expected(case: &Case) -> ArrayD<f64> {
    let x = case.x.mapv(f64::from);
    let shares = |weights: &Option<ArrayD<f64>>| {
        let mut given = weights.iter().flatten();
        let raw = case.on.map(|on| if on { *given.next().unwrap() } else { f64::NEG_INFINITY });
        let most = raw.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = raw.iter().map(|w| (w - most).exp()).sum();
        raw.map(|w| match (w == f64::NEG_INFINITY, case.plain) {
            (true, _) => 0.0,
            (false, true) => w,
            (false, false) => (w - most).exp() / total,
        })
    };
    let (w, u) = (shares(&case.state.mean_weight), shares(&case.state.var_weight));
    let statistics = |k: usize, n: usize, c: usize| {
        let shares = |i: usize, j: usize| [i == n && j == c, i == n, j == c][k];
        let set: Vec<f64> = x.indexed_iter().filter(|((i, j, _), _)| shares(*i, *j)).map(|(_, &value)| value).collect();
        let mean = set.iter().sum::<f64>() / set.len() as f64;
        (mean, set.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / set.len() as f64)
    };
    let (weight, bias) = (case.state.weight.as_ref().unwrap(), case.state.bias.as_ref().unwrap());
    let y = Array3::from_shape_fn(x.dim(), |(n, c, s)| {
        let (mut mean, mut var) = (0.0, 0.0);
        for k in 0..3 {
            let of_k = statistics(k, n, c);
            (mean, var) = (mean + w[k] * of_k.0, var + u[k] * of_k.1);
        }
        weight[[c]] * (x[[n, c, s]] - mean) / (var + f64::from(1e-5f32)).sqrt() + bias[[c]]
    });
    y.into_dyn()
}

#[test]
fn outputs_are_within_a_bound_that_is_tight() {
    let mut random = Random::new(settings::seed());
    let cases: Vec<(Case, ArrayD<f64>)> = (0..settings::count(1500))
        .map(|_| {
            let case = case(&mut random);
            let expected = expected(&case);
            (case, expected)
        })
        .collect();
    for (name, gpu) in adapters::all() {
        let mut worst = [0f64; 2];
        for (case, expected) in &cases {
            let spec: NormSpec = case.norm.clone().into();
            let mut norm = GpuNorm::new(gpu, spec.clone()).unwrap();
            norm.load_state_dict(&compare::state_dict(&case.state), "").unwrap();
            let y = norm.forward(&case.x).unwrap();
            let x = case.x.mapv(f64::from).into_dyn();
            let oracle = reference::forward(&spec, Mode::Training, &mut case.state.clone(), &x).unwrap();
            let flat = usize::from(case.x.len_of(ndarray::Axis(2)) == 1);
            let tolerances = oracle.tolerance(DType::F32);
            for (((&y, expected), oracle), tolerance) in y.iter().zip(expected).zip(&oracle.output).zip(&tolerances) {
                let ratio = |of: f64| if f64::from(y) == of { 0.0 } else { (f64::from(y) - of).abs() / tolerance };
                assert!(
                    ratio(*expected).max(ratio(*oracle)) < 1.0,
                    "{name}, {spec:?}, {:?}: {y} for {expected}",
                    case.x.dim()
                );
                worst[flat] = worst[flat].max(ratio(*expected));
            }
        }
        println!("{name}: at worst {worst:?} of the tolerance");
        assert!(worst.iter().all(|&worst| worst > 0.05), "{name}: a bound so wide shows nothing: {worst:?}");
    }
}

/// The gradients too, of the weight among them, whose x̂ is off by what rounding takes from each mean.
#[test]
fn gradients_are_within_their_bounds() {
    let mut random = Random::new(settings::seed());
    let mut failures = Failures::default();
    let count = settings::count(500);
    for i in 0..count {
        let Case { norm, state, x, .. } = if i % 5 == 0 { centered(&mut random) } else { case(&mut random) };
        let dy = x.mapv(|_| random.normal() as f32).into_dyn();
        let case =
            case::Backward::new(&norm.clone().into(), Mode::Training, state, &x.clone().into_dyn(), &dy, DType::F32);
        for (name, gpu) in adapters::all() {
            let result = case.check(gpu, Strategy::default());
            failures.check(|| format!("{name}, {norm:?}, {:?}", x.dim()), result);
        }
    }
    failures.assert_none(count as usize);
}
