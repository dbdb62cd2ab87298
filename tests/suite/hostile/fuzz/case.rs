//! A random case, all of it from one number.

use gpunorm::unstable::{Caps, F16, Geometry, Gradient, Pass, Route, Strategy, SubgroupSizes, Team};
use gpunorm::{DType, Mode, Plan};
use half::{bf16, f16};
use ndarray::{ArrayView, IxDyn};

use super::super::super::data::Random;
use super::super::super::variants::VARYING;
use super::layer::{Kind, Layer};

#[derive(Debug, Clone)]
pub struct Case {
    pub layer: Layer,
    /// `[N, C, *]` or `[*, normalized]`, wherever the input has its channels.
    pub shape: Vec<usize>,
    pub mode: Mode,
    pub dtype: DType,
    pub values: &'static str,
    pub gradients: &'static str,
    /// Which of an adapter's devices.
    pub device: usize,
    /// No more than these of the device's numbers.
    pub ceiling: Option<Caps>,
    pub strategy: Strategy,
    /// Whether all tensors lie at offsets in buffers of the app's, or are the crate's own.
    pub wrapped: bool,
    pub accumulate: bool,
    pub seed: u64,
}

/// What a layer has, as f32 holds it.
#[derive(Debug, Clone)]
pub struct Arrays {
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
    pub mean_weight: Vec<f64>,
    pub var_weight: Vec<f64>,
    pub running_mean: Vec<f64>,
    pub running_var: Vec<f64>,
    pub batches: f64,
}

impl Arrays {
    pub fn weight(&self, at: usize) -> f64 {
        if self.weight.is_empty() { 1.0 } else { self.weight[at] }
    }

    pub fn bias(&self, at: usize) -> f64 {
        if self.bias.is_empty() { 0.0 } else { self.bias[at] }
    }
}

/// At the edges of units, subgroups, workgroups and teams, and beside them.
const SIZES: [usize; 28] = [
    1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 31, 32, 33, 61, 64, 67, 127, 128, 131, 251, 256, 257, 509, 512, 1021, 1024, 1031,
    2053,
];
/// The most elements of a case.
const MOST: usize = 60_000;

pub fn pick<T: Clone>(random: &mut Random, from: &[T]) -> T {
    from[(random.uniform() * from.len() as f64) as usize].clone()
}

/// True once in `times`.
pub fn once_in(random: &mut Random, times: usize) -> bool {
    random.uniform() * (times as f64) < 1.0
}

impl Case {
    pub fn new(seed: u64) -> Case {
        let mut random = Random::new(seed);
        loop {
            let case = Case::any(&mut random, seed);
            let tiny_and_exact = case.layer.eps == 0.0 && matches!(case.values, "tiny" | "large");
            if case.layer.takes(&case.shape, case.mode) && !tiny_and_exact {
                return case;
            }
        }
    }

    fn any(random: &mut Random, seed: u64) -> Case {
        let kinds =
            [Kind::Batch, Kind::Instance, Kind::Group, Kind::Layer, Kind::Rms, Kind::Switchable, Kind::Switchable];
        let kind = pick(random, &kinds);
        let shape = shape(random);
        let trailing = 1 + (random.uniform() * shape.len() as f64) as usize;
        let unbatched = once_in(random, 4);
        let channels = match kind {
            Kind::Layer | Kind::Rms => shape[shape.len() - trailing..].iter().product(),
            Kind::Instance if unbatched || shape.len() == 2 => shape[0],
            _ => shape[1],
        };
        let divisors: Vec<usize> = (1..=channels).filter(|groups| channels % groups == 0).collect();
        let mut half = || once_in(random, 2);
        let [affine, bias, track, plain, reference] = [(); 5].map(|()| half());
        let [no_affine, no_instance, no_batch] = [(); 3].map(|()| half() && half());
        let layer = Layer {
            kind,
            channels,
            groups: if divisors.is_empty() { 1 } else { pick(random, &divisors) },
            trailing,
            eps: pick(random, &[1e-5, 1e-5, 1e-3, 1e-12, 1.0, 0.0]),
            affine: affine || !no_affine,
            bias,
            track,
            momentum: pick(random, &[Some(0.1), Some(0.3), Some(1.0), Some(0.0), Some(-1.2), None]),
            unbatched,
            plain,
            reference,
            instance: !no_instance,
            batch: !no_batch,
            exchanged: once_in(random, 3) && (trailing == 1 || !matches!(kind, Kind::Layer | Kind::Rms)),
        };
        let dtype = pick(random, &[DType::F32, DType::F32, DType::F16, DType::BF16]);
        let values: &[&str] = if dtype == DType::F16 { &VALUES[..8] } else { &VALUES };
        let team = pick(random, &[&[None][..], &Team::ALL.map(Some)].concat());
        // Switchable norm has no fused route.
        let routes = [None, Some(Route::Split), Some(Route::Fused)];
        let strategy = Strategy {
            route: pick(random, if kind == Kind::Switchable { &routes[..2] } else { &routes }),
            team,
            lanes: pick(random, &[None, None, Some(1), Some(3), Some(16), Some(200), Some(5000)]),
        };
        Case {
            layer,
            shape,
            mode: pick(random, &[Mode::Training, Mode::Training, Mode::Evaluation]),
            dtype,
            values: pick(random, values),
            gradients: pick(random, &["normal", "normal", "uniform", "constant", "outlier"]),
            device: pick(random, &[0, 0, 0, 0, 1, 1, 2]),
            ceiling: once_in(random, 2).then(|| ceiling(random)),
            strategy: if once_in(random, 3) { strategy } else { Strategy::default() },
            wrapped: once_in(random, 2),
            accumulate: once_in(random, 2),
            seed,
        }
    }

