//! A norm with what stands beside it in one call, beside the same work in separate kernels and beside the norm alone
//! (`cargo xtask bench --beside`). BENCHMARKS.md says what the columns are.

use std::error::Error;
use std::time::Duration;

use gpunorm::{
    Activation, BatchNorm, Call, DType, Gpu, GpuNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm,
    Tensor,
};
use serde_json::{Value, json};
use wgpu::CommandEncoder;

use crate::harness::cases;
use crate::harness::clock::Clock;
use crate::harness::copy::Copies;
use crate::harness::elementwise::Elementwise;
use crate::harness::measure::median;
use crate::harness::pass::turns;
use crate::harness::report::{self, milliseconds};

/// What goes along.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    SumKept,
    /// A value for each sample's channel.
    SumByChannel,
    Modulated {
        from_one: bool,
    },
    Added,
    Nothing,
}

struct Case {
    name: &'static str,
    spec: NormSpec,
    shape: Vec<usize>,
    mode: Mode,
    beside: Beside,
    /// The least that it moves, in copies of the input.
    floor: f64,
}

fn cases() -> Vec<Case> {
    let case = |name, spec: NormSpec, shape: &[usize], beside, floor| {
        let mode = Mode::Training;
        Case { name, spec, shape: shape.to_vec(), mode, beside, floor }
    };
    let residual = |name, spec, shape: &[usize]| case(name, spec, shape, Beside::SumKept, 2.0);
    let from_one = Beside::Modulated { from_one: true };
    let relu = NormSpec::from(BatchNorm::new(256).activation(Activation::Relu));
    vec![
        residual("add + RmsNorm, sum kept", RmsNorm::new(1024).into(), &[16, 1024, 1024]),
        residual("add + LayerNorm, sum kept", LayerNorm::new(1024).into(), &[16, 1024, 1024]),
        residual("add + RmsNorm, sum kept", RmsNorm::new(4096).into(), &[4, 1024, 4096]),
        residual("add + LayerNorm, sum kept", LayerNorm::new(4096).into(), &[4, 1024, 4096]),
        case("DiT LayerNorm, modulated", LayerNorm::new(1152).affine(false).into(), &[16, 256, 1152], from_one, 1.0),
        case("AdaIN", InstanceNorm::new(64).into(), &[1, 64, 256, 256], Beside::Modulated { from_one: false }, 1.0),
        case(
            "GroupNorm + silu",
            GroupNorm::new(32, 320).activation(Activation::Silu).into(),
            &[2, 320, 64, 64],
            Beside::Nothing,
            1.0,
        ),
        case(
            "[N, C] add + GroupNorm + silu",
            GroupNorm::new(32, 320).activation(Activation::Silu).into(),
            &[2, 320, 64, 64],
            Beside::SumByChannel,
            1.0,
        ),
        case(
            "[N, C] add + GroupNorm + silu, NHWC",
            GroupNorm::new(32, 320).activation(Activation::Silu).channels_last().into(),
            &[2, 64, 64, 320],
            Beside::SumByChannel,
            1.0,
        ),
        case("BatchNorm + add + relu", relu.clone(), &[32, 256, 56, 56], Beside::Added, 1.5),
        Case {
            mode: Mode::Evaluation,
            ..case("BatchNorm + add + relu, evaluation", relu, &[32, 256, 56, 56], Beside::Added, 1.5)
        },
    ]
}

impl Case {
    /// Norm, shape, mode and what goes along in one word.
    fn id(&self) -> String {
        let beside = match self.beside {
            Beside::SumKept => "-sum",
            Beside::SumByChannel => "-channels",
            Beside::Modulated { from_one: true } => "-modulated",
            Beside::Modulated { from_one: false } => "-scaled",
            Beside::Added => "-added",
            Beside::Nothing => "",
        };
        let activation = self.activation().map(|name| format!("-{name}")).unwrap_or_default();
        format!("{}{beside}{activation}", self.alone().id())
    }

    /// The norm without what goes along.
    fn alone(&self) -> cases::Case {
        let (spec, shape) = (self.spec.clone(), self.shape.clone());
        cases::Case { name: self.name, spec, shape, mode: self.mode, dtype: DType::F32 }
    }

    /// As torch calls it.
    fn activation(&self) -> Option<&'static str> {
        match self.spec.activation() {
            Activation::Relu => Some("relu"),
            Activation::Silu => Some("silu"),
            _ => None,
        }
    }

    /// What benches/peers reads.
    fn to_json(&self) -> Value {
        let mut json = self.alone().to_json();
        json["id"] = self.id().into();
        json["add_before"] = match self.beside {
            Beside::SumKept => "input".into(),
            Beside::SumByChannel => "channels".into(),
            _ => Value::Null,
        };
        json["keep_sum"] = (self.beside == Beside::SumKept).into();
        json["add_after"] = (self.beside == Beside::Added).into();
        json["modulation"] = match self.beside {
            Beside::Modulated { from_one: true } => "from one".into(),
            Beside::Modulated { from_one: false } => "plain".into(),
            _ => Value::Null,
        };
        json["activation"] = self.activation().into();
        json
    }
}

