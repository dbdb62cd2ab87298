//! What could abort or hang rather than panic, each in a process of its own: sizes beyond all memory, no adapter, and
//! anything at all; in the modules a lost device, low limits, damaged files, thousands of calls and random cases.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use gpunorm::unstable::{Caps, F16, Geometry, Route, SubgroupSizes, Team};
use gpunorm::{
    BatchNorm, DType, Error, Gpu, GpuNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, Plan, RmsNorm,
    SwitchableNorm, Tensor, Variance,
};
use ndarray::Array1;
use proptest::prelude::*;

use super::errors::refused;
use super::{adapters, data, settings};

mod files;
mod fuzz;
mod limits;
mod lost;
mod memory;
mod soak;
mod strategies;

const HUGE: usize = 1 << 40;

/// Set where a test is already in a process of its own.
const CHILD: &str = "GPUNORM_TEST_CHILD";

/// Runs the calling test, `hostile::name`, again in a process of its own, with `env`, where it runs `body`; fails if
/// that panics, aborts or takes longer than `limit`. What it printed comes back.
fn isolated_for(limit: Duration, name: &str, env: &[(&str, &str)], body: impl FnOnce()) -> String {
    if std::env::var_os(CHILD).is_some() {
        body();
        return String::new();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("hostile::{name}"), "--nocapture"]).env(CHILD, "1").envs(env.iter().copied());
    // A file, since a pipe that nobody reads would hold the child up.
    let path = format!("{}/{}_{}", env!("CARGO_TARGET_TMPDIR"), name.replace("::", "_"), std::process::id());
    let file = File::create(&path).unwrap();
    let mut child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > limit => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let output = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
    std::fs::remove_file(&path).unwrap();
    let end = output.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
    let told = format!("{name}: {status} after {:?}\n{}", start.elapsed(), &output[end..]);
    assert!(status.success() && output.contains("1 passed"), "{told}");
    output
}

/// The same within four minutes.
fn isolated(name: &str, env: &[(&str, &str)], body: impl FnOnce()) -> String {
    // A hang is what it is for; with Mesa's shader cache empty some take half a minute alone.
    isolated_for(settings::within(240), name, env, body)
}

// ---- beyond all memory

/// Specs that no memory could hold are refused by the device and by the oracle.
#[test]
fn layers_beyond_all_memory() {
    isolated("layers_beyond_all_memory", &[], || {
        let limit = adapters::first().caps().max_binding.min(adapters::first().caps().max_buffer);
        let specs: [NormSpec; 6] = [
            BatchNorm::new(HUGE).into(),
            GroupNorm::new(2, HUGE).into(),
            InstanceNorm::new(HUGE).track_running_stats(true).into(),
            SwitchableNorm::new(HUGE).into(),
            LayerNorm::new([HUGE]).into(),
            RmsNorm::new([1 << 20, 1, 1 << 20]).into(),
        ];
        for spec in specs {
            let told = format!("a parameter needs 4398046511104 bytes, this device allows {limit}");
            refused!(GpuNorm::new(adapters::first(), spec), Error::TooLarge { .. }, told);
        }
        for shape in [vec![usize::MAX], vec![usize::MAX, 2], vec![usize::MAX; 40], vec![usize::MAX, 0]] {
            let told = format!("a parameter needs {} bytes, this device allows {limit}", u64::MAX);
            refused!(GpuNorm::new(adapters::first(), LayerNorm::new(shape)), Error::TooLarge { .. }, told);
        }
        // Without parameters there is nothing to hold.
        GpuNorm::new(adapters::first(), LayerNorm::new([usize::MAX, 2]).affine(false)).unwrap();
    });
}

