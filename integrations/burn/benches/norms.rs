//! burn's layers and these in one run, on the shapes of gpunorm's `benches/peers`: `norms [--json FILE] [--runs N] [WORD ...]`.
//!
//! A *forward* is of a layer on a device without autodiff (training batch and switchable norm are on burn's, which train on no other). A *backward*
//! is `backward()` of the sum of the output times a tensor, its forward before. A *step* is both and gradient descent on the layer's
//! parameters, as in a net that is trained. Times are from the call to the end of `sync`, the medians of runs in which burn's layers and
//! these take turns, after two that warm up: compilation and autotune are left out, what recording and fusion cost is in. First, results are
//! compared with each other.

use std::error::Error;
use std::time::Instant;

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use burn_optim::{GradientsParams, SgdConfig};
use serde_json::{Value, json};

struct Case {
    name: &'static str,
    norm: &'static str,
    shape: &'static [usize],
    groups: usize,
    training: bool,
}

/// Those of gpunorm's benches/harness/cases.rs that its peers are measured on.
fn cases() -> Vec<Case> {
    let case = |name, norm, shape| Case { name, norm, shape, groups: 32, training: true };
    vec![
        case("LayerNorm", "layer", &[16_384, 1024]),
        case("RmsNorm", "rms", &[16_384, 1024]),
        case("LayerNorm", "layer", &[4096, 4096]),
        case("RmsNorm", "rms", &[4096, 4096]),
        case("LayerNorm, short rows", "layer", &[262_144, 64]),
        case("GroupNorm(32)", "group", &[16, 64, 112, 112]),
        case("InstanceNorm", "instance", &[16, 64, 112, 112]),
        case("GroupNorm(32), one image", "group", &[1, 512, 64, 64]),
        case("InstanceNorm, one image", "instance", &[1, 64, 512, 512]),
        case("BatchNorm", "batch", &[32, 64, 112, 112]),
        case("BatchNorm, columns", "batch", &[65_536, 256]),
        Case { training: false, ..case("BatchNorm, evaluation", "batch", &[32, 64, 112, 112]) },
        case("SwitchableNorm", "switchable", &[16, 64, 112, 112]),
        case("BatchNorm, small", "batch", &[8, 64, 7, 7]),
        case("BatchNorm, small", "batch", &[32, 512, 7, 7]),
        case("ResNet-50 BatchNorm", "batch", &[32, 256, 56, 56]),
        case("ResNet-50 BatchNorm", "batch", &[32, 1024, 14, 14]),
        case("ResNet-50 BatchNorm", "batch", &[32, 2048, 7, 7]),
        case("ViT-B LayerNorm", "layer", &[64, 197, 768]),
        case("BERT LayerNorm", "layer", &[32, 512, 768]),
        case("Llama RmsNorm, prompt", "rms", &[1, 2048, 4096]),
        case("Llama RmsNorm, token", "rms", &[1, 1, 4096]),
        case("UNet GroupNorm(32)", "group", &[2, 320, 64, 64]),
        case("UNet GroupNorm(32)", "group", &[2, 1280, 16, 16]),
        case("Style InstanceNorm", "instance", &[1, 32, 512, 512]),
        case("Style InstanceNorm", "instance", &[1, 128, 128, 128]),
        case("ResNet-50 SwitchableNorm", "switchable", &[32, 64, 56, 56]),
        case("ResNet-50 SwitchableNorm", "switchable", &[32, 512, 7, 7]),
    ]
}

impl Case {
    fn id(&self) -> String {
        let shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        format!("{}-{}{}", self.norm, shape.join("x"), if self.training { "" } else { "-evaluation" })
    }

    fn is_called(&self, word: &str) -> bool {
        self.id().contains(word) || self.name.to_lowercase().contains(word)
    }
}

/// Any layer.
trait Norm: Module {
    fn normalize<const D: usize>(&self, x: Tensor<D>) -> Tensor<D>;
}

macro_rules! norms {
    ($($norm:ty),*) => {$(
        impl Norm for $norm {
            fn normalize<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
                self.forward(x)
            }
        }
    )*};
}

norms!(
    burn_nn::LayerNorm,
    burn_nn::RmsNorm,
    burn_nn::GroupNorm,
    burn_nn::InstanceNorm,
    burn_nn::BatchNorm,
    Composed,
    gpunorm_burn::LayerNorm,
    gpunorm_burn::RmsNorm,
    gpunorm_burn::GroupNorm,
    gpunorm_burn::InstanceNorm,
    gpunorm_burn::BatchNorm,
    gpunorm_burn::SwitchableNorm
);

