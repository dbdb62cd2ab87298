//! Devices: the app's own with no more than WebGPU's defaults, async use, and the program that the crate was asked for.

use std::error::Error as StdError;
use std::sync::LazyLock;

use gpunorm::unstable::{Caps, Strategy};
use gpunorm::{BatchNorm, DType, Error, Gpu, GpuNorm, Mode, NormSpec, StateDict, SwitchableNorm, Tensor};
use ndarray::{Array4, ArrayD, IxDyn};
use wgpu::{DeviceDescriptor, Features, Instance, InstanceDescriptor, Limits};

use super::{adapters, case, data};

static ADAPTERS: LazyLock<Vec<(String, wgpu::Adapter)>> = LazyLock::new(|| {
    let instance = Instance::new(InstanceDescriptor::new_without_display_handle());
    let found = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let same = |adapter: &&wgpu::Adapter, gpu: &Gpu| {
        let (one, other) = (adapter.get_info(), gpu.adapter_info());
        (one.backend, one.name) == (other.backend, other.name)
    };
    let of = |gpu| found.iter().find(|adapter| same(adapter, gpu)).expect("the adapter behind the device").clone();
    adapters::all().map(|(name, gpu)| (name.to_owned(), of(gpu))).collect()
});

/// The adapters behind [`adapters::all`], for tests that need a device of their own.
pub fn adapters() -> adapters::Turns<wgpu::Adapter> {
    adapters::Turns::over(&ADAPTERS)
}

/// A device as an app would open it.
pub fn device(adapter: &wgpu::Adapter, limits: Limits) -> (wgpu::Device, wgpu::Queue) {
    let descriptor = DeviceDescriptor { required_limits: limits, ..Default::default() };
    pollster::block_on(adapter.request_device(&descriptor)).expect("a device of these limits")
}

/// Every norm in training and evaluation on `gpu`; what failed, with the layer that it failed on.
fn every_norm(gpu: &Gpu) -> (usize, Vec<(NormSpec, Mode, String)>) {
    let (mut checks, mut failed) = (0, vec![]);
    for shape in [&[3, 6, 11, 12][..], &[70, 6, 1], &[2, 6, 5000]] {
        let specs = data::channel_specs(6).into_iter().chain(data::trailing_specs(shape, 1));
        let specs = specs.chain(data::layout_specs(shape).into_iter().filter(|_| shape.len() == 4));
        // The oracle is slow: long rows only where they are cut up.
        let long = |spec: &NormSpec| matches!(spec, NormSpec::Switchable(_) | NormSpec::Batch(_) | NormSpec::Rms(_));
        for spec in specs.filter(|spec| shape[2] < 100 || long(spec)) {
            for mode in [Mode::Training, Mode::Evaluation] {
                if gpunorm::unstable::Geometry::new(&spec, mode, shape).is_err() {
                    continue;
                }
                let x = data::values("normal", shape, 1);
                let dtype = [DType::F32, DType::F16, DType::BF16][checks % 3];
                checks += 1;
                let case = case::Output::new(&spec, mode, data::state(&spec), &x, dtype);
                let result = case.check(gpu, Strategy::default());
                failed.extend(result.err().map(|reason| (spec.clone(), mode, reason)));
            }
        }
    }
    (checks, failed)
}

/// 256 threads, 8 storage buffers, 16 KiB of shared memory, 128 MiB bindings, no subgroups, no timestamps. f16 may still be decoded by an instruction.
#[test]
fn every_norm_runs_within_the_default_limits() {
    for (name, adapter) in adapters() {
        let (device, queue) = device(adapter, Limits::default());
        assert_eq!(device.features() & (Features::SUBGROUP | Features::TIMESTAMP_QUERY), Features::empty());
        let gpu = Gpu::from_device(device, queue);
        let Caps { f16, software, .. } = *gpu.caps();
        assert_eq!(*gpu.caps(), Caps { f16, software, ..Caps::WEBGPU }, "{name}");
        let (checks, failed) = every_norm(&gpu);
        assert!(failed.is_empty(), "{name}: {failed:#?}");
        assert!(checks > 90, "only {checks} checks");
    }
}

