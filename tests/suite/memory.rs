//! What stays allocated, and what happens when there is no more.

use std::process::Command;

use gpunorm::{DType, Error, Gpu, GpuNorm, LayerNorm, Mode, SwitchableNorm, Tensor};
use wgpu::{Instance, InstanceDescriptor, PollType};

use super::{adapters, data, devices};

/// A device of an instance of its own, which counts the buffers that there are.
struct Counted {
    instance: Instance,
    gpu: Gpu,
}

impl Counted {
    fn new(like: &wgpu::Adapter) -> Counted {
        let (backends, name) = (like.get_info().backend.into(), like.get_info().name);
        let instance =
            Instance::new(InstanceDescriptor { backends, ..InstanceDescriptor::new_without_display_handle() });
        let adapters = pollster::block_on(instance.enumerate_adapters(backends));
        let adapter = adapters.iter().find(|adapter| adapter.get_info().name == name).expect("the same adapter");
        let gpu = pollster::block_on(Gpu::from_adapter(adapter)).unwrap();
        Counted { instance, gpu }
    }

    /// Those that are left when the device has nothing to do.
    fn buffers(&self) -> usize {
        self.gpu.device().poll(PollType::wait_indefinitely()).unwrap();
        self.instance.generate_report().unwrap().hub_report().buffers.num_allocated
    }
}

/// Once everything is dropped and the cache is emptied, no buffer is left: nor scratch, nor uniforms, nor what a layer
/// of which a saved forward is left had prepared.
#[test]
fn nothing_is_kept_for_ever() {
    for (name, adapter) in devices::adapters() {
        let counted = Counted::new(adapter);
        let gpu = &counted.gpu;
        let before = counted.buffers();
        let x = Tensor::from_array(gpu, &data::values("normal", &[3, 6, 500], 1)).unwrap();
        let saved = {
            let norm = GpuNorm::new(gpu, SwitchableNorm::new(6)).unwrap();
            let (y, saved) = norm.forward_saved(&x).unwrap();
            norm.backward(&y, &saved).unwrap().input().unwrap().to_array().unwrap();
            saved
        };
        gpu.empty_cache();
        // Of x, the moments, the axes and the weight.
        assert_eq!(counted.buffers() - before, 4, "{name}");
        drop((saved, x));
        gpu.empty_cache();
        assert_eq!(counted.buffers(), before, "{name}");
    }
}

/// What is in use is not made a second time.
#[test]
fn an_emptied_cache_keeps_what_is_in_use() {
    for (name, adapter) in devices::adapters() {
        let counted = Counted::new(adapter);
        let gpu = &counted.gpu;
        let norm = GpuNorm::new(gpu, SwitchableNorm::new(6)).unwrap();
        let tensors = [0, 1, 2].map(|_| Tensor::zeros(gpu, &[3, 6, 500], DType::F32).unwrap());
        let forward = |to: &Tensor| {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            norm.encode_forward(&mut encoder, &tensors[0], to).unwrap();
            gpu.queue().submit([encoder.finish()]);
            counted.buffers()
        };
        let before = forward(&tensors[1]);
        gpu.empty_cache();
        assert_eq!(forward(&tensors[2]), before, "{name}");
    }
}

/// In a process that may have no more than a gigabyte more: the typed error names the operation and the bytes, and what
/// nobody uses any more goes to whatever needs it, though work with it is in flight, and though it is no tensor.
#[test]
#[cfg(target_os = "linux")]
fn out_of_memory() {
    const CHILD: &str = "GPUNORM_TEST_OUT_OF_MEMORY";
    const CHUNK: usize = 64 << 20;
    if std::env::var_os(CHILD).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "memory::out_of_memory"]).env(CHILD, "1").env("WGPU_BACKEND", "vulkan");
        let output = child.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && told.contains("1 passed"),
            "{told}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    let gpu = adapters::first();
    // Everything that runs later has run once. Its scratch is 16 bytes for each element.
    let wide = GpuNorm::new(gpu, SwitchableNorm::new(4)).unwrap();
    let [x, y] = [0, 1].map(|_| Tensor::zeros(gpu, &[2 << 20, 4, 1], DType::F32).unwrap());
    wide.set_mode(Mode::Evaluation);
    gpu.warm_up(&[SwitchableNorm::new(4).into()], &[x.shape()], DType::F32, Mode::Evaluation).unwrap();
    GpuNorm::new(gpu, LayerNorm::new([64])).unwrap().forward(&data::values("normal", &[4, 64], 1)).unwrap();

    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    let limit = format!("--as={}", pages * 4096 + (1 << 30));
    let limited = Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &limit]).status().unwrap();
    assert!(limited.success());
    // For whatever else needs some, once there is no more.
    let fill = || {
        let reserve = Vec::<u8>::with_capacity(96 << 20);
        let mut held = vec![];
        let refused = loop {
            match Tensor::zeros(gpu, &[CHUNK / 4], DType::F32) {
                Ok(tensor) => held.push(tensor),
                Err(error) => break error,
            }
            assert!(held.len() < 20, "the limit has no effect");
        };
        assert!(matches!(refused, Error::OutOfMemory { .. }), "{refused:?}");
        assert!(held.len() >= 6, "{}", held.len());
        drop(reserve);
        (held, refused)
    };

    // In the pool of tensors.
    let (held, refused) = fill();
    drop(held);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    wide.encode_forward(&mut encoder, &x, &y).unwrap();
    drop(encoder);
    drop(wide);
    assert_eq!(refused.to_string(), "out of memory for 67108864 bytes (while making a tensor)");

    // In work that the device has still to do.
    let (held, _) = fill();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    for pair in (0..10).flat_map(|_| held.windows(2)) {
        encoder.copy_buffer_to_buffer(pair[0].buffer(), 0, pair[1].buffer(), 0, None);
    }
    gpu.queue().submit([encoder.finish()]);
    drop(held);
    Tensor::zeros(gpu, &[CHUNK / 4 * 3], DType::F32).unwrap();
}
