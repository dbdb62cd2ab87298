//! Forwards on every adapter: torch's fixtures, then norm × mode × shape × values × every kernel variant, against the
//! oracle.

use gpunorm::caps::Caps;
use gpunorm::geometry::Geometry;
use gpunorm::kernel::Team;
use gpunorm::plan::Route;
use gpunorm::{BatchNorm, DType, Error, Gpu, GpuNorm, LayerNorm, Mode, NormSpec, Plan, RmsNorm, Strategy};
use ndarray::{ArrayD, IxDyn};

use super::{adapters, compare, data, torch};

pub const MODES: [Mode; 2] = [Mode::Training, Mode::Evaluation];
/// Every rank, one element and odd, even and long runs.
pub const CHANNEL_SHAPES: [&[usize]; 7] =
    [&[3, 6], &[5, 4, 1], &[1, 6, 5], &[2, 6, 16], &[3, 4, 7, 7], &[2, 6, 3, 4, 5], &[1, 2, 257, 9]];
pub const TRAILING_SHAPES: [&[usize]; 7] =
    [&[7], &[3, 1], &[70, 64], &[2, 3, 33], &[4, 1031], &[5, 2, 512], &[3, 4096]];

/// Gathers what fails, so that one run shows all of it.
#[derive(Default)]
pub struct Failures {
    checks: usize,
    failed: Vec<String>,
}

impl Failures {
    pub fn check(&mut self, what: impl Fn() -> String, result: Result<(), String>) {
        self.checks += 1;
        if let Err(reason) = result {
            self.failed.push(format!("{}: {reason}", what()));
        }
    }

    /// Nothing failed, and at least this many checks ran per adapter.
    pub fn assert_none(self, least: usize) {
        let shown = self.failed.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.failed.is_empty(), "{} of {} failed:\n{shown}", self.failed.len(), self.checks);
        assert!(self.checks >= least * adapters::count(), "only {} checks ran", self.checks);
        println!("{} checks", self.checks);
    }
}

pub fn row_len(spec: &NormSpec, mode: Mode, shape: &[usize]) -> usize {
    Geometry::new(spec, mode, shape).map_or(1, |geometry| geometry.row_len)
}

#[test]
fn torch_fixtures() {
    let mut failures = Failures::default();
    for (name, gpu) in adapters::all() {
        for case in torch::cases() {
            let x = case.x.mapv(|value| value as f32);
            let strategy = Strategy::default();
            let result = compare::check(gpu, &case.spec, case.mode, &case.before, &x, DType::F32, strategy);
            failures.check(|| format!("{name}, {}", case.name), result);
        }
    }
    failures.assert_none(200);
}

/// So small that tensors are bound in slices, and that a row may not fit one.
const SMALL_BINDING: u64 = 4 << 10;

/// Whether a case of these tests may be refused on `gpu`: where a strategy is forced that it does not have, or bindings are
/// small.
pub fn may_be_refused(gpu: &Gpu, error: &Error) -> bool {
    match error {
        Error::Strategy { .. } => true,
        Error::TooLarge { .. } => gpu.caps().max_binding == SMALL_BINDING,
        _ => false,
    }
}

/// The strategies that can be forced, and the plans that a GPU, or a device of the default limits, would get.
pub fn variants(gpu: &Gpu) -> Vec<(String, Gpu, Strategy)> {
    let mut variants = vec![("auto".to_owned(), gpu.clone(), Strategy::default())];
    for team in Team::ALL {
        if team == Team::Subgroup && gpu.caps().subgroup.is_none() {
            continue;
        }
        for route in [Route::Fused, Route::Split] {
            let strategy = Strategy { route: Some(route), team: Some(team), lanes: None };
            variants.push((format!("{route:?} {team:?}"), gpu.clone(), strategy));
        }
    }
    let hardware = Caps { software: false, ..*gpu.caps() };
    variants.push(("as hardware".into(), gpu.with_caps(hardware), Strategy::default()));
    let webgpu = Caps { software: false, ..Caps::WEBGPU };
    variants.push(("as WebGPU's defaults".into(), gpu.with_caps(webgpu), Strategy::default()));
    let small = Caps { max_binding: SMALL_BINDING, max_workgroups: 7, ..*gpu.caps() };
    variants.push(("in slices".into(), gpu.with_caps(small), Strategy::default()));
    variants
}