/// GLES 3.1's limits have compute, but 4 storage buffers: too few for a kernel that also moves running statistics. What
/// fits runs and is right, what does not is refused with the number, never a panic or a wrong result.
#[test]
fn downlevel_limits_run_what_fits() {
    for (name, adapter) in adapters() {
        let (device, queue) = device(adapter, Limits::downlevel_defaults());
        let (checks, failed) = every_norm(&Gpu::from_device(device, queue));
        for (spec, mode, reason) in &failed {
            let told = reason.contains("storage buffers") && reason.ends_with("this device allows 4");
            assert!(told, "{name}, {spec:?}, {mode:?}: {reason}");
        }
        let ran = checks - failed.len();
        assert!(ran > 30, "{name}: only {ran} of {checks} ran");
    }
}

#[test]
fn a_device_of_the_app_is_used_as_it_is() {
    let (_, adapter) = adapters().next().unwrap();
    let (device, queue) = device(adapter, Limits::default());
    let gpu = Gpu::from_device(device.clone(), queue.clone());
    assert_eq!(*gpu.device(), device);
    assert_eq!(*gpu.queue(), queue);
    assert_eq!(gpu.adapter_info().name, adapter.get_info().name);

    // A layer between the app's own passes: x is the app's buffer, and so is where y goes.
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let buffer =
        |size| device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
    let values: Vec<f32> = (0..24).map(|i| (i * i % 7) as f32).collect();
    let (input, output) = (buffer(24 * 4), buffer(256 + 24 * 4));
    queue.write_buffer(&input, 0, bytemuck::cast_slice(&values));
    let x = Tensor::wrap(&gpu, input, 0, &[4, 6], DType::F32).unwrap();
    let y = Tensor::wrap(&gpu, output.clone(), 256, &[4, 6], DType::F32).unwrap();
    let norm = GpuNorm::new(&gpu, BatchNorm::new(6)).unwrap();
    let mut encoder = device.create_command_encoder(&Default::default());
    norm.encode_forward(&mut encoder, &x, &y).unwrap();
    queue.submit([encoder.finish()]);
    let array = ArrayD::from_shape_vec(IxDyn(&[4, 6]), values).unwrap();
    let expected = GpuNorm::new(&gpu, BatchNorm::new(6)).unwrap().forward(&array).unwrap();
    assert_eq!(y.to_array().unwrap(), expected);
    assert_eq!((y.buffer(), y.offset()), (&output, 256));
    // Nothing before the offset was touched.
    let before = Tensor::wrap(&gpu, output, 0, &[64], DType::F32).unwrap().to_array().unwrap();
    assert!(before.iter().all(|&value| value == 0.0), "{before}");
}

#[test]
fn async_calls_need_only_an_executor() {
    let result: Result<(), Error> = pollster::block_on(async {
        let gpu = Gpu::request().await?;
        let x = Tensor::from_array(&gpu, &data::values("normal", &[4, 3, 5], 1))?;
        let norm = GpuNorm::new(&gpu, BatchNorm::new(3))?;
        let y = norm.forward_tensor(&x)?;
        assert_eq!(y.read().await?, y.to_array()?);
        assert_eq!(norm.read_state_dict("a.").await?, norm.state_dict("a.")?);
        Ok(())
    });
    result.unwrap();
}

/// Every element type and length, odd ones too, comes back as it went in.
#[test]
fn tensors_keep_their_elements() {
    for (name, gpu) in adapters::all() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            for shape in [&[][..], &[1], &[2], &[3], &[5, 7], &[1, 0, 3], &[0], &[3, 1, 1, 1, 1, 1, 1, 1, 2]] {
                let x = data::values("uniform", shape, 1).mapv(f32::floor);
                let tensor = Tensor::from_array_as(gpu, &x, dtype).unwrap();
                assert_eq!((tensor.shape(), tensor.dtype(), tensor.len()), (shape, dtype, x.len()));
                assert_eq!(tensor.is_empty(), x.is_empty());
                assert_eq!(tensor.to_array().unwrap(), x, "{name}, {dtype}, {shape:?}");
                let zeros = Tensor::zeros(gpu, shape, dtype).unwrap().to_array().unwrap();
                assert_eq!(zeros, ArrayD::<f32>::zeros(shape), "{name}, {dtype}, {shape:?}");
            }
        }
        let x = data::values("normal", &[4, 5, 6], 1);
        let turned = x.view().reversed_axes();
        let tensor = Tensor::from_array(gpu, &turned).unwrap();
        assert_eq!(tensor.to_array().unwrap(), turned, "{name}, another memory order");
    }
}

