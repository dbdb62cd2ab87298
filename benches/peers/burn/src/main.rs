//! burn's normalization layers on gpunorm's cases: `burn-norms CASES.json OUT.json [--backward] [--runs N] [WORD ...]`.
//!
//! Wall time of a forward, or of a backward alone, and the wait for it, the median of the runs; burn has no switchable
//! norm, so it is composed of tensor operations as a user would. Each output, or input's gradient, is compared with f64 before
//! anything is timed.

use std::error::Error;
use std::time::Instant;

use burn::nn::{BatchNormConfig, GroupNormConfig, InstanceNormConfig, LayerNormConfig, RmsNormConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, DeviceKind, Gradients, Tensor, TensorData};
use serde_json::{Value, json};

const EPS: f64 = 1e-5;

struct Case {
    id: String,
    name: String,
    norm: String,
    shape: Vec<usize>,
    groups: usize,
    training: bool,
}

impl Case {
    fn new(value: &Value) -> Option<Case> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let shape =
            value["shape"].as_array()?.iter().map(|size| Some(size.as_u64()? as usize)).collect::<Option<_>>()?;
        // burn's layers normalize the last dimension only.
        if value["normalized"].as_array().is_some_and(|sizes| sizes.len() > 1) {
            return None;
        }
        Some(Case {
            id: text("id")?,
            name: text("name")?,
            norm: text("norm")?,
            shape,
            groups: value["groups"].as_u64().unwrap_or(1) as usize,
            training: value["training"].as_bool()?,
        })
    }

    fn is_called(&self, word: &str) -> bool {
        self.id.contains(word) || self.name.to_lowercase().contains(word)
    }

    /// The set of a kind that element `i` belongs to.
    fn set(&self, kind: &str, i: usize) -> usize {
        let channels = self.shape[1];
        let spatial: usize = self.shape[2..].iter().product();
        match kind {
            "layer" | "rms" => i / self.shape[self.shape.len() - 1],
            "group" => i / (channels / self.groups * spatial),
            "instance" => i / spatial,
            "sample" => i / (channels * spatial),
            _ => i / spatial % channels,
        }
    }

    /// The average of `of` over each set of a kind.
    fn averages(&self, kind: &str, of: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums: Vec<(f64, usize)> = vec![];
        for i in 0..self.shape.iter().product() {
            let set = self.set(kind, i);
            if set >= sums.len() {
                sums.resize(set + 1, (0.0, 0));
            }
            sums[set].0 += of(i);
            sums[set].1 += 1;
        }
        sums.into_iter().map(|(sum, count)| sum / count as f64).collect()
    }

    /// What a new layer normalizes by: of each kind that it mixes equally, the sets' means and variances.
    fn statistics(&self, x: &[f32]) -> Vec<(&str, Vec<f64>, Vec<f64>)> {
        let kinds = match self.norm.as_str() {
            "batch" if !self.training => vec![],
            "switchable" => vec!["instance", "sample", "batch"],
            norm => vec![norm],
        };
        let moments = |kind| {
            let x = |i: usize| f64::from(x[i]);
            let means = self.averages(kind, x);
            let means = if kind == "rms" { vec![0.0; means.len()] } else { means };
            let variances = self.averages(kind, |i| (x(i) - means[self.set(kind, i)]).powi(2));
            (kind, means, variances)
        };
        kinds.into_iter().map(moments).collect()
    }

    /// x̂ and 1/√(var + ε) of each element.
    fn normalized(&self, x: &[f32], statistics: &[(&str, Vec<f64>, Vec<f64>)]) -> Vec<(f64, f64)> {
        let of = |i: usize| {
            let share = 1.0 / statistics.len() as f64;
            let mixed = statistics.iter().fold((0.0, 0.0), |(mean, var), (kind, means, variances)| {
                let set = self.set(kind, i);
                (mean + share * means[set], var + share * variances[set])
            });
            let (mean, var) = if statistics.is_empty() { (0.0, 1.0) } else { mixed };
            let scale = 1.0 / (var + EPS).sqrt();
            ((f64::from(x[i]) - mean) * scale, scale)
        };
        (0..x.len()).map(of).collect()
    }

    /// Every element of `y` against f64.
    fn check(&self, x: &[f32], y: &[f32]) -> Result<(), String> {
        let normalized = self.normalized(x, &self.statistics(x));
        close("the output", y, |i| normalized[i].0)
    }

    /// Every element of `dx` against f64.
    fn check_gradient(&self, [x, dy]: [&[f32]; 2], dx: &[f32]) -> Result<(), String> {
        let statistics = self.statistics(x);
        let normalized = self.normalized(x, &statistics);
        let dy = |i: usize| f64::from(dy[i]);
        let sets = statistics.iter().map(|(kind, means, _)| {
            let by_mean = self.averages(kind, |i| -dy(i) * normalized[i].1);
            let by_var = self.averages(kind, |i| -0.5 * dy(i) * normalized[i].0 * normalized[i].1.powi(2));
            let by_mean = if *kind == "rms" { vec![0.0; by_mean.len()] } else { by_mean };
            (kind, means, by_mean, by_var)
        });
        let sets: Vec<_> = sets.collect();
        close("the input's gradient", dx, |i| {
            let through = sets.iter().map(|(kind, means, by_mean, by_var)| {
                let set = self.set(kind, i);
                by_mean[set] + 2.0 * by_var[set] * (f64::from(x[i]) - means[set])
            });
            dy(i) * normalized[i].1 + through.sum::<f64>() / sets.len().max(1) as f64
        })
    }
}

