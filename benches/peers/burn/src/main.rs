//! burn's normalization layers on gpunorm's cases and adapter: `burn-norms CASES.json OUT.json [--runs N]`.
//!
//! Wall time of a forward and the wait for it, the median of the runs; burn has no switchable norm, so it is composed of
//! tensor operations as a user would. A sample of each output is compared with f64 before anything is timed.

use std::error::Error;
use std::time::Instant;

use burn::nn::{
    BatchNormConfig, GroupNormConfig, InstanceNormConfig, LayerNormConfig, RmsNormConfig,
};
use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use serde_json::{Value, json};

const EPS: f64 = 1e-5;
const SAMPLES: usize = 8;

struct Case {
    id: String,
    norm: String,
    shape: Vec<usize>,
    groups: usize,
    training: bool,
}

impl Case {
    fn new(value: &Value) -> Option<Case> {
        let sizes = value["shape"].as_array()?.iter();
        Some(Case {
            id: value["id"].as_str()?.to_owned(),
            norm: value["norm"].as_str()?.to_owned(),
            shape: sizes.map(|size| size.as_u64().map(|size| size as usize)).collect::<Option<_>>()?,
            groups: value["groups"].as_u64().unwrap_or(1) as usize,
            training: value["training"].as_bool()?,
        })
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

    fn statistics(&self, kind: &str, x: &[f32], i: usize) -> (f64, f64) {
        let own = self.row(kind, i);
        let row: Vec<f64> = (0..x.len()).filter(|&j| self.row(kind, j) == own).map(|j| f64::from(x[j])).collect();
        let mean = if kind == "rms" { 0.0 } else { row.iter().sum::<f64>() / row.len() as f64 };
        (mean, row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64)
    }

    fn expected(&self, x: &[f32], i: usize) -> f64 {
        let (mean, var) = match self.norm.as_str() {
            _ if !self.training => (0.0, 1.0),
            "switchable" => {
                let all = ["instance", "sample", "batch"].map(|kind| self.statistics(kind, x, i));
                (all.iter().map(|s| s.0).sum::<f64>() / 3.0, all.iter().map(|s| s.1).sum::<f64>() / 3.0)
            }
            norm => self.statistics(norm, x, i),
        };
        (f64::from(x[i]) - mean) / (var + EPS).sqrt()
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
            let share = Tensor::<1>::ones([3], device) / 3.0;
            Box::new(move |x| switchable(x, share.clone()))
        }
        other => return Err(format!("no such norm: {other}")),
    })
}

/// Of instance moments, so that x is read once for all three.
fn switchable<const D: usize>(x: Tensor<D>, share: Tensor<1>) -> Tensor<D> {
    let shape = x.dims();
    let flat: Tensor<3> = x.reshape([shape[0] as i32, shape[1] as i32, -1]);
    let (var, mean) = flat.clone().var_mean_bias(2);
    let over = |axis: usize| {
        let middle = mean.clone().mean_dim(axis);
        let spread = (var.clone() + (mean.clone() - middle.clone()).square()).mean_dim(axis);
        (middle, spread)
    };
    let ((layer_mean, layer_var), (batch_mean, batch_var)) = (over(1), over(0));
    let weight = |k: usize| share.clone().slice([k..k + 1]).reshape([1, 1, 1]);
    let mixed_mean = mean.clone() * weight(0) + layer_mean * weight(1) + batch_mean * weight(2);
    let mixed_var = var.clone() * weight(0) + layer_var * weight(1) + batch_var * weight(2);
    ((flat - mixed_mean) / (mixed_var + EPS).sqrt()).reshape(shape)
}

fn measure<const D: usize>(case: &Case, device: &Device, runs: usize) -> Result<f64, Box<dyn Error>> {
    // burn trains batch norm on an autodiff device only.
    let device = if case.norm == "batch" && case.training { device.clone().autodiff() } else { device.clone() };
    let values = values(case.shape.iter().product());
    let x = Tensor::<D>::from_data(TensorData::new(values.clone(), case.shape.clone()), &device);
    let forward = layer::<D>(case, &device)?;
    let found: Vec<f32> = forward(x.clone()).into_data().try_to_vec().map_err(|error| format!("{error:?}"))?;
    for sample in 0..SAMPLES {
        let i = (values.len() - 1) * sample / (SAMPLES - 1);
        let expected = case.expected(&values, i);
        if (f64::from(found[i]) - expected).abs() > 1e-3 {
            return Err(format!("element {i} is {}, not {expected}", found[i]).into());
        }
    }
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
    let (cases, out, runs) = match &args[..] {
        [cases, out] => (cases, out, 5),
        [cases, out, flag, runs] if flag == "--runs" => (cases, out, runs.parse()?),
        _ => return Err("usage: burn-norms CASES.json OUT.json [--runs N]".into()),
    };
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    let list: Vec<Value> = serde_json::from_slice(&std::fs::read(cases)?)?;
    let mut rows = vec![];
    for (number, value) in list.iter().enumerate() {
        let case = Case::new(value).ok_or_else(|| format!("not a case: {value}"))?;
        eprint!("burn {}/{} {} ", number + 1, list.len(), case.id);
        let time = match case.shape.len() {
            2 => measure::<2>(&case, &device, runs),
            3 => measure::<3>(&case, &device, runs),
            4 => measure::<4>(&case, &device, runs),
            rank => Err(format!("rank {rank}").into()),
        };
        match time {
            Ok(milliseconds) => {
                eprintln!("{milliseconds:.3} ms");
                rows.push(json!({ "id": case.id, "variant": "wgpu", "milliseconds": milliseconds }));
            }
            Err(error) => eprintln!("left out: {error}"),
        }
    }
    let report = json!({ "peer": "burn", "version": "0.22", "device": format!("{device:?}"), "rows": rows });
    Ok(std::fs::write(out, format!("{report:#}\n"))?)
}
