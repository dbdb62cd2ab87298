//! A destroyed device under every public call: what needs it says that it is gone, everything else goes on.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use gpunorm::unstable::Strategy;
use gpunorm::{
    BatchNorm, DType, Error, Gpu, GpuNorm, Gradients, LayerNorm, Mode, NormSpec, ProcessGroup, SwitchableNorm, Tensor,
    Wanted,
};
use pollster::block_on;
use wgpu::Limits;

use super::super::{data, devices};
use super::isolated;

/// The types that hold on to a device.
const TYPES: [&str; 5] = ["Gpu", "GpuNorm", "Tensor", "Saved", "Gradients"];

/// What a call that needs the device gave; None of others.
type Gave = Option<Result<(), Error>>;

fn lost<T>(result: Result<T, Error>) -> Gave {
    Some(result.map(drop))
}

fn fine<T>(call: impl FnOnce() -> T) -> Gave {
    call();
    None
}

/// Makes every public call on a device that is destroyed after all there is to call on was made.
fn every_call(adapter: &wgpu::Adapter, gpu: &Gpu) -> Vec<(&'static str, Gave)> {
    let shape = [4, 6, 8];
    let array = data::values("normal", &shape, 1);
    let spec = NormSpec::from(SwitchableNorm::new(6));
    let mut norm = GpuNorm::new(gpu, spec.clone()).unwrap();
    let x = Tensor::from_array(gpu, &array).unwrap();
    let (y, saved) = norm.forward_saved(&x).unwrap();
    let gradients = norm.backward(&y, &saved).unwrap();
    // Of a batch that others would have shares of.
    let [group] = &ProcessGroup::local(1, Duration::from_secs(60))[..] else { panic!("a group of one") };
    let mut shared = GpuNorm::new(gpu, spec.clone()).unwrap();
    shared.set_process_group(Some(group));
    let (_, shared_saved) = shared.forward_saved(&x).unwrap();
    let shared_gradients = shared.zero_gradients(&shared_saved).unwrap();
    let fresh = || Tensor::zeros(gpu, &shape, DType::F32).unwrap();
    let [fresh, another] = [fresh(), fresh()];
    let weight = Tensor::zeros(gpu, &[6], DType::F32).unwrap();
    let shares = Tensor::zeros(gpu, &[3], DType::F32).unwrap();
    let state = norm.state_dict("").unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let (device, queue) = (gpu.device().clone(), gpu.queue().clone());
    let descriptor = wgpu::PipelineCacheDescriptor { label: None, data: None, fallback: false };
    let caches = device.features().contains(wgpu::Features::PIPELINE_CACHE);
    // SAFETY: it has no data.
    let cache = caches.then(|| unsafe { device.create_pipeline_cache(&descriptor) });
    gpu.device().destroy();

    vec![
        ("Gpu::new", fine(|| Gpu::new().unwrap())),
        ("Gpu::request", fine(|| block_on(Gpu::request()).unwrap())),
        ("Gpu::from_adapter", fine(|| block_on(Gpu::from_adapter(adapter)).unwrap())),
        ("Gpu::from_device", lost(GpuNorm::new(&Gpu::from_device(device, queue), spec.clone()))),
        ("Gpu::with_caps", lost(GpuNorm::new(&gpu.with_caps(*gpu.caps()), spec.clone()))),
        ("Gpu::with_shader_checks", lost(GpuNorm::new(&gpu.with_shader_checks(true), spec.clone()))),
        ("Gpu::with_pipeline_cache", fine(|| cache.map(|cache| gpu.with_pipeline_cache(cache)))),
        ("Gpu::device", fine(|| gpu.device())),
        ("Gpu::queue", fine(|| gpu.queue())),
        ("Gpu::adapter_info", fine(|| gpu.adapter_info())),
        ("Gpu::caps", fine(|| gpu.caps())),
        ("Gpu::check", lost(block_on(gpu.check()))),
        ("Gpu::empty_cache", fine(|| gpu.empty_cache())),
        ("Gpu::warm_up", lost(gpu.warm_up(&[BatchNorm::new(6).into()], &[&[9, 6, 77]], DType::BF16, Mode::Training))),
        (
            "Gpu::warm_up_async",
            lost(block_on(gpu.warm_up_async(&[BatchNorm::new(6).into()], &[&[9, 6, 78]], DType::BF16, Mode::Training))),
        ),
        ("GpuNorm::new", lost(GpuNorm::new(gpu, LayerNorm::new([8])))),
        ("GpuNorm::spec", fine(|| norm.spec())),
        ("GpuNorm::gpu", fine(|| norm.gpu())),
        ("GpuNorm::mode", fine(|| norm.mode())),
        ("GpuNorm::set_mode", fine(|| norm.set_mode(Mode::Training))),
        ("GpuNorm::remembered_passes", fine(|| norm.remembered_passes())),
        ("GpuNorm::set_remembered_passes", fine(|| norm.set_remembered_passes(256))),
        ("GpuNorm::try_clone", lost(norm.try_clone())),
        ("GpuNorm::call", lost(norm.call().mode(Mode::Evaluation).forward_tensor(&x))),
        ("GpuNorm::forward", lost(norm.forward(&array))),
        ("GpuNorm::forward_async", lost(block_on(norm.forward_async(&array)))),
        ("GpuNorm::forward_tensor", lost(norm.forward_tensor(&x))),
        ("GpuNorm::forward_in_place", lost(norm.forward_in_place(&x))),
        ("GpuNorm::encode_forward", lost(norm.encode_forward(&mut encoder, &x, &fresh))),
        ("GpuNorm::plan", fine(|| norm.plan(&shape, DType::F32).unwrap())),
        ("GpuNorm::profile", lost(norm.profile(&x, &fresh))),
        ("GpuNorm::profile_async", lost(block_on(norm.profile_async(&x, &fresh)))),
        ("GpuNorm::forward_saved", lost(norm.forward_saved(&x))),
        ("GpuNorm::encode_forward_saved", lost(norm.encode_forward_saved(&mut encoder, &x, &fresh))),
        ("GpuNorm::encode_forward_again", lost(norm.encode_forward_again(&mut encoder, &another, &saved))),
        ("GpuNorm::backward", lost(norm.backward(&another, &saved))),
        ("GpuNorm::backward_of", lost(norm.backward_of(&another, &saved, Wanted::Input))),
        ("GpuNorm::encode_backward", lost(norm.encode_backward(&mut encoder, &another, &saved, &gradients))),
        ("GpuNorm::profile_backward", lost(norm.profile_backward(&another, &saved, &gradients))),
        ("GpuNorm::profile_backward_async", lost(block_on(norm.profile_backward_async(&another, &saved, &gradients)))),
        ("GpuNorm::process_group", fine(|| shared.process_group().unwrap())),
        ("GpuNorm::begin_forward", lost(shared.begin_forward(&x).finish())),
        ("GpuNorm::begin_forward_into", lost(shared.begin_forward_into(&x, &fresh).finish())),
        ("GpuNorm::begin_forward_saved", lost(shared.begin_forward_saved(&x).finish())),
        ("GpuNorm::begin_backward", lost(shared.begin_backward(&another, &shared_saved, Wanted::Input).finish())),
        (
            "GpuNorm::begin_backward_into",
            lost(shared.begin_backward_into(&another, &shared_saved, &shared_gradients).finish()),
        ),
        ("GpuNorm::set_process_group", fine(|| shared.set_process_group(None))),
        ("GpuNorm::zero_gradients", lost(norm.zero_gradients(&saved))),
        ("GpuNorm::plan_backward", fine(|| norm.plan_backward(&saved).unwrap())),
        ("GpuNorm::state_dict", lost(norm.state_dict(""))),
        ("GpuNorm::read_state_dict", lost(block_on(norm.read_state_dict("")))),
        ("GpuNorm::load_state_dict", lost(norm.load_state_dict(&state, ""))),
        ("GpuNorm::reset_parameters", lost(norm.reset_parameters())),
        ("GpuNorm::reset_running_stats", lost(norm.reset_running_stats())),
        ("GpuNorm::weight", fine(|| norm.weight().unwrap())),
        ("GpuNorm::bias", fine(|| norm.bias().unwrap())),
        ("GpuNorm::mean_weight", fine(|| norm.mean_weight().unwrap())),
        ("GpuNorm::var_weight", fine(|| norm.var_weight().unwrap())),
        ("GpuNorm::running_mean", fine(|| norm.running_mean().unwrap())),
        ("GpuNorm::running_var", fine(|| norm.running_var().unwrap())),
        ("GpuNorm::set_weight", fine(|| norm.set_weight(&weight))),
        ("GpuNorm::set_bias", fine(|| norm.set_bias(&weight))),
        ("GpuNorm::set_mean_weight", fine(|| norm.set_mean_weight(&shares))),
        ("GpuNorm::set_var_weight", fine(|| norm.set_var_weight(&shares))),
        ("GpuNorm::set_running_mean", fine(|| norm.set_running_mean(&weight))),
        ("GpuNorm::set_running_var", fine(|| norm.set_running_var(&weight))),
        ("GpuNorm::num_batches_tracked", lost(norm.num_batches_tracked())),
        ("GpuNorm::read_num_batches_tracked", lost(block_on(norm.read_num_batches_tracked()))),
        ("GpuNorm::set_num_batches_tracked", lost(norm.set_num_batches_tracked(1))),
        ("GpuNorm::set_strategy", fine(|| norm.set_strategy(Strategy::default()))),
        ("GpuNorm::eval", fine(|| norm.eval())),
        ("GpuNorm::train", fine(|| norm.train())),
        ("Tensor::from_array", lost(Tensor::from_array(gpu, &array))),
        ("Tensor::from_array_as", lost(Tensor::from_array_as(gpu, &array, DType::BF16))),
        ("Tensor::zeros", lost(Tensor::zeros(gpu, &[3], DType::F32))),
        ("Tensor::wrap", lost(Tensor::wrap(gpu, x.buffer().clone(), 0, &[3], DType::F32))),
        ("Tensor::from_slice", lost(Tensor::from_slice(gpu, &[0f32; 3], &[3]))),
        ("Tensor::write", lost(x.write(&vec![0f32; x.len()]))),
        ("Tensor::copy_from", lost(x.copy_from(&y))),
        ("Tensor::to_vec", lost(y.to_vec::<f32>())),
        ("Tensor::read_as", lost(block_on(y.read_as::<f32>()))),
        ("Tensor::to_array", lost(y.to_array())),
        ("Tensor::read", lost(block_on(y.read()))),
        ("Tensor::shape", fine(|| y.shape())),
        ("Tensor::dtype", fine(|| y.dtype())),
        ("Tensor::strides", fine(|| y.strides().len())),
        ("Tensor::is_contiguous", fine(|| y.is_contiguous())),
        ("Tensor::select", fine(|| x.select(0, 0).unwrap())),
        ("Tensor::narrow", fine(|| x.narrow(0, 0, 1).unwrap())),
        ("Tensor::as_strided", fine(|| x.as_strided(&[1], &[1], 0).unwrap())),
        ("Tensor::contiguous", lost(x.narrow(1, 0, 1).unwrap().contiguous())),
        ("Tensor::reshape", fine(|| x.reshape(&[x.len()]))),
        ("Tensor::first_rows", fine(|| x.first_rows(1))),
        ("Tensor::byte_len", fine(|| y.byte_len())),
        ("Tensor::len", fine(|| y.len())),
        ("Tensor::is_empty", fine(|| y.is_empty())),
        ("Tensor::buffer", fine(|| y.buffer())),
        ("Tensor::as_binding", fine(|| matches!(y.as_binding(), wgpu::BindingResource::Buffer(_)))),
        ("Tensor::offset", fine(|| y.offset())),
        ("Tensor::gpu", fine(|| y.gpu())),
        ("Gradients::zero", lost(gradients.zero())),
        ("Gradients::encode_zero", lost(gradients.encode_zero(&mut encoder))),
        ("Gradients::named", fine(|| gradients.named().map(|(name, _)| name))),
        ("Gradients::input", fine(|| gradients.input())),
        ("Gradients::accumulate_input", fine(|| gradients.clone().accumulate_input(true))),
        ("Gradients::accumulate", fine(|| gradients.accumulate(true))),
        ("Gradients::new", fine(|| Gradients::new(x))),
    ]
}