/// Switchable norm as one writes it in burn, which has none: of instance moments, so that x is read once for all three. It keeps no
/// running statistics.
#[derive(Module, Debug)]
struct Composed {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    mean_weight: Param<Tensor<1>>,
    var_weight: Param<Tensor<1>>,
}

impl Composed {
    fn new(channels: usize, device: &Device) -> Composed {
        let parameter = |len: usize, value: f32| Param::from_tensor(Tensor::full([len], value, device));
        Composed {
            weight: parameter(channels, 1.0),
            bias: parameter(channels, 0.0),
            mean_weight: parameter(3, 1.0),
            var_weight: parameter(3, 1.0),
        }
    }

    fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let shape = x.dims();
        let flat: Tensor<3> = x.reshape([shape[0] as i32, shape[1] as i32, -1]);
        let (var, mean) = flat.clone().var_mean_bias(2);
        let over = |axis: usize| {
            let middle = mean.clone().mean_dim(axis);
            (middle.clone(), (var.clone() + (mean.clone() - middle).square()).mean_dim(axis))
        };
        let ((layer_mean, layer_var), (batch_mean, batch_var)) = (over(1), over(0));
        let mixed = |logits: &Param<Tensor<1>>, [instance, layer, batch]: [Tensor<3>; 3]| {
            let share = softmax(logits.val(), 0);
            let part = |k: usize| share.clone().narrow(0, k, 1).reshape([1, 1, 1]);
            instance * part(0) + layer * part(1) + batch * part(2)
        };
        let mean = mixed(&self.mean_weight, [mean, layer_mean, batch_mean]);
        let var = mixed(&self.var_weight, [var, layer_var, batch_var]);
        let parameter = |parameter: &Param<Tensor<1>>| parameter.val().reshape([1, -1, 1]);
        ((flat - mean) / (var + 1e-5).sqrt() * parameter(&self.weight) + parameter(&self.bias)).reshape(shape)
    }
}

/// One layer with what it works on.
struct Side<M: Norm, const D: usize> {
    forward_norm: M,
    norm: Option<M>,
    x: [Tensor<D>; 2],
    dy: Tensor<D>,
}

/// Milliseconds of each.
#[derive(Default)]
struct Times {
    forward: Vec<f64>,
    backward: Vec<f64>,
    step: Vec<f64>,
}

impl<M: Norm, const D: usize> Side<M, D> {
    fn new(case: &Case, make: &dyn Fn(&Device) -> M) -> Side<M, D> {
        let device = Device::wgpu(DeviceKind::DefaultDevice);
        let trains = device.clone().autodiff();
        // Elsewhere these would evaluate.
        let own = if ["batch", "switchable"].contains(&case.norm) && case.training { trains.clone() } else { device };
        let tensor = |seed, device: &Device| {
            Tensor::from_data(TensorData::new(values(case.shape.iter().product(), seed), case.shape.to_vec()), device)
        };
        let x = [tensor(1, &own), tensor(1, &trains).require_grad()];
        Side { forward_norm: make(&own), norm: Some(make(&trains)), x, dy: tensor(2, &trains) }
    }

    fn forward(&self) -> Tensor<D> {
        self.forward_norm.normalize(self.x[0].clone())
    }

    fn loss(&self) -> Tensor<1> {
        let norm = self.norm.as_ref().expect("a layer");
        (norm.normalize(self.x[1].clone()) * self.dy.clone()).sum()
    }

    fn gradient(&self) -> Vec<f32> {
        let gradients = self.loss().backward();
        self.x[1].grad(&gradients).expect("a gradient").into_data().iter().collect()
    }

    fn run(&mut self, case: &Case, times: &mut Times) -> Result<(), Box<dyn Error>> {
        let device = Device::wgpu(DeviceKind::DefaultDevice);
        device.sync()?;
        let start = Instant::now();
        let y = self.forward();
        device.sync()?;
        times.forward.push(milliseconds(start));
        drop(y);
        if !case.training {
            return Ok(());
        }

        let loss = self.loss();
        device.sync()?;
        let start = Instant::now();
        let gradients = loss.backward();
        device.sync()?;
        times.backward.push(milliseconds(start));
        drop(gradients);

        device.sync()?;
        let start = Instant::now();
        let gradients = self.loss().backward();
        let norm = self.norm.take().expect("a layer");
        let gradients = GradientsParams::from_grads(gradients, &norm);
        self.norm = Some(SgdConfig::new().init().step(1e-6, norm, gradients));
        device.sync()?;
        times.step.push(milliseconds(start));
        Ok(())
    }
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Around a mean of 3 with a deviation of about 2, as gpunorm's benches have them.
fn values(len: usize, mut seed: u32) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 24) as f32 * 7.0 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