    /// Whether nothing but its size can rule it out: the device is as it is, and chooses.
    pub fn is_plain(&self) -> bool {
        self.device < 2 && self.ceiling.is_none() && self.strategy == Strategy::default()
    }

    /// Whether a forward moves running statistics.
    pub fn moves(&self) -> bool {
        self.mode == Mode::Training && self.layer.tracks()
    }

    /// A device of `caps` with no more than the case allows.
    pub fn caps(&self, caps: &Caps) -> Caps {
        let Some(most) = &self.ceiling else { return *caps };
        Caps {
            max_workgroup: caps.max_workgroup.min(most.max_workgroup),
            max_workgroups: caps.max_workgroups.min(most.max_workgroups),
            max_binding: caps.max_binding.min(most.max_binding),
            max_buffer: caps.max_buffer.min(most.max_buffer),
            alignment: caps.alignment.max(most.alignment),
            max_storage_buffers: caps.max_storage_buffers.min(most.max_storage_buffers),
            workgroup_storage: caps.workgroup_storage.min(most.workgroup_storage),
            subgroup: caps
                .subgroup
                .zip(most.subgroup)
                .map(|(own, most)| SubgroupSizes { min: own.min.min(most.min), max: own.max.max(most.max) }),
            f16: caps.f16.min(most.f16),
            software: caps.software && most.software,
        }
    }

    /// What runs on such a device.
    pub fn plans(&self, caps: &Caps) -> Vec<Plan> {
        let spec = self.layer.spec(&self.shape);
        let Ok(geometry) = Geometry::new(&spec, self.mode, &self.given_shape()) else { return vec![] };
        let adds = self.wrapped && self.accumulate;
        let gradient = if adds { Gradient::Added } else { Gradient::Replaced };
        let backward = Pass::backward(1, gradient, gradient);
        let passes = [Pass::forward(false), Pass::forward(true), backward];
        let plan = |pass| Plan::new(&spec, &geometry, self.dtype, caps, self.strategy, pass).ok();
        passes.into_iter().filter_map(plan).collect()
    }

    /// The shape of the input that the layer is given.
    pub fn given_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if self.layer.exchanged {
            let [from, to] = self.exchange();
            let channels = shape.remove(from);
            shape.insert(to, channels);
        }
        shape
    }

    /// Where the channels are, and where the layer has them.
    fn exchange(&self) -> [usize; 2] {
        let last = self.shape.len() - 1;
        match self.layer.kind {
            Kind::Layer | Kind::Rms => [last, 1.min(last)],
            Kind::Instance if self.layer.unbatched || last == 1 => [0, last],
            _ => [1, last],
        }
    }

    /// A tensor's values as the layer is given them.
    pub fn given<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.moved(&self.shape, values, self.exchange())
    }

    /// What the layer gives, as it is computed here.
    pub fn taken(&self, values: &[f32]) -> Vec<f32> {
        let [from, to] = self.exchange();
        self.moved(&self.given_shape(), values, [to, from])
    }

    fn moved<T: Copy>(&self, shape: &[usize], values: &[T], [from, to]: [usize; 2]) -> Vec<T> {
        if !self.layer.exchanged {
            return values.to_vec();
        }
        let array = ArrayView::from_shape(IxDyn(shape), values).unwrap();
        let mut axes: Vec<usize> = (0..shape.len()).collect();
        let moved = axes.remove(from);
        axes.insert(to, moved);
        array.permuted_axes(axes).iter().copied().collect()
    }

    /// The input and dy, rounded to the element type.
    pub fn tensors(&self) -> [Vec<f32>; 2] {
        let mut random = Random::new(!self.seed);
        let (len, [_, _, s]) = (self.shape.iter().product(), self.layer.view(&self.shape));
        [self.values, self.gradients].map(|name| {
            let constant = 10f64.powi(3 - (random.uniform() * 6.0) as i32) * random.normal();
            (0..len).map(|i| rounded(value(&mut random, name, i, s, constant), self.dtype)).collect()
        })
    }

    pub fn arrays(&self) -> Arrays {
        let mut random = Random::new(self.seed.rotate_left(32));
        let Layer { channels, plain, .. } = self.layer;
        let mut array = |len: usize, value: &dyn Fn(&mut Random) -> f64| -> Vec<f64> {
            (0..len).map(|_| f64::from(value(&mut random) as f32)).collect()
        };
        let only = |has: bool| if has { channels } else { 0 };
        let tracked = only(self.layer.tracks());
        // Plain shares stay positive, so that the mixed variance does.
        let share = |random: &mut Random| if plain { 0.1 + random.uniform() } else { 2.0 * random.normal() };
        Arrays {
            weight: array(only(self.layer.has_weight()), &|r| if once_in(r, 9) { 0.0 } else { r.normal() }),
            bias: array(only(self.layer.has_bias()), &Random::normal),
            mean_weight: array(self.layer.mixed(), &share),
            var_weight: array(self.layer.mixed(), &share),
            running_mean: array(tracked, &Random::normal),
            running_var: array(tracked, &|r| 0.5 + r.uniform()),
            batches: (random.uniform() * 5.0).floor(),
        }
    }
}