/// Shapes that fit the layer, but no device.
#[test]
fn shapes_beyond_all_memory() {
    isolated("shapes_beyond_all_memory", &[], || {
        for (name, gpu) in adapters::all() {
            let specs: [NormSpec; 5] = [
                BatchNorm::new(1).into(),
                GroupNorm::new(1, 1).into(),
                SwitchableNorm::new(1).into(),
                InstanceNorm::new(1).into(),
                LayerNorm::new([1]).into(),
            ];
            for (spec, size) in specs.iter().flat_map(|spec| [40, 52, 60, 62].map(|log| (spec, 1usize << log))) {
                for shape in [vec![size, 1, 2], vec![2, 1, size], vec![size, 1, 1]] {
                    let shape = if matches!(spec, NormSpec::Layer(_)) { vec![size, 1] } else { shape };
                    let norm = GpuNorm::new(gpu, spec.clone()).unwrap();
                    match norm.plan(&shape, DType::F32) {
                        Err(Error::TooLarge { .. }) => {}
                        Err(Error::OneValue { .. }) if shape[2] == 1 => {}
                        other => panic!("{name}, {spec:?}, {shape:?}: {other:?}"),
                    }
                }
            }
            // As an array without memory behind it.
            let one = Array1::from_elem(1, 1.0f32);
            for shape in [(HUGE, 1, 2), (2, 1, HUGE)] {
                let x = one.broadcast(shape).unwrap();
                let norm = GpuNorm::new(gpu, BatchNorm::new(1)).unwrap();
                assert!(matches!(norm.forward(&x), Err(Error::TooLarge { .. })), "{name}, {shape:?}");
                let told = format!("a tensor needs {} bytes, this device allows {}", 8 * HUGE, gpu.caps().max_buffer);
                refused!(Tensor::from_array(gpu, &x), Error::TooLarge { .. }, told);
            }
            for (shape, needed) in [(&[HUGE][..], 1 << 42), (&[usize::MAX, 2], u64::MAX), (&[usize::MAX; 40], u64::MAX)]
            {
                let told = format!("a tensor needs {needed} bytes, this device allows {}", gpu.caps().max_buffer);
                refused!(Tensor::zeros(gpu, shape, DType::F32), Error::TooLarge { .. }, told);
            }
            // Nothing to hold, but ndarray has no array of this shape.
            let unaddressed = Tensor::zeros(gpu, &[0, usize::MAX], DType::F16);
            assert!(matches!(unaddressed, Err(Error::TooLarge { .. })));
        }
    });
}

// ---- the device

#[test]
fn no_adapter() {
    let run = |env: &[(&str, &str)]| {
        isolated("no_adapter", env, || println!("told: {:?}", Gpu::new().map(|_| ()).map_err(|e| e.to_string())))
    };
    let name = run(&[("WGPU_ADAPTER_NAME", "Voodoo 5")]);
    if name.is_empty() {
        return; // the child
    }
    let start = r#"told: Err("no usable GPU adapter: WGPU_ADAPTER_NAME is \"voodoo 5\", found [\""#;
    assert!(name.contains(start), "{name}");
    let driver =
        run(&[("WGPU_BACKEND", "vulkan"), ("VK_DRIVER_FILES", "/nowhere.json"), ("VK_ICD_FILENAMES", "/nowhere.json")]);
    let told = r#"told: Err("no usable GPU adapter: no driver for Backends(VULKAN) was found; on Linux without one, install Mesa's Vulkan drivers")"#;
    assert!(driver.contains(told), "{driver}");
    let backend = run(&[("WGPU_BACKEND", "nonsense")]);
    let told = r#"told: Err("no usable GPU adapter: WGPU_BACKEND is \"nonsense\", which names none of vulkan, metal, dx12 and gl")"#;
    assert!(backend.contains(told), "{backend}");
    let elsewhere = if cfg!(target_os = "macos") { "dx12" } else { "metal" };
    let backend = run(&[("WGPU_BACKEND", elsewhere)]);
    let told = format!(r#"WGPU_BACKEND is \"{elsewhere}\", which neither this system nor this build of wgpu has")"#);
    assert!(backend.contains(&told), "{backend}");
}

/// In a fresh process both devices are the first of their instances, which wgpu's own ids cannot tell apart.
#[test]
fn two_gpus_are_two_devices() {
    isolated("two_gpus_are_two_devices", &[], || {
        let [gpu, other] = [(); 2].map(|()| Gpu::new().unwrap());
        let norm = GpuNorm::new(&gpu, BatchNorm::new(6)).unwrap();
        let [own, foreign] = [&gpu, &other].map(|gpu| Tensor::zeros(gpu, &[4, 6], DType::F32).unwrap());
        let told = "the input belongs to another wgpu device";
        refused!(norm.forward_tensor(&foreign), Error::OtherDevice { .. }, told);
        let same = GpuNorm::new(&gpu.with_caps(*gpu.caps()), BatchNorm::new(6)).unwrap();
        same.forward_tensor(&own).unwrap();
    });
}

// ---- anything at all

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0usize..4, 4 => 1usize..40, 2 => 1usize..5000, 1 => (0u32..64).prop_map(|log| 1usize << log), 1 => any::<usize>()]
}

fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![8 => prop::collection::vec(size(), 0..6), 1 => prop::collection::vec(0usize..3, 0..40)]
}