fn close(what: &str, found: &[f32], expected: impl Fn(usize) -> f64) -> Result<(), String> {
    let off = |&i: &usize| {
        let error = (f64::from(found[i]) - expected(i)).abs();
        error.is_nan() || error > 1e-3
    };
    match (0..found.len()).find(off) {
        None => Ok(()),
        Some(i) => Err(format!("element {i} of {what} is {}, not {}", found[i], expected(i))),
    }
}

/// Around a mean of 3 with a deviation of about 2.
fn values(len: usize, mut seed: u32) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 24) as f32 * 7.0 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

/// burn's layer for a case.
fn layer<const D: usize>(case: &Case, device: &Device) -> Result<Box<dyn Fn(Tensor<D>) -> Tensor<D>>, String> {
    let (last, channels) = (case.shape[D - 1], case.shape[1]);
    Ok(match case.norm.as_str() {
        "layer" => {
            let norm = LayerNormConfig::new(last).init(device);
            Box::new(move |x| norm.forward(x))
        }
        "rms" => {
            let norm = RmsNormConfig::new(last).init(device);
            Box::new(move |x| norm.forward(x))
        }
        "group" => {
            let norm = GroupNormConfig::new(case.groups, channels).init(device);
            Box::new(move |x| norm.forward(x))
        }
        "instance" => {
            let norm = InstanceNormConfig::new(channels).init(device);
            Box::new(move |x| norm.forward(x))
        }
        "batch" => {
            let norm = BatchNormConfig::new(channels).init(device);
            Box::new(move |x| norm.forward(x))
        }
        "switchable" => {
            let [mean_logits, var_logits] = [(), ()].map(|()| Tensor::ones([3], device));
            let (weight, bias) = (Tensor::ones([1, channels, 1], device), Tensor::zeros([1, channels, 1], device));
            Box::new(move |x| switchable(x, [&mean_logits, &var_logits], [&weight, &bias]))
        }
        other => return Err(format!("no such norm: {other}")),
    })
}

/// Of instance moments, so that x is read once for all three. Keeps no running statistics.
fn switchable<const D: usize>(x: Tensor<D>, logits: [&Tensor<1>; 2], [weight, bias]: [&Tensor<3>; 2]) -> Tensor<D> {
    let shape = x.dims();
    let flat: Tensor<3> = x.reshape([shape[0] as i32, shape[1] as i32, -1]);
    let (var, mean) = flat.clone().var_mean_bias(2);
    let over = |axis: usize| {
        let middle = mean.clone().mean_dim(axis);
        let spread = (var.clone() + (mean.clone() - middle.clone()).square()).mean_dim(axis);
        (middle, spread)
    };
    let ((layer_mean, layer_var), (batch_mean, batch_var)) = (over(1), over(0));
    let mixed = |logits: &Tensor<1>, [instance, layer, batch]: [Tensor<3>; 3]| {
        let share = softmax(logits.clone(), 0);
        let part = |k| share.clone().narrow(0, k, 1).reshape([1, 1, 1]);
        instance * part(0) + layer * part(1) + batch * part(2)
    };
    let mean = mixed(logits[0], [mean, layer_mean, batch_mean]);
    let var = mixed(logits[1], [var, layer_var, batch_var]);
    ((flat - mean) / (var + EPS).sqrt() * weight.clone() + bias.clone()).reshape(shape)
}

