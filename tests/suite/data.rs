//! Inputs: the layers, shapes and adversarial values that every kernel has to be right on.

use gpunorm::reference::State;
use gpunorm::unstable::Geometry;
use gpunorm::{
    BatchNorm, DType, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, Variance, Weighting,
};
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

pub const MODES: [Mode; 2] = [Mode::Training, Mode::Evaluation];

/// The modes in which a layer is not the same.
pub fn modes(spec: &NormSpec, shape: &[usize]) -> impl Iterator<Item = Mode> {
    let [training, evaluation] = MODES.map(|mode| Geometry::new(spec, mode, shape).ok());
    [Some(Mode::Training), (training != evaluation).then_some(Mode::Evaluation)].into_iter().flatten()
}

/// Every rank, one element and odd, even and long runs.
pub const CHANNEL_SHAPES: [&[usize]; 8] =
    [&[3, 6], &[5, 4, 1], &[1, 6, 5], &[2, 6, 16], &[3, 4, 7, 7], &[2, 6, 3, 4, 5], &[1, 2, 257, 9], &[4, 6, 3, 7]];
pub const TRAILING_SHAPES: [&[usize]; 7] =
    [&[7], &[3, 1], &[70, 64], &[2, 3, 33], &[4, 1031], &[5, 2, 512], &[3, 4096]];

/// Lines and columns: of odd, even and whole units, few and many, one sample and several.
pub const LAYOUT_SHAPES: [&[usize]; 4] = [&[2, 40, 6], &[3, 21, 5], &[1, 33, 2, 16], &[2, 3, 2, 2, 4]];

/// A small generator, the same everywhere (Steele, Lea & Flood 2014, SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of the numbers below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        (self.uniform() * count as f64) as usize
    }

    /// Normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Values of the set called `name`, for an array of `shape` whose rows (statistics) have `row_len` elements.
pub fn values(name: &str, shape: &[usize], row_len: usize) -> ArrayD<f32> {
    let mut random = Random::new(shape.iter().fold(7, |seed, &size| seed * 31 + size as u64));
    let mut index = 0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        let place = index % row_len.max(1);
        index += 1;
        let value = match name {
            "normal" => random.normal(),
            "uniform" => 10.0 * random.uniform(),
            "mean 1e2" => 1e2 + random.normal(),
            "mean 1e4" => 1e4 + random.normal(),
            "mean 1e6" => 1e6 + random.normal(),
            "mean -1e6" => -1e6 + random.normal(),
            "two neighbours" => 4096.0 + f64::from(place as u32 % 2) * 2f64.powi(-11),
            "first outlier" if place == 0 => 1e4,
            "last outlier" if place + 1 == row_len => 1e4,
            "first outlier" | "last outlier" => random.normal(),
            "small 1e-18" => 1e-18 * random.normal(),
            "small 1e-25" => 1e-25 * random.normal(),
            "subnormal" => 1e-40 * random.normal(),
            "large 6e4" => [6e4, -6e4, 6e4, 3e4][place % 4],
            name => name.strip_prefix("constant ").expect("a name of this list").parse().expect("a number"),
        };
        value as f32
    })
}

/// The names that [`values`] knows, all finite and with finite f32 variances.
pub const VALUES: [&str; 21] = [
    "normal",
    "uniform",
    "mean 1e2",
    "mean 1e4",
    "mean 1e6",
    "mean -1e6",
    "two neighbours",
    "first outlier",
    "last outlier",
    "small 1e-18",
    "small 1e-25",
    "subnormal",
    "large 6e4",
    "constant 0",
    "constant 0.1",
    "constant 0.5",
    "constant 100",
    "constant 100.1",
    "constant 3333333.25",
    "constant 3.3e9",
    "constant 3e38",
];

/// Every norm with each of [`VALUES`], but for what f32 has no room for.
pub fn value_cases(shape: &[usize]) -> Vec<(&'static str, NormSpec)> {
    let mut specs = channel_specs(shape[1]);
    specs.extend(trailing_specs(shape, 2));
    specs.extend(layout_specs(shape).into_iter().step_by(3));
    // Squares of 3e38 are beyond f32, as they are for torch; so is a plain share of such a mean.
    let beyond = |spec: &NormSpec| format!("{spec:?}").contains("Plain") || matches!(spec, NormSpec::Rms(_));
    let cases = VALUES.into_iter().flat_map(|values| specs.iter().map(move |spec| (values, spec.clone())));
    cases.filter(|(values, spec)| *values != "constant 3e38" || !beyond(spec)).collect()
}

/// Random parameters, a negative and a zero weight among them, and running statistics.
pub fn state(spec: &NormSpec) -> State {
    let mut random = Random::new(11);
    let mut state = State::new(spec).unwrap();
    let mut fill = |array: &mut Option<ArrayD<f64>>, value: &mut dyn FnMut(&mut Random, usize) -> f64| {
        for (index, element) in array.iter_mut().flatten().enumerate() {
            *element = f64::from(value(&mut random, index) as f32);
        }
    };
    fill(&mut state.weight, &mut |random, index| if index == 1 { 0.0 } else { random.normal() });
    fill(&mut state.bias, &mut |random, _| random.normal());
    let plain = matches!(spec, NormSpec::Switchable(norm) if format!("{norm:?}").contains("Plain"));
    // Plain shares stay positive, so that the mixed variance does.
    fill(&mut state.mean_weight, &mut |random, _| if plain { 0.1 + random.uniform() } else { random.normal() });
    fill(&mut state.var_weight, &mut |random, _| if plain { 0.1 + random.uniform() } else { random.normal() });
    fill(&mut state.running_mean, &mut |random, _| random.normal());
    fill(&mut state.running_var, &mut |random, _| 0.5 + random.uniform());
    state
}