/// Sizes of which few or none are large, many small rows, or nothing at all.
fn shape(random: &mut Random) -> Vec<usize> {
    let rank = pick(random, &[2, 3, 3, 4, 4, 5]);
    let mut shape = vec![1; rank];
    if once_in(random, 6) {
        let many = 1000 + (random.uniform() * 4000.0) as usize;
        shape[0] = many;
        for size in &mut shape[1..] {
            *size = pick(random, &[1, 1, 2, 3, 4, 5]);
        }
        if once_in(random, 3) {
            shape.swap(0, 1);
        }
    } else {
        let mut left = MOST;
        let first = (random.uniform() * rank as f64) as usize;
        for k in 0..rank {
            let sizes: Vec<usize> =
                SIZES.into_iter().filter(|&size| size <= left.min(if k < 2 { 3000 } else { 17 })).collect();
            let size = pick(random, &sizes);
            shape[(first + k) % rank] = size;
            left /= size;
        }
    }
    if once_in(random, 40) {
        let place = (random.uniform() * rank as f64) as usize;
        shape[place] = 0;
    }
    shape
}

/// Two numbers that are lower; more of them together rule out most layers.
fn ceiling(random: &mut Random) -> Caps {
    let mut caps = Caps {
        max_workgroup: u32::MAX,
        max_workgroups: u32::MAX,
        max_binding: u64::MAX,
        max_buffer: u64::MAX,
        alignment: 4,
        max_storage_buffers: u32::MAX,
        workgroup_storage: u32::MAX,
        subgroup: Some(SubgroupSizes { min: u32::MAX, max: 0 }),
        f16: F16::Native,
        software: true,
    };
    for _ in 0..2 {
        match (random.uniform() * 11.0) as usize {
            0 => caps.max_workgroup = pick(random, &[256, 128, 64, 32, 16, 1]),
            1 => caps.max_workgroups = pick(random, &[65535, 100, 7, 2]),
            2 => caps.max_binding = pick(random, &[1 << 16, 1 << 14, 1 << 12, 1 << 10]),
            3 => caps.max_buffer = pick(random, &[1 << 18, 1 << 14]),
            4 => caps.alignment = pick(random, &[32, 64, 256]),
            5 => caps.max_storage_buffers = pick(random, &[7, 6, 5]),
            6 => caps.workgroup_storage = pick(random, &[16 << 10, 4 << 10, 1 << 10, 256]),
            7 => caps.subgroup = None,
            9 => caps.f16 = pick(random, &F16::ALL),
            8 => caps.subgroup = Some(pick(random, &[VARYING, SubgroupSizes { min: 2, max: 8 }])),
            _ => caps.software = false,
        }
    }
    caps
}

/// The first eight fit f16.
const VALUES: [&str; 12] = [
    "normal",
    "normal",
    "uniform",
    "constant",
    "mean 1e4",
    "outlier",
    "apart",
    "signs",
    "mean -3e5",
    "mean 9e5",
    "tiny",
    "large",
];

fn value(random: &mut Random, name: &str, i: usize, spatial: usize, constant: f64) -> f64 {
    match name {
        "normal" => random.normal(),
        "uniform" => 10.0 * random.uniform(),
        "constant" => constant,
        "mean 1e4" => 1e4 + random.normal(),
        "outlier" if once_in(random, 50) || i == 0 => 1e4 * random.normal(),
        "outlier" => random.normal(),
        // Instances far from one another.
        "apart" => random.normal() + 100.0 * (i / spatial.max(1) % 7) as f64,
        "signs" => [1.0, -1.0][i % 2],
        "mean -3e5" => -3e5 + random.normal(),
        "mean 9e5" => 9e5 + random.normal(),
        "tiny" => 1e-18 * random.normal(),
        "large" => 1e15 * random.normal(),
        name => panic!("no such values: {name}"),
    }
}

pub fn rounded(value: f64, dtype: DType) -> f32 {
    match dtype {
        DType::F32 => value as f32,
        DType::F16 => f16::from_f32(value as f32).to_f32(),
        DType::BF16 => bf16::from_f32(value as f32).to_f32(),
        _ => unimplemented!("{dtype}"),
    }
}