fn measure<const D: usize>(case: &Case, device: &Device, given: &Given) -> Result<f64, Box<dyn Error>> {
    // burn trains batch norm on an autodiff device only.
    let differentiates = given.backward || case.norm == "batch" && case.training;
    let device = if differentiates { device.clone().autodiff() } else { device.clone() };
    let len = case.shape.iter().product();
    let tensor = |values: &[f32]| Tensor::<D>::from_data(TensorData::new(values.to_vec(), case.shape.clone()), &device);
    let to_vec = |tensor: Tensor<D>| tensor.into_data().try_to_vec::<f32>().map_err(|error| format!("{error:?}"));
    let values = [values(len, 1), values(len, 2)];
    let [x, dy] = values.each_ref().map(|values| tensor(values));
    let forward = layer::<D>(case, &device)?;
    let x = if given.backward { x.require_grad() } else { x };
    // A backward starts from one number; what that adds is a product with dy.
    let loss = || (forward(x.clone()) * dy.clone()).sum();
    if given.backward {
        let gradient = x.grad(&loss().backward()).ok_or("no gradient")?;
        case.check_gradient(values.each_ref().map(|values| &values[..]), &to_vec(gradient)?)?;
    } else {
        case.check(&values[0], &to_vec(forward(x.clone()))?)?;
    }
    let mut times = vec![];
    for _ in 0..given.runs + 2 {
        let loss = given.backward.then(loss);
        device.sync()?;
        let start = Instant::now();
        let kept = match &loss {
            Some(loss) => Pass::Backward(loss.backward()),
            None => Pass::Forward(forward(x.clone())),
        };
        device.sync()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        drop(kept);
    }
    let mut times = times.split_off(2);
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// What a pass gives, held until its time is taken.
#[expect(dead_code)]
enum Pass<const D: usize> {
    Forward(Tensor<D>),
    Backward(Gradients),
}

struct Given {
    cases: String,
    out: String,
    backward: bool,
    runs: usize,
    words: Vec<String>,
}

impl Given {
    fn new() -> Result<Given, Box<dyn Error>> {
        let usage = "usage: burn-norms CASES.json OUT.json [--backward] [--runs N] [WORD ...]";
        let mut args = std::env::args().skip(1);
        let (cases, out) = args.next().zip(args.next()).ok_or(usage)?;
        let mut given = Given { cases, out, backward: false, runs: 5, words: vec![] };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--backward" => given.backward = true,
                "--runs" => given.runs = args.next().ok_or(usage)?.parse()?,
                word => given.words.push(word.to_lowercase()),
            }
        }
        Ok(given)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let given = Given::new()?;
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    let adapter = device.identity().ok_or("burn does not say which adapter it takes")?.name;
    eprintln!("burn on {adapter}");
    let list: Vec<Value> = serde_json::from_slice(&std::fs::read(&given.cases)?)?;
    let mut rows = vec![];
    for value in &list {
        let Some(case) = Case::new(value) else {
            eprintln!("burn has no layer for {value}");
            continue;
        };
        if !given.words.is_empty() && !given.words.iter().any(|word| case.is_called(word)) {
            continue;
        }
        let time = match case.shape.len() {
            2 => measure::<2>(&case, &device, &given),
            3 => measure::<3>(&case, &device, &given),
            4 => measure::<4>(&case, &device, &given),
            rank => Err(format!("rank {rank}").into()),
        };
        match time {
            Ok(milliseconds) => {
                eprintln!("burn {} {milliseconds:.3} ms", case.id);
                rows.push(json!({ "id": case.id, "variant": "wgpu", "milliseconds": milliseconds }));
            }
            Err(error) => eprintln!("burn {} left out: {error}", case.id),
        }
    }
    let report = json!({ "peer": "burn", "version": version(), "device": adapter, "clock": "wall", "rows": rows });
    Ok(std::fs::write(given.out, format!("{report:#}\n"))?)
}

/// burn's, as locked.
fn version() -> &'static str {
    let (_, rest) = include_str!("../Cargo.lock").split_once("name = \"burn\"\nversion = \"").unwrap_or_default();
    rest.split('"').next().unwrap_or_default()
}