/// Every norm with its options, for inputs of `c` channels.
pub fn channel_specs(c: usize) -> Vec<NormSpec> {
    let sn = SwitchableNorm::new;
    vec![
        BatchNorm::new(c).into(),
        BatchNorm::new(c).bias(false).cumulative_average().into(),
        BatchNorm::new(c).affine(false).track_running_stats(false).into(),
        InstanceNorm::new(c).into(),
        InstanceNorm::new(c).affine(true).track_running_stats(true).momentum(0.3).into(),
        GroupNorm::new(1, c).into(),
        GroupNorm::new(groups(c), c).bias(false).into(),
        GroupNorm::new(c, c).affine(false).into(),
        sn(c).into(),
        sn(c).weighting(Weighting::Plain).into(),
        sn(c).variance(Variance::Reference).momentum(0.3).into(),
        sn(c).batch_statistics(false).into(),
        sn(c).instance_statistics(false).bias(false).into(),
        sn(c).instance_statistics(false).variance(Variance::Reference).into(),
    ]
}

/// Layer and RMS norm over the trailing dimensions of `shape` from `axis` on.
pub fn trailing_specs(shape: &[usize], axis: usize) -> Vec<NormSpec> {
    let normalized = &shape[axis..];
    vec![
        LayerNorm::new(normalized).into(),
        LayerNorm::new(normalized).bias(false).into(),
        LayerNorm::new(normalized).affine(false).into(),
        RmsNorm::new(normalized).into(),
        RmsNorm::new(normalized).affine(false).eps(1e-6).into(),
    ]
}

/// The norms of inputs whose channels come last, and of those over channels that come first.
pub fn layout_specs(shape: &[usize]) -> Vec<NormSpec> {
    let (first, last) = (shape[1], shape[shape.len() - 1]);
    let sn = || SwitchableNorm::new(last).channels_last();
    vec![
        BatchNorm::new(last).channels_last().into(),
        InstanceNorm::new(last).channels_last().into(),
        InstanceNorm::new(last).affine(true).track_running_stats(true).momentum(0.3).channels_last().into(),
        GroupNorm::new(1, last).channels_last().into(),
        GroupNorm::new(groups(last), last).bias(false).channels_last().into(),
        GroupNorm::new(groups(last), last).affine(false).channels_last().into(),
        sn().into(),
        sn().variance(Variance::Reference).momentum(0.3).into(),
        sn().batch_statistics(false).weighting(Weighting::Plain).into(),
        LayerNorm::new(first).channels_first().into(),
        LayerNorm::new(first).channels_first().bias(false).into(),
        LayerNorm::new(first).channels_first().affine(false).into(),
        RmsNorm::new(first).channels_first().into(),
        RmsNorm::new(first).channels_first().affine(false).eps(1e-6).into(),
    ]
}

/// The fewest groups of `c` channels but one, unless there are no others.
fn groups(c: usize) -> usize {
    (2..c).find(|groups| c.is_multiple_of(*groups)).unwrap_or(1)
}

/// The same layer of inputs whose channels are elsewhere: last, or of layer and RMS norm first.
pub fn exchanged(spec: NormSpec) -> NormSpec {
    match spec {
        NormSpec::Batch(norm) => norm.channels_last().into(),
        NormSpec::Instance(norm) => norm.channels_last().into(),
        NormSpec::Group(norm) => norm.channels_last().into(),
        NormSpec::Switchable(norm) => norm.channels_last().into(),
        NormSpec::Layer(norm) => norm.channels_first().into(),
        NormSpec::Rms(norm) => norm.channels_first().into(),
        _ => unimplemented!("{}", spec.name()),
    }
}

/// Which of so many dimensions the parameters of a layer go along, if it is one.
pub fn parameter_axis(spec: &NormSpec, rank: usize) -> usize {
    let trailing = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_)) && !spec.channels_first();
    if trailing || spec.channels_last() { rank - 1 } else { 1 }
}

/// The element type and the values of a layer of a list, for inputs of this rank: they take turns, so that every pair meets some
/// variant of every kernel.
pub fn turn(index: usize, shape: &[usize]) -> (DType, &'static str) {
    let dtype = [DType::F32, DType::F16, DType::BF16, DType::F32][(index + shape.len()) % 4];
    let values = ["normal", "mean 1e4", "first outlier"][index % 3];
    (dtype, if dtype == DType::F32 { values } else { "normal" })
}

/// The same values as a tensor of this type has them.
pub fn rounded(x: &ArrayD<f32>, dtype: DType) -> ArrayD<f32> {
    match dtype {
        DType::F32 => x.clone(),
        DType::F16 => x.mapv(|value| f16::from_f32(value).to_f32()),
        DType::BF16 => x.mapv(|value| bf16::from_f32(value).to_f32()),
        _ => unimplemented!("{dtype}"),
    }
}
