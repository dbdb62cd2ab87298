//! Memory over many calls, as the system counts it.

use std::fs;

use gpunorm::{
    BatchNorm, DType, Gpu, GpuNorm, GroupNorm, InstanceNorm, LayerNorm, NormSpec, RmsNorm, SwitchableNorm, Tensor,
};
use ndarray::ArrayD;
use wgpu::PollType;

use super::super::data::Random;
use super::super::{adapters, settings};
use super::isolated_for;

/// The bytes of a line of Linux's status of this process; 0 on other systems.
pub fn status(line: &str) -> u64 {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return 0 };
    let found = status.lines().find_map(|found| found.strip_prefix(line)?.strip_suffix("kB")).expect("such a line");
    1024 * found.trim().parse::<u64>().expect("a number")
}

/// Runs `what` and gives the most bytes that it had at once above what there were, used or not.
pub fn most_of(what: impl FnOnce()) -> u64 {
    // Earlier peaks would hide it: as much as they had above now is taken meanwhile.
    let before = status("VmPeak:");
    let _taken = Vec::<u8>::with_capacity((before - status("VmSize:")) as usize);
    what();
    status("VmPeak:") - before
}

const CALLS: usize = 20_000;
/// Of one layer.
const ROUNDS: usize = 10;

/// A new layer, and forwards and backwards of it over inputs of several sizes, of arrays and of tensors. How many calls
/// there were.
fn calls(gpu: &Gpu, random: &mut Random) -> usize {
    let mut below = |end: usize| (random.uniform() * end as f64) as usize;
    let (c, s) = [(4, 9), (6, 16), (32, 1)][below(3)];
    let spec: NormSpec = match below(6) {
        0 => BatchNorm::new(c).into(),
        1 => InstanceNorm::new(c).track_running_stats(true).into(),
        2 => GroupNorm::new(2, c).into(),
        3 => LayerNorm::new([c, s]).into(),
        4 => RmsNorm::new([s]).into(),
        _ => SwitchableNorm::new(c).into(),
    };
    let norm = GpuNorm::new(gpu, spec).unwrap();
    let mut calls = 0;
    for round in 0..ROUNDS {
        let x = ArrayD::from_shape_fn(vec![2 + below(40), c, s], |at| (at[0] + 3 * at[1] + 7 * at[2]) as f32);
        if round == 0 && s > 1 {
            norm.forward(&x).unwrap();
            calls += 1;
        } else if let Ok((y, saved)) = norm.forward_saved(&Tensor::from_array(gpu, &x).unwrap()) {
            norm.backward(&y, &saved).unwrap();
            calls += 2;
        }
    }
    calls
}

/// Over tensors that stay, nothing is made anew, not by drivers either: Mesa's has kept 200 KiB of each dispatch of a kernel
/// whose loops it took for something to compile anew.
#[test]
fn training_loops_take_no_memory() {
    isolated_for(settings::within(240), "memory::training_loops_take_no_memory", &[], || {
        let cases: [(NormSpec, usize, DType); 7] = [
            (BatchNorm::new(64).into(), 256, DType::F32),
            (InstanceNorm::new(64).affine(true).into(), 256, DType::F32),
            (GroupNorm::new(8, 64).into(), 256, DType::F32),
            (LayerNorm::new([64, 256]).into(), 256, DType::F32),
            (RmsNorm::new([256]).into(), 256, DType::F32),
            (SwitchableNorm::new(64).into(), 256, DType::F32),
            (SwitchableNorm::new(64).into(), 49, DType::F16),
        ];
        for (name, gpu) in adapters::all() {
            for (spec, spatial, dtype) in &cases {
                let norm = GpuNorm::new(gpu, spec.clone()).unwrap();
                let values = ArrayD::from_shape_fn(vec![8, 64, *spatial], |at| at[2] as f32);
                let x = Tensor::from_array_as(gpu, &values, *dtype).unwrap();
                let (y, saved) = norm.forward_saved(&x).unwrap();
                let gradients = norm.zero_gradients(&saved).unwrap();
                let steps = |count: usize| {
                    for _ in 0..count {
                        let mut encoder = gpu.device().create_command_encoder(&Default::default());
                        norm.encode_forward_again(&mut encoder, &y, &saved).unwrap();
                        norm.encode_backward(&mut encoder, &y, &saved, &gradients).unwrap();
                        gpu.queue().submit([encoder.finish()]);
                        gpu.device().poll(PollType::wait_indefinitely()).unwrap();
                    }
                    status("VmRSS:")
                };
                let (early, late) = (steps(50), steps(250));
                let grown = late.saturating_sub(early);
                println!("{name}, {}: {grown} bytes more", spec.name());
                assert!(grown < 8 << 20, "{name}, {}: {early} bytes, {late} after 250 steps", spec.name());
            }
        }
    });
}

/// Windows of calls after the first, in which caches fill and pipelines compile. What is lost per call shows in every one;
/// the heap of a process grows in steps besides, of up to 10 MB here, in one window and then in none for many.
const WINDOWS: usize = 6;
const WINDOW: usize = CALLS * 3 / 4 / WINDOWS;

/// Half a kilobyte lost per call would show.
#[test]
fn memory_stays_bounded() {
    // Where threads meet in it, glibc reserves 64 MiB of addresses for another arena.
    let env = [("MALLOC_ARENA_MAX", "1")];
    isolated_for(settings::within(240), "memory::memory_stays_bounded", &env, || {
        for (name, gpu) in adapters::all() {
            let mut random = Random::new(settings::seed());
            let mut done = 0;
            let mut until = |end: usize| {
                while done < end {
                    done += calls(gpu, &mut random);
                }
                // What is in flight has memory too, and SwiftShader crashes in a process that ends before its work.
                gpu.device().poll(PollType::wait_indefinitely()).unwrap();
                ["VmRSS:", "VmSize:"].map(status)
            };
            let seen: Vec<[u64; 2]> = (0..=WINDOWS).map(|k| until(CALLS / 4 + k * WINDOW)).collect();
            println!("{name}: {seen:?} bytes resident and in all");
            for k in [0, 1] {
                let mut grown: Vec<u64> = seen.windows(2).map(|pair| pair[1][k].saturating_sub(pair[0][k])).collect();
                grown.sort_unstable();
                let median = grown[WINDOWS / 2];
                assert!(median < 512 * WINDOW as u64, "{name}: {median} bytes per window: {seen:?}");
                assert!(grown.iter().sum::<u64>() < 32 << 20, "{name}: {seen:?}");
            }
        }
    });
}