#[test]
fn a_profile_has_every_step() {
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, SwitchableNorm::new(6)).unwrap();
        let x = Tensor::from_array(gpu, &data::values("normal", &[3, 6, 50], 1)).unwrap();
        let y = Tensor::zeros(gpu, x.shape(), DType::F32).unwrap();
        let steps: Vec<_> =
            norm.plan(x.shape(), DType::F32).unwrap().steps.iter().map(|step| step.kernel.name()).collect();
        let profile = norm.profile(&x, &y).unwrap();
        assert_eq!(profile.is_some(), gpu.device().features().contains(Features::TIMESTAMP_QUERY), "{name}");
        if let Some(times) = profile {
            assert_eq!(times.iter().map(|(kernel, _)| *kernel).collect::<Vec<_>>(), steps, "{name}");
            assert_eq!(norm.state_dict("").unwrap().get("num_batches_tracked").unwrap()[[]], 1.0, "{name}");
        }

        let (dy, saved) = norm.forward_saved(&x).unwrap();
        let gradients = norm.zero_gradients(&saved).unwrap();
        let plan = norm.plan_backward(&saved).unwrap();
        if let Some(times) = norm.profile_backward(&dy, &saved, &gradients).unwrap() {
            let steps: Vec<_> = plan.steps.iter().map(|step| step.kernel.name()).collect();
            assert_eq!(times.iter().map(|(kernel, _)| *kernel).collect::<Vec<_>>(), steps, "{name}");
            let expected = norm.backward(&dy, &saved).unwrap().input().unwrap().to_array().unwrap();
            assert_eq!(gradients.input().unwrap().to_array().unwrap(), expected, "{name}");
        }
    }
}

/// Why the device is gone, where that can be known, and what noticed it.
#[test]
fn a_lost_device_says_why_and_when() {
    for (name, adapter) in adapters() {
        let own = pollster::block_on(Gpu::from_adapter(adapter)).unwrap();
        let (device, queue) = device(adapter, Limits::default());
        let app = Gpu::from_device(device, queue);
        let theirs = "wgpu tells why to a callback of the app's, whose device it is";
        for (gpu, reason) in [(own, "it was destroyed"), (app, theirs)] {
            let mut norm = GpuNorm::new(&gpu, BatchNorm::new(6)).unwrap();
            let (y, saved) = norm.forward_saved(&Tensor::zeros(&gpu, &[4, 6], DType::F32).unwrap()).unwrap();
            let state = norm.state_dict("").unwrap();
            // Prepares a pass over tensors; the memory of one of them will be found again.
            drop(norm.forward_tensor(&y).unwrap());
            gpu.device().destroy();
            for (during, call) in [
                ("running a forward", norm.forward_tensor(&y).map(drop)),
                ("running a backward", norm.backward(&y, &saved).map(drop)),
                ("reading a tensor", y.to_array().map(drop)),
                ("reading a state dict", norm.state_dict("").map(drop)),
                ("loading a state dict", norm.load_state_dict(&state, "")),
                ("resetting a layer", norm.reset_parameters()),
                ("making a layer", GpuNorm::new(&gpu, BatchNorm::new(6)).map(drop)),
                ("making a tensor", Tensor::zeros(&gpu, &[3], DType::F32).map(drop)),
                ("wrapping a buffer", Tensor::wrap(&gpu, y.buffer().clone(), 0, &[3], DType::F32).map(drop)),
                ("compiling kernels", gpu.warm_up(&[BatchNorm::new(6).into()], &[&[4, 6]], DType::F32, Mode::Training)),
            ] {
                let told = format!("the device was lost: {reason} (while {during})");
                assert_eq!(call.unwrap_err().to_string(), told, "{name}");
            }
        }
    }
}