/// Runs a case, unless the forced strategy or the small bindings rule it out by a typed error.
fn run(
    gpu: &Gpu,
    spec: &NormSpec,
    mode: Mode,
    x: &ArrayD<f32>,
    dtype: DType,
    strategy: Strategy,
) -> Option<Result<(), String>> {
    let geometry = Geometry::new(spec, mode, x.shape()).ok()?;
    match Plan::forward(spec, &geometry, dtype, gpu.caps(), strategy) {
        Err(error) if may_be_refused(gpu, &error) => None,
        _ => Some(compare::check(gpu, spec, mode, &data::state(spec), x, dtype, strategy)),
    }
}

fn every_variant(shapes: &[&[usize]], specs: impl Fn(&[usize]) -> Vec<NormSpec>, least: usize) {
    let mut failures = Failures::default();
    for (name, gpu) in adapters::all() {
        for (variant, gpu, strategy) in variants(gpu) {
            for &shape in shapes {
                for (index, spec) in specs(shape).iter().enumerate() {
                    for mode in MODES {
                        // Element types and values take turns: every pair meets some variant of every kernel.
                        let dtype = [DType::F32, DType::F16, DType::BF16, DType::F32][(index + shape.len()) % 4];
                        let values = ["normal", "mean 1e4", "first outlier"][index % 3];
                        let values = if dtype == DType::F32 { values } else { "normal" };
                        let x = data::values(values, shape, row_len(spec, mode, shape));
                        if let Some(result) = run(&gpu, spec, mode, &x, dtype, strategy) {
                            let what =
                                || format!("{name}, {variant}, {spec:?}, {mode:?}, {shape:?}, {dtype}, {values}");
                            failures.check(what, result);
                        }
                    }
                }
            }
        }
    }
    failures.assert_none(least);
}

#[test]
fn channel_norms_in_every_variant() {
    every_variant(&CHANNEL_SHAPES, |shape| data::channel_specs(shape[1]), 1300);
}

#[test]
fn trailing_norms_in_every_variant() {
    every_variant(&TRAILING_SHAPES, |shape| data::trailing_specs(shape, shape.len() - 1), 500);
}

#[test]
fn every_value_set() {
    let mut failures = Failures::default();
    let shape = [3, 6, 11, 12];
    for (name, gpu) in adapters::all() {
        let hardware = gpu.with_caps(Caps { software: false, ..*gpu.caps() });
        for (values, spec) in data::value_cases(&shape) {
            for (route, gpu) in
                [(None, gpu), (Some(Route::Split), gpu), (None, &hardware), (Some(Route::Split), &hardware)]
            {
                let strategy = Strategy { route, team: None, lanes: None };
                let x = data::values(values, &shape, row_len(&spec, Mode::Training, &shape));
                if let Some(result) = run(gpu, &spec, Mode::Training, &x, DType::F32, strategy) {
                    let software = gpu.caps().software;
                    failures.check(|| format!("{name}, {spec:?}, {values}, {route:?}, software {software}"), result);
                }
            }
        }
    }
    failures.assert_none(1500);
}

#[test]
fn long_rows_keep_their_digits() {
    let mut failures = Failures::default();
    let shapes: [&[usize]; 4] = [&[1, 1 << 20], &[2, 70_001], &[3, 65_536], &[1, 3, 300, 301]];
    for (name, gpu) in adapters::all() {
        for (variant, gpu, strategy) in variants(gpu) {
            for &shape in &shapes {
                for values in ["normal", "mean 1e6", "first outlier", "constant 100.1"] {
                    let spec: NormSpec = match shape.len() {
                        2 => LayerNorm::new(&shape[1..]).into(),
                        _ => BatchNorm::new(shape[1]).into(),
                    };
                    let x = data::values(values, shape, row_len(&spec, Mode::Training, shape));
                    if let Some(result) = run(&gpu, &spec, Mode::Training, &x, DType::F32, strategy) {
                        failures.check(|| format!("{name}, {variant}, {spec:?}, {shape:?}, {values}"), result);
                    }
                }
            }
        }
    }
    failures.assert_none(100);
}