/// What one turn runs on.
struct Tensors {
    x: Tensor,
    y: Tensor,
    like: Tensor,
    between: Tensor,
}

struct Bench<'a> {
    gpu: &'a Gpu,
    case: &'a Case,
    norm: GpuNorm,
    plain: GpuNorm,
    turns: Vec<Tensors>,
    scale: Tensor,
    shift: Tensor,
    separate: Vec<Elementwise>,
}

impl<'a> Bench<'a> {
    fn new(gpu: &'a Gpu, case: &'a Case) -> gpunorm::Result<Bench<'a>> {
        let len: usize = case.shape.iter().product();
        let values: Vec<f32> = (0..len).map(|i| (i * 7919 % 1013) as f32 / 500.0 - 1.0).collect();
        let tensor = || Tensor::from_slice(gpu, &values, &case.shape);
        let turn = |_| Ok(Tensors { x: tensor()?, y: tensor()?, like: tensor()?, between: tensor()? });
        let of_samples = [&case.shape[..1], &case.spec.parameter_shape()].concat();
        let by_sample = |factor: f32| {
            let count = of_samples.iter().product();
            let values: Vec<f32> = values[..count].iter().map(|value| value * factor).collect();
            Tensor::from_slice(gpu, &values, &of_samples)
        };
        let plain = case.spec.clone().with_activation(Activation::Identity);
        let layer = |spec: NormSpec| {
            let norm = GpuNorm::new(gpu, spec)?;
            norm.set_mode(case.mode);
            gpunorm::Result::Ok(norm)
        };
        let activation = case.spec.activation();
        let mut separate = vec![];
        match case.beside {
            Beside::SumKept | Beside::Added => separate.push(Elementwise::new(gpu, "add", &[])),
            Beside::SumByChannel | Beside::Modulated { .. } => {
                let from_one = case.beside != Beside::Modulated { from_one: false };
                let trailing = matches!(case.spec, NormSpec::Layer(_)) || case.spec.channels_last();
                let sample = len / case.shape[0] / 4;
                let constants = [
                    ("SAMPLE", sample as f64),
                    ("WIDTH", (of_samples[1] / 4) as f64),
                    ("PLANE", if trailing { 0.0 } else { (sample / of_samples[1]) as f64 }),
                    ("FROM_ONE", f64::from(u8::from(from_one))),
                ];
                separate.push(Elementwise::new(gpu, "modulate", &constants));
            }
            Beside::Nothing => {}
        }
        if activation != Activation::Identity {
            let silu = f64::from(u8::from(activation == Activation::Silu));
            separate.push(Elementwise::new(gpu, "activate", &[("SILU", silu)]));
        }
        Ok(Bench {
            gpu,
            case,
            norm: layer(case.spec.clone())?,
            plain: layer(plain)?,
            turns: (0..turns(4, len).max(2)).map(turn).collect::<gpunorm::Result<_>>()?,
            // Modulated by nothing, x is added to.
            scale: by_sample(f32::from(u8::from(case.beside != Beside::SumByChannel)))?,
            shift: by_sample(1.0)?,
            separate,
        })
    }

    fn call<'b>(&'b self, turn: &'b Tensors) -> Call<'b> {
        let call = self.norm.call();
        match self.case.beside {
            Beside::SumKept => call.add_before(&turn.like).keep_sum(&turn.between),
            Beside::SumByChannel => call.add_before(&self.shift),
            Beside::Modulated { from_one: true } => call.modulate(&self.scale, &self.shift),
            Beside::Modulated { from_one: false } => call.scale_and_shift(&self.scale, &self.shift),
            Beside::Added => call.add_after(&turn.like),
            Beside::Nothing => call,
        }
    }

    /// The same, a kernel for each.
    fn apart(&self, encoder: &mut CommandEncoder, turn: &Tensors) -> gpunorm::Result<()> {
        let Tensors { x, y, like, between } = turn;
        if self.case.beside == Beside::SumKept {
            self.separate[0].record(self.gpu, encoder, x, &[like], between);
            return self.plain.encode_forward(encoder, between, y);
        }
        if self.case.beside == Beside::SumByChannel {
            self.separate[0].record(self.gpu, encoder, x, &[&self.scale, &self.shift], y);
            self.plain.encode_forward(encoder, y, between)?;
            self.separate[1].record(self.gpu, encoder, between, &[between, between], y);
            return Ok(());
        }
        // To and fro: what comes of the last is in y.
        let (mut from, mut to) = if self.separate.len().is_multiple_of(2) { (between, y) } else { (y, between) };
        self.plain.encode_forward(encoder, x, to)?;
        for kernel in &self.separate {
            std::mem::swap(&mut from, &mut to);
            let operands = match self.case.beside {
                Beside::Added => [like, like],
                _ => [&self.scale, &self.shift],
            };
            kernel.record(self.gpu, encoder, from, &operands, to);
        }
        Ok(())
    }

    /// Both ways give the same.
    fn check(&self) -> Result<(), Box<dyn Error>> {
        let turn = &self.turns[0];
        let run = |apart: bool| -> Result<Vec<f32>, Box<dyn Error>> {
            let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
            match apart {
                true => self.apart(&mut encoder, turn)?,
                false => self.call(turn).encode_forward(&mut encoder, &turn.x, &turn.y)?,
            }
            self.gpu.queue().submit([encoder.finish()]);
            Ok(turn.y.to_vec()?)
        };
        let (together, apart) = (run(false)?, run(true)?);
        match together.iter().zip(&apart).position(|(a, b)| (a - b).abs() > 1e-4 * (1.0 + b.abs()) || a.is_nan()) {
            Some(at) => {
                Err(format!("{}: element {at} is {}, apart {}", self.case.name, together[at], apart[at]).into())
            }
            None => Ok(()),
        }
    }

    fn measure(&self, copies: &Copies, runs: usize) -> Result<Value, Box<dyn Error>> {
        self.check()?;
        let clock = Clock::new(self.gpu);
        let pairs: Vec<_> = self.turns.iter().map(|turn| (turn.x.clone(), turn.y.clone())).collect();
        let fastest = clock.fastest(copies, &pairs)?;
        let mut times = [const { vec![] }; 5];
        for run in 0..runs + 2 {
            let each = |work: &dyn Fn(&mut CommandEncoder, &Tensors) -> gpunorm::Result<()>| {
                clock.gpu(&|encoder| self.turns.iter().try_for_each(|turn| work(encoder, turn)))
            };
            let round = [
                each(&|encoder, turn| {
                    fastest.record(self.gpu, encoder, &turn.x, &turn.y);
                    Ok(())
                })?,
                each(&|encoder, turn| self.plain.encode_forward(encoder, &turn.x, &turn.y))?,
                each(&|encoder, turn| self.call(turn).encode_forward(encoder, &turn.x, &turn.y))?,
                each(&|encoder, turn| self.apart(encoder, turn))?,
                // One after the other, each waited for.
                self.turns.iter().try_fold(Duration::ZERO, |sum, turn| {
                    Ok::<_, Box<dyn Error>>(
                        sum + clock.wall(&|encoder| self.call(turn).encode_forward(encoder, &turn.x, &turn.y))?,
                    )
                })?,
            ];
            // The first two warm up.
            if run >= 2 {
                times.iter_mut().zip(round).for_each(|(times, time)| times.push(time / self.turns.len() as u32));
            }
        }
        let [copy, plain, together, apart, wall] = times.map(median);
        let (shape, floor) = (&self.case.shape, self.case.floor);
        let dispatches = self.call(&self.turns[0]).plan(shape, DType::F32)?.dispatches();
        let ratio = |floor: f64, time: Duration| floor * copy.as_secs_f64() / time.as_secs_f64();
        let text = format!("{shape:?}").replace(", ", "x");
        println!(
            "{:<36} {text:<18} {dispatches:>4} {floor:>5} {:>9.3} {:>9.3} {:>6.2} {:>9.3} {:>6.2} {:>9.3} {:>6.2}",
            self.case.name,
            milliseconds(copy),
            milliseconds(plain),
            ratio(1.0, plain),
            milliseconds(together),
            ratio(floor, together),
            milliseconds(apart),
            together.as_secs_f64() / apart.as_secs_f64(),
        );
        Ok(json!({
            "id": self.case.id(), "case": self.case.name, "shape": shape, "dispatches": dispatches, "floor": floor,
            "copy_ms": milliseconds(copy), "plain_ms": milliseconds(plain), "together_ms": milliseconds(together),
            "apart_ms": milliseconds(apart), "wall_ms": milliseconds(wall), "kernels_apart": self.separate.len() + 1,
        }))
    }
}

/// Those that one of `words` is part of; all of them without words.
fn chosen(words: &[String]) -> impl Iterator<Item = Case> {
    let called = |case: &Case, word: &String| case.name.to_lowercase().contains(word) || case.id().contains(word);
    cases().into_iter().filter(move |case| words.is_empty() || words.iter().any(|word| called(case, word)))
}

/// The list, for benches/peers.
pub fn list(words: &[String]) -> Vec<Value> {
    chosen(words).map(|case| case.to_json()).collect()
}

/// All of them, as a table and as JSON.
pub fn run(gpu: &Gpu, runs: usize, words: &[String]) -> Result<Value, Box<dyn Error>> {
    println!(
        "{:<36} {:<18} {:>4} {:>5} {:>9} {:>9} {:>6} {:>9} {:>6} {:>9} {:>6}",
        "case", "shape", "disp", "floor", "copy ms", "norm ms", "ratio", "with ms", "ratio", "apart ms", "÷"
    );
    let copies = Copies::new(gpu);
    let mut rows = vec![];
    for case in chosen(words) {
        rows.push(Bench::new(gpu, &case)?.measure(&copies, runs)?);
        gpu.empty_cache();
    }
    Ok(report::of_run(gpu, "forward", runs, rows))
}
