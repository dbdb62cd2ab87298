//! A norm in place, of q in a packed qkv buffer, and both, beside the same norm from one contiguous tensor into another
//! (`cargo xtask bench --placed`). BENCHMARKS.md says what the columns are.

use std::error::Error;
use std::time::Duration;

use gpunorm::{BatchNorm, DType, Gpu, GpuNorm, GroupNorm, InstanceNorm, LayerNorm, NormSpec, RmsNorm, Tensor};
use serde_json::{Value, json};
use wgpu::CommandEncoder;

use crate::harness::clock::Clock;
use crate::harness::copy::Copies;
use crate::harness::measure::median;
use crate::harness::pass::turns;
use crate::harness::report::{self, milliseconds};

struct Case {
    name: &'static str,
    spec: NormSpec,
    shape: &'static [usize],
    /// Whether rows may lie apart: then q, k and v of this shape each are packed.
    packs: bool,
}

fn cases() -> Vec<Case> {
    let case = |name, spec: NormSpec, shape| {
        let packs = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
        Case { name, spec, shape, packs }
    };
    vec![
        case("q RmsNorm", RmsNorm::new(128).into(), &[2048, 32, 128]),
        case("q LayerNorm", LayerNorm::new(128).into(), &[2048, 32, 128]),
        case("q RmsNorm, all heads", RmsNorm::new([32, 128]).into(), &[2048, 32, 128]),
        case("LayerNorm", LayerNorm::new(1024).into(), &[16_384, 1024]),
        case("LayerNorm, long rows", LayerNorm::new(262_144).into(), &[64, 262_144]),
        case("BatchNorm", BatchNorm::new(64).into(), &[32, 64, 112, 112]),
        case("BatchNorm, columns", BatchNorm::new(256).into(), &[65_536, 256]),
        case("GroupNorm(32)", GroupNorm::new(32, 64).into(), &[16, 64, 112, 112]),
        case("InstanceNorm", InstanceNorm::new(64).affine(true).into(), &[16, 64, 112, 112]),
    ]
}

/// What one turn runs on.
struct Tensors {
    x: Tensor,
    y: Tensor,
    /// Of a packed buffer, where there is one.
    q: Tensor,
}

impl Tensors {
    fn new(gpu: &Gpu, case: &Case) -> gpunorm::Result<Tensors> {
        let len: usize = case.shape.iter().product();
        let values: Vec<f32> = (0..len).map(|i| (i * 7919 % 1013) as f32 / 500.0 - 1.0).collect();
        let (x, y) = (Tensor::from_slice(gpu, &values, case.shape)?, Tensor::zeros(gpu, case.shape, DType::F32)?);
        let packed = || {
            let (tokens, rest) = (case.shape[0], &case.shape[1..]);
            let q = Tensor::zeros(gpu, &[&[tokens, 3], rest].concat(), DType::F32)?.select(1, 0)?;
            q.copy_from(&x)?;
            Ok(q)
        };
        let q = if case.packs { packed()? } else { x.clone() };
        Ok(Tensors { x, y, q })
    }
}

fn measure(gpu: &Gpu, copies: &Copies, case: &Case, runs: usize) -> Result<Value, Box<dyn Error>> {
    let norm = GpuNorm::new(gpu, case.spec.clone())?;
    let count = turns(4, case.shape.iter().product()).max(2);
    let all = (0..count).map(|_| Tensors::new(gpu, case)).collect::<gpunorm::Result<Vec<_>>>()?;
    let clock = Clock::new(gpu);
    let pairs: Vec<_> = all.iter().map(|tensors| (tensors.x.clone(), tensors.y.clone())).collect();
    let fastest = clock.fastest(copies, &pairs)?;
    type Work<'a> = &'a dyn Fn(&mut CommandEncoder, &Tensors) -> gpunorm::Result<()>;
    let copy: Work = &|encoder, Tensors { x, y, .. }| {
        fastest.record(gpu, encoder, x, y);
        Ok(())
    };
    let elsewhere: Work = &|encoder, Tensors { x, y, .. }| norm.encode_forward(encoder, x, y);
    let in_place: Work = &|encoder, Tensors { x, .. }| norm.encode_forward(encoder, x, x);
    let packed: Work = &|encoder, Tensors { q, y, .. }| norm.encode_forward(encoder, q, y);
    let in_packed: Work = &|encoder, Tensors { q, .. }| norm.encode_forward(encoder, q, q);
    let mut works = vec![("copy", copy), ("elsewhere", elsewhere), ("in_place", in_place)];
    works.extend([("packed", packed), ("in_packed", in_packed)].into_iter().filter(|_| case.packs));
    let mut times = vec![vec![]; works.len()];
    for run in 0..runs + 2 {
        for ((_, work), times) in works.iter().zip(&mut times) {
            let time = clock.gpu(&|encoder| all.iter().try_for_each(|tensors| work(encoder, tensors)))?;
            // The first two warm up.
            times.extend((run >= 2).then(|| time / all.len() as u32));
        }
    }
    let times: Vec<Duration> = times.into_iter().map(median).collect();
    let text = format!("{:?}", case.shape).replace(", ", "x");
    print!("{:<24} {text:<18} {:>9.3}", case.name, milliseconds(times[0]));
    for time in &times[1..] {
        print!(" {:>11.3} {:>6.2}", milliseconds(*time), times[0].as_secs_f64() / time.as_secs_f64());
    }
    println!();
    let mut row = json!({ "case": case.name, "shape": case.shape });
    for ((name, _), time) in works.iter().zip(times) {
        row[format!("{name}_ms")] = milliseconds(time).into();
    }
    Ok(row)
}

/// All of them, as a table and as JSON.
pub fn run(gpu: &Gpu, runs: usize, words: &[String]) -> Result<Value, Box<dyn Error>> {
    let columns = ["elsewhere", "in place", "q of qkv", "in qkv"];
    print!("{:<24} {:<18} {:>9}", "case", "shape", "copy ms");
    println!("{}", columns.map(|name| format!(" {name:>11} {:>6}", "ratio")).concat());
    let copies = Copies::new(gpu);
    let mut rows = vec![];
    for case in cases() {
        if words.is_empty() || words.iter().any(|word| case.name.to_lowercase().contains(word)) {
            rows.push(measure(gpu, &copies, &case, runs)?);
            gpu.empty_cache();
        }
    }
    Ok(report::of_run(gpu, "forward", runs, rows))
}
