//! burn's normalization layers on gpunorm's cases: `burn-norms CASES.json OUT.json [--runs N] [WORD ...]`.
//!
//! Wall time of a forward and the wait for it, the median of the runs; burn has no switchable norm, so it is composed of
//! tensor operations as a user would. A few rows of each output are compared with f64 before anything is timed.

use std::error::Error;
use std::time::Instant;

use burn::nn::{BatchNormConfig, GroupNormConfig, InstanceNormConfig, LayerNormConfig, RmsNormConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
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

    /// Which elements share statistics with element `i`, by `kind` of norm.
    fn row(&self, kind: &str, i: usize) -> usize {
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

    fn of_row<'a>(&'a self, kind: &'a str, i: usize) -> impl Iterator<Item = usize> + 'a {
        let own = self.row(kind, i);
        (0..self.shape.iter().product()).filter(move |&j| self.row(kind, j) == own)
    }

    fn moments(&self, kind: &str, x: &[f32], i: usize) -> (f64, f64) {
        let row: Vec<f64> = self.of_row(kind, i).map(|j| f64::from(x[j])).collect();
        let mean = if kind == "rms" { 0.0 } else { row.iter().sum::<f64>() / row.len() as f64 };
        (mean, row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64)
    }

    /// What a new layer normalizes element `i` by.
    fn statistics(&self, x: &[f32], i: usize) -> (f64, f64) {
        match self.norm.as_str() {
            "batch" if !self.training => (0.0, 1.0),
            "switchable" => {
                let all = ["instance", "sample", "batch"].map(|kind| self.moments(kind, x, i));
                (all.iter().map(|m| m.0).sum::<f64>() / 3.0, all.iter().map(|m| m.1).sum::<f64>() / 3.0)
            }
            norm => self.moments(norm, x, i),
        }
    }

    /// The first, the middle and the last row, or plane, of `y` against f64.
    fn check(&self, x: &[f32], y: &[f32]) -> Result<(), String> {
        let kind = if matches!(self.norm.as_str(), "layer" | "rms") { "layer" } else { "instance" };
        for i in [0, x.len() / 2, x.len() - 1] {
            let (mean, var) = self.statistics(x, i);
            for j in self.of_row(kind, i) {
                let expected = (f64::from(x[j]) - mean) / (var + EPS).sqrt();
                let close = (f64::from(y[j]) - expected).abs() < 1e-3; // not so of NaN
                if !close {
                    return Err(format!("element {j} is {}, not {expected}", y[j]));
                }
            }
        }
        Ok(())
    }
}

/// Around a mean of 3 with a deviation of about 2.
fn values(len: usize) -> Vec<f32> {
    let mut seed = 1u32;
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

fn measure<const D: usize>(case: &Case, device: &Device, runs: usize) -> Result<f64, Box<dyn Error>> {
    // burn trains batch norm on an autodiff device only.
    let device = if case.norm == "batch" && case.training { device.clone().autodiff() } else { device.clone() };
    let values = values(case.shape.iter().product());
    let x = Tensor::<D>::from_data(TensorData::new(values.clone(), case.shape.clone()), &device);
    let forward = layer::<D>(case, &device)?;
    let found: Vec<f32> = forward(x.clone()).into_data().try_to_vec().map_err(|error| format!("{error:?}"))?;
    case.check(&values, &found)?;
    let mut times = vec![];
    for _ in 0..runs + 2 {
        device.sync()?;
        let start = Instant::now();
        let y = forward(x.clone());
        device.sync()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        drop(y);
    }
    let mut times = times.split_off(2);
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (cases, out, runs, words) = match &args[..] {
        [cases, out, flag, runs, words @ ..] if flag == "--runs" => (cases, out, runs.parse()?, words),
        [cases, out, words @ ..] => (cases, out, 5, words),
        _ => return Err("usage: burn-norms CASES.json OUT.json [--runs N] [WORD ...]".into()),
    };
    let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    let adapter = device.identity().ok_or("burn does not say which adapter it takes")?.name;
    eprintln!("burn on {adapter}");
    let list: Vec<Value> = serde_json::from_slice(&std::fs::read(cases)?)?;
    let mut rows = vec![];
    for value in &list {
        let Some(case) = Case::new(value) else {
            eprintln!("burn has no layer for {value}");
            continue;
        };
        if !words.iter().all(|word| case.is_called(word)) {
            continue;
        }
        let time = match case.shape.len() {
            2 => measure::<2>(&case, &device, runs),
            3 => measure::<3>(&case, &device, runs),
            4 => measure::<4>(&case, &device, runs),
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
    Ok(std::fs::write(out, format!("{report:#}\n"))?)
}

/// burn's, as locked.
fn version() -> &'static str {
    let (_, rest) = include_str!("../Cargo.lock").split_once("name = \"burn\"\nversion = \"").unwrap_or_default();
    rest.split('"').next().unwrap_or_default()
}