/// More rows than a dimension of a dispatch has workgroups.
#[test]
fn many_rows() {
    let mut failures = Failures::default();
    for (name, gpu) in adapters::all() {
        for rows in [65_535, 65_536, 65_537] {
            for team in [Team::Workgroup, Team::Invocation] {
                let spec: NormSpec = LayerNorm::new([3]).into();
                let x = data::values("normal", &[rows, 3], 3);
                let strategy = Strategy { route: Some(Route::Fused), team: Some(team), lanes: None };
                if let Some(result) = run(gpu, &spec, Mode::Training, &x, DType::F32, strategy) {
                    failures.check(|| format!("{name}, {rows} rows, {team:?}"), result);
                }
            }
        }
        let spec: NormSpec = BatchNorm::new(1).into();
        let x = data::values("normal", &[880_801, 1, 1, 1], 880_801);
        let result = run(gpu, &spec, Mode::Training, &x, DType::F32, Strategy::default());
        failures.check(|| format!("{name}, 880801 samples"), result.expect("a plan"));
    }
    failures.assert_none(7);
}

/// A constant row is its bias to the bit, whatever the constant, the route and the team.
#[test]
fn constant_rows_are_their_bias() {
    for (name, gpu) in adapters::all() {
        for (variant, gpu, strategy) in variants(gpu) {
            for constant in ["constant 0.1", "constant 3333333.25", "constant 3e38"] {
                for spec in data::channel_specs(4).into_iter().chain(data::trailing_specs(&[3, 4, 35], 2)) {
                    if matches!(spec, NormSpec::Switchable(_) | NormSpec::Rms(_)) {
                        continue; // plain shares need not sum to 1, and RMS norm keeps the mean
                    }
                    let state = data::state(&spec);
                    let mut norm = GpuNorm::new(&gpu, spec.clone()).unwrap();
                    norm.load_state_dict(&compare::state_dict(&state), "").unwrap();
                    norm.set_strategy(strategy);
                    let x = data::values(constant, &[3, 4, 35], 1);
                    let y = match norm.forward(&x) {
                        Err(Error::Strategy { .. } | Error::TooLarge { .. }) => continue,
                        y => y.unwrap(),
                    };
                    let zero = ArrayD::zeros(vec![1]);
                    let bias = state.bias.as_ref().unwrap_or(&zero).mapv(|bias| bias as f32);
                    for (place, &value) in y.indexed_iter() {
                        let channel = if matches!(spec, NormSpec::Layer(_)) { place[2] } else { place[1] };
                        let expected = bias[[channel % bias.len()]];
                        assert_eq!(value, expected, "{name}, {variant}, {spec:?}, {constant}");
                    }
                }
            }
        }
    }
}

/// What torch does where f32 ends (semantics 1.8), as far as WGSL lets adapters agree: rows with a NaN or an infinity
/// are NaN, RMS norm's finite elements become 0 beside an infinity, variances that overflow give the bias.
#[test]
fn not_a_number() {
    for (name, gpu) in adapters::all() {
        for (variant, gpu, strategy) in variants(gpu) {
            let layer = |spec: NormSpec, x: &ArrayD<f32>| {
                let mut norm = GpuNorm::new(&gpu, spec).unwrap();
                norm.set_strategy(strategy);
                match norm.forward(x) {
                    Err(Error::Strategy { .. } | Error::TooLarge { .. }) => None,
                    y => Some(y.unwrap()),
                }
            };
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for place in [0, 36] {
                    let mut x = data::values("normal", &[3, 37], 37);
                    x[[1, place]] = bad;
                    let Some(y) = layer(LayerNorm::new([37]).into(), &x) else { continue };
                    for (index, value) in y.indexed_iter() {
                        assert_eq!(
                            value.is_nan(),
                            index[0] == 1,
                            "{name}, {variant}, {bad} at {place}: {value} at {index:?}"
                        );
                    }
                    if bad.is_infinite() {
                        let y = layer(RmsNorm::new([37]).into(), &x).unwrap();
                        for (index, &value) in y.indexed_iter() {
                            let expected =
                                index[0] != 1 || if index[1] == place { value.is_nan() } else { value == 0.0 };
                            assert!(expected, "{name}, {variant}, rms, {bad} at {place}: {value} at {index:?}");
                        }
                    }
                }
            }
            let x = ArrayD::from_shape_fn(IxDyn(&[2, 64]), |index| if index[1] % 2 == 0 { 1e20 } else { -1e20 });
            let Some(y) = layer(LayerNorm::new([64]).into(), &x) else { continue };
            assert!(y.iter().all(|&value| value == 0.0), "{name}, {variant}, 1e20");
            let x = data::values("mean 1e4", &[2, 16], 16);
            let y = layer(LayerNorm::new([16]).eps(-0.5).into(), &(x * 1e-5)).unwrap();
            assert!(y.iter().all(|value| value.is_nan()), "{name}, {variant}, a negative radicand");
        }
    }
}