/// Public methods of [`TYPES`] in the sources: `Type::name`.
fn methods(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            methods(&entry, found);
            continue;
        }
        let mut of = None;
        for line in fs::read_to_string(entry).unwrap().lines() {
            if line.starts_with("impl") {
                of = TYPES.into_iter().find(|name| line == format!("impl {name} {{"));
            }
            let method = line
                .strip_prefix("    pub ")
                .map(|rest| rest.trim_start_matches("const ").trim_start_matches("async "));
            if let (Some(of), Some(rest)) = (of, method.and_then(|rest| rest.strip_prefix("fn "))) {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                found.insert(format!("{of}::{name}"));
            }
        }
    }
}

#[test]
fn a_lost_device() {
    isolated("lost::a_lost_device", &[], || {
        for (name, adapter) in devices::adapters() {
            let own = block_on(Gpu::from_adapter(adapter)).unwrap();
            let (device, queue) = devices::device(adapter, Limits::default());
            for (whose, gpu) in [("own", own), ("the app's", Gpu::from_device(device, queue))] {
                for (call, gave) in every_call(adapter, &gpu) {
                    if let Some(result) = gave {
                        let told = format!("{name}, {whose}, {call}: {result:?}");
                        assert!(matches!(&result, Err(Error::DeviceLost { .. })), "{told}");
                        assert!(result.unwrap_err().to_string().contains("the device was lost: "), "{told}");
                    }
                }
            }
        }
    });
}

/// A call that is added to the crate has to be made above.
#[test]
fn every_public_call_is_made() {
    isolated("lost::every_public_call_is_made", &[], || {
        let mut public = BTreeSet::new();
        methods(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../src")), &mut public);
        let (_, adapter) = devices::adapters().next().unwrap();
        let calls = every_call(adapter, &block_on(Gpu::from_adapter(adapter)).unwrap());
        assert_eq!(calls.iter().map(|(call, _)| (*call).to_owned()).collect::<BTreeSet<_>>(), public);
    });
}