/// What one run has compiled is there for the next, from the bytes that the app keeps.
#[test]
fn pipeline_caches() {
    for (name, adapter) in adapters() {
        let gpu = pollster::block_on(Gpu::from_adapter(adapter)).unwrap();
        if !gpu.device().features().contains(wgpu::Features::PIPELINE_CACHE) {
            // Only Vulkan has them.
            assert_ne!(gpu.adapter_info().backend, wgpu::Backend::Vulkan);
            continue;
        }
        let run = |data: Option<&[u8]>| {
            let descriptor = wgpu::PipelineCacheDescriptor { label: None, data, fallback: false };
            // SAFETY: the bytes come from `get_data`, below.
            let cache = unsafe { gpu.device().create_pipeline_cache(&descriptor) };
            let norm = GpuNorm::new(&gpu.with_pipeline_cache(cache.clone()), BatchNorm::new(3)).unwrap();
            (norm.forward(&data::values("normal", &[4, 3, 50], 3)).unwrap(), cache.get_data().unwrap())
        };
        let (first, data) = run(None);
        let (second, again) = run(Some(&data));
        assert_eq!(first, second, "{name}");
        // A driver need not keep anything: Mesa's software one has a disk cache of its own.
        assert!(!data.is_empty() && again.len() >= data.len(), "{name}: {} bytes, then {}", data.len(), again.len());
    }
}

/// A plan is of what could be there.
#[test]
fn plans_of_tensors_that_no_buffer_holds() {
    for (name, gpu) in adapters::all() {
        let gpu = &gpu.with_caps(Caps { max_buffer: 1 << 20, ..*gpu.caps() });
        let norm = GpuNorm::new(gpu, BatchNorm::new(1)).unwrap();
        let spec = [NormSpec::from(BatchNorm::new(1))];
        for shape in [[1 << 10, 1, (1 << 8) + 1], [1, 1, (1 << 18) + 1]] {
            let refused = Tensor::zeros(gpu, &shape, DType::F32).unwrap_err();
            assert!(matches!(refused, Error::TooLarge { what: "a tensor", .. }));
            assert_eq!(norm.plan(&shape, DType::F32).map(drop), Err(refused.clone()), "{name}");
            for mode in [Mode::Training, Mode::Evaluation] {
                assert_eq!(gpu.warm_up(&spec, &[&shape], DType::F32, mode), Err(refused.clone()), "{name}");
            }
        }
        assert!(
            norm.plan(&[1, 1, 1 << 18], DType::F32).is_ok()
                && gpu.warm_up(&spec, &[&[1, 1, 1 << 18]], DType::F32, Mode::Evaluation).is_ok()
        );
    }
}

fn program() -> Result<(), Box<dyn StdError>> {
    let gpu = Gpu::new()?;
    println!("{}", gpu.adapter_info().name);
    let x = Array4::<f32>::from_shape_fn((8, 64, 28, 28), |(n, c, h, w)| (n * 7 + c * 3 + h * w) as f32 % 11.0);
    let mut norm = GpuNorm::new(&gpu, BatchNorm::new(64).momentum(0.1).eps(1e-5))?;
    let y = norm.forward(&x)?;
    norm.eval();
    let y_eval = norm.forward(&x)?;
    let mut state = StateDict::new();
    for (key, value) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
        state.insert(format!("bn1.{key}"), ArrayD::from_elem(IxDyn(&[64]), value));
    }
    norm.load_state_dict(&state, "bn1.")?;
    let saved = norm.state_dict("bn1.")?;
    assert!(saved.get("bn1.running_mean").is_some());
    let bytes = saved.to_safetensors()?;
    let sn = GpuNorm::new(&gpu, SwitchableNorm::new(64))?;
    let resident = Tensor::from_array(&gpu, &x)?;
    let out = sn.forward_tensor(&resident)?;
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    sn.encode_forward(&mut encoder, &resident, &out)?;
    gpu.queue().submit([encoder.finish()]);
    let back: ArrayD<f32> = out.to_array()?;
    println!("{}", sn.plan(resident.shape(), resident.dtype())?);

    // What it computed.
    let (mean, largest) = (y.mean().unwrap_or(f32::NAN), y.iter().fold(0.0f32, |most, value| most.max(value.abs())));
    assert!(mean.abs() < 1e-4 && (1.0..3.0).contains(&largest), "mean {mean}, largest {largest}");
    assert_eq!((y.dim(), y_eval.dim()), (x.dim(), x.dim()));
    assert_ne!(y, y_eval);
    assert_eq!(StateDict::from_safetensors(&bytes)?, saved);
    assert_eq!(back.shape(), [8, 64, 28, 28]);
    assert_eq!(sn.state_dict("")?.get("num_batches_tracked").map(|count| count[[]]), Some(2.0));
    Ok(())
}

#[test]
fn the_program_of_the_issue() {
    program().unwrap();
}