fn apart(ours: &[f32], burns: &[f32]) -> f32 {
    ours.iter().zip(burns).fold(0.0, |most: f32, (ours, burns)| most.max((ours - burns).abs()))
}

fn median(times: &[f64]) -> Option<f64> {
    // The first two warm up.
    let mut times = times.get(2..)?.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

fn compare<B: Norm, O: Norm, const D: usize>(
    case: &Case,
    runs: usize,
    burns: &dyn Fn(&Device) -> B,
    ours: &dyn Fn(&Device) -> O,
) -> Result<Value, Box<dyn Error>> {
    let (mut burns, mut ours) = (Side::<B, D>::new(case, burns), Side::<O, D>::new(case, ours));
    let numbers = |y: Tensor<D>| -> Vec<f32> { y.into_data().iter().collect() };
    let output_apart = apart(&numbers(ours.forward()), &numbers(burns.forward()));
    let gradient_apart = if case.training { apart(&ours.gradient(), &burns.gradient()) } else { 0.0 };
    let (mut of_burn, mut of_ours) = (Times::default(), Times::default());
    for _ in 0..runs + 2 {
        burns.run(case, &mut of_burn)?;
        ours.run(case, &mut of_ours)?;
    }
    let all = |times: &Times| {
        json!({
            "forward_ms": median(&times.forward), "backward_ms": median(&times.backward), "step_ms": median(&times.step)
        })
    };
    Ok(json!({
        "id": case.id(), "case": case.name, "shape": case.shape, "bytes": 4 * case.shape.iter().product::<usize>(),
        "burn": all(&of_burn), "gpunorm": all(&of_ours),
        "output_apart": output_apart, "gradient_apart": gradient_apart,
    }))
}

fn measure<const D: usize>(case: &Case, runs: usize) -> Result<Value, Box<dyn Error>> {
    let (c, last, groups) = (case.shape[1], case.shape[D - 1], case.groups);
    macro_rules! both {
        ($config:ident, $($argument:expr),*) => {
            compare::<_, _, D>(
                case,
                runs,
                &|device| burn_nn::$config::new($($argument),*).init(device),
                &|device| gpunorm_burn::$config::new($($argument),*).init(device),
            )
        };
    }
    match case.norm {
        "layer" => both!(LayerNormConfig, last),
        "rms" => both!(RmsNormConfig, last),
        "group" => both!(GroupNormConfig, groups, c),
        "instance" => both!(InstanceNormConfig, c),
        "batch" => both!(BatchNormConfig, c),
        _ => compare::<_, _, D>(case, runs, &|device| Composed::new(c, device), &|device| {
            gpunorm_burn::SwitchableNormConfig::new(c).init(device)
        }),
    }
}

/// burn's, as locked.
fn version() -> &'static str {
    let (_, rest) = include_str!("../Cargo.lock").split_once("name = \"burn-core\"\nversion = \"").unwrap_or_default();
    rest.split('"').next().unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut json, mut runs, mut words) = (None, 5, vec![]);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => json = Some(args.next().ok_or("--json FILE")?),
            "--runs" => runs = args.next().ok_or("--runs N")?.parse()?,
            // What cargo says to every bench.
            "--bench" => {}
            word => words.push(word.to_lowercase()),
        }
    }
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    let adapter = device.identity().ok_or("burn does not say which adapter it takes")?.name;
    println!("burn {} on {adapter}, milliseconds: burn's layer, this one's (how many times faster)", version());
    let mut rows = vec![];
    for case in cases() {
        if !words.is_empty() && !words.iter().any(|word| case.is_called(word)) {
            continue;
        }
        let row = match case.shape.len() {
            2 => measure::<2>(&case, runs),
            3 => measure::<3>(&case, runs),
            _ => measure::<4>(&case, runs),
        }?;
        let cell = |what: &str| match (row["burn"][what].as_f64(), row["gpunorm"][what].as_f64()) {
            (Some(burn), Some(ours)) => format!("{burn:9.2} {ours:8.2} ({:5.2}x)", burn / ours),
            _ => format!("{:>27}", "-"),
        };
        let cells = ["forward_ms", "backward_ms", "step_ms"].map(cell);
        println!("{:34} forward {}  backward {}  step {}", case.id(), cells[0], cells[1], cells[2]);
        for what in ["output_apart", "gradient_apart"] {
            if row[what].as_f64().is_none_or(|apart| apart > 1e-3) {
                println!("{:34} {what} {}", "", row[what]);
            }
        }
        rows.push(row);
    }
    let report =
        json!({ "peer": "burn", "version": version(), "device": adapter, "clock": "wall", "runs": runs, "rows": rows });
    if let Some(path) = json {
        std::fs::write(path, format!("{report:#}\n"))?;
    }
    Ok(())
}