/// Any layer; more often than not one that takes `shape`.
fn spec(shape: Vec<usize>) -> impl Strategy<Value = NormSpec> {
    let near = |place: usize| shape.get(place).copied().unwrap_or(1);
    let channels = prop_oneof![6 => Just(near(1)), 2 => Just(near(0)), 1 => size()];
    let groups = prop_oneof![1 => size(), 2 => Just(1), 2 => Just(near(1))];
    let rank = shape.len();
    let normalized = prop_oneof![8 => (0..=rank).prop_map(move |axis| shape[axis..].to_vec()), 1 => self::shape()];
    let number = || prop_oneof![8 => Just(1e-5f32), 1 => Just(0.0), 1 => Just(-1.0), 1 => any::<f32>()];
    (0..6, channels, groups, normalized, number(), number(), any::<[bool; 7]>()).prop_map(
        |(norm, channels, groups, normalized, eps, momentum, [affine, bias, track, cumulative, a, b, elsewhere])| {
            let spec = match norm {
                0 | 1 if cumulative => BatchNorm::new(channels)
                    .eps(eps)
                    .cumulative_average()
                    .affine(affine)
                    .bias(bias)
                    .track_running_stats(track)
                    .into(),
                0 => BatchNorm::new(channels)
                    .eps(eps)
                    .momentum(momentum)
                    .affine(affine)
                    .bias(bias)
                    .track_running_stats(track)
                    .into(),
                1 => InstanceNorm::new(channels)
                    .eps(eps)
                    .momentum(momentum)
                    .affine(affine)
                    .bias(bias)
                    .track_running_stats(track)
                    .unbatched(a)
                    .into(),
                2 => GroupNorm::new(groups, channels).eps(eps).affine(affine).bias(bias).into(),
                3 => LayerNorm::new(normalized).eps(eps).affine(affine).bias(bias).into(),
                4 => RmsNorm::new(normalized).eps(eps).affine(affine).into(),
                _ => {
                    let variance = if track { Variance::Biased } else { Variance::Reference };
                    SwitchableNorm::new(channels)
                        .eps(eps)
                        .momentum(momentum)
                        .affine(affine)
                        .instance_statistics(a)
                        .batch_statistics(b)
                        .variance(variance)
                        .into()
                }
            };
            if elsewhere { data::exchanged(spec) } else { spec }
        },
    )
}

fn caps() -> impl Strategy<Value = Caps> {
    let small =
        || prop_oneof![4 => Just(256u32), 2 => (0u32..12).prop_map(|log| 1 << log), 1 => any::<u32>(), 1 => Just(0)];
    let bytes = || prop_oneof![4 => Just(128u64 << 20), 2 => (0u32..64).prop_map(|log| 1 << log), 1 => any::<u64>(), 1 => Just(0)];
    let workgroups = prop_oneof![4 => Just(65535), 1 => 0u32..10, 1 => any::<u32>()];
    (small(), workgroups, bytes(), bytes(), bytes(), small(), prop::option::of((small(), small())), any::<bool>())
        .prop_map(
            |(
                max_workgroup,
                max_workgroups,
                max_binding,
                max_buffer,
                alignment,
                workgroup_storage,
                subgroup,
                software,
            )| Caps {
                max_workgroup,
                max_workgroups,
                max_binding,
                max_buffer,
                alignment: if alignment == 128 << 20 { 256 } else { alignment },
                max_storage_buffers: 8,
                workgroup_storage,
                subgroup: subgroup.map(|(min, max)| SubgroupSizes { min, max }),
                f16: F16::Integer,
                software,
            },
        )
}

fn strategy() -> impl Strategy<Value = gpunorm::unstable::Strategy> {
    let route = prop::option::of(prop::sample::select(vec![Route::Fused, Route::Split]));
    let lanes = prop::option::of(prop_oneof![1u32..2000, any::<u32>()]);
    let team = prop::option::of(prop::sample::select(Team::ALL.to_vec()));
    (route, team, lanes).prop_map(|(route, team, lanes)| gpunorm::unstable::Strategy { route, team, lanes })
}

/// The pure half of the crate never panics, and a plan that it makes stays within the device.
#[test]
fn planning_survives_anything() {
    let input = shape().prop_flat_map(|shape| (spec(shape.clone()), Just(shape)));
    let modes = prop::sample::select(vec![Mode::Training, Mode::Evaluation]);
    let dtypes = prop::sample::select(vec![DType::F32, DType::F16, DType::BF16]);
    let everything = (input, modes, dtypes, caps(), strategy());
    let config = ProptestConfig { max_shrink_iters: 5000, ..settings::cases(50_000) };
    isolated("planning_survives_anything", &[], || {
        let planned = std::cell::Cell::new(0);
        proptest!(config, |(((spec, shape), mode, dtype, caps, strategy) in everything)| {
            let valid = spec.validate().is_ok();
            let Ok(geometry) = Geometry::new(&spec, mode, &shape) else { return Ok(()) };
            prop_assert_eq!(geometry.len(), shape.iter().product::<usize>());
            let Ok(plan) = Plan::forward(&spec, &geometry, dtype, &caps, strategy) else { return Ok(()) };
            if valid {
                prop_assert!(!plan.to_string().is_empty());
                let fits = |step: &gpunorm::unstable::Step| step.workgroups.iter().all(|&count| count <= caps.max_workgroups.max(1)) && step.bytes.end - step.bytes.start <= caps.max_binding;
                prop_assert!(plan.steps.iter().all(fits), "{plan}");
                planned.set(planned.get() + 1);
            }
        });
        assert!(planned.get() > 2000, "only {} plans", planned.get());
    });
}
