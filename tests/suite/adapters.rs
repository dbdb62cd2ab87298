//! The adapters that every GPU test runs on: lavapipe through Vulkan and Mesa through GL on Linux, the machine's best
//! one elsewhere. With `WGPU_BACKEND` or `WGPU_ADAPTER_NAME` set it is the one that they choose. A missing adapter
//! fails the tests; nothing is skipped. With `GPUNORM_TEST_SHADER_CHECKS` set, shaders run with wgpu's checks on.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gpunorm::Gpu;
use gpunorm::unstable::{Caps, F16, SubgroupSizes};
use wgpu::{Backend, Backends, DeviceType};

/// Whose turn it is on GL: wgpu gives up on a thread that waits for another's GL call longer than seconds, which on a busy
/// machine a shader's compilation may take.
static GL: Mutex<()> = Mutex::new(());

static ADAPTERS: LazyLock<Vec<(String, Gpu)>> = LazyLock::new(|| {
    let chosen = ["WGPU_BACKEND", "WGPU_ADAPTER_NAME"].iter().any(|name| std::env::var_os(name).is_some());
    let gpus = if cfg!(target_os = "linux") && !chosen {
        vec![open(Backends::VULKAN), open(Backends::GL)]
    } else {
        vec![Gpu::new().expect("an adapter")]
    };
    gpus.into_iter()
        .map(checked)
        .map(|gpu| {
            let info = gpu.adapter_info();
            println!("adapter: {} ({:?}, {} {})", info.name, info.backend, info.driver, info.driver_info);
            (format!("{:?}", info.backend), gpu)
        })
        .collect()
});

/// With shader checks where they are asked for.
pub fn checked(gpu: Gpu) -> Gpu {
    gpu.with_shader_checks(std::env::var_os("GPUNORM_TEST_SHADER_CHECKS").is_some())
}

/// One for each of them, with shader checks.
static WITH_CHECKS: LazyLock<Vec<(String, Gpu)>> =
    LazyLock::new(|| ADAPTERS.iter().map(|(name, gpu)| (name.clone(), gpu.with_shader_checks(true))).collect());

/// The same device with shader checks: of [`all`], or one of theirs with other caps. All share what was compiled.
pub fn with_checks(gpu: &Gpu) -> Gpu {
    let backend = format!("{:?}", gpu.adapter_info().backend);
    let (_, same) = WITH_CHECKS.iter().find(|(name, _)| *name == backend).expect("one of the adapters");
    same.with_caps(*gpu.caps())
}

fn open(backends: Backends) -> Gpu {
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    let software = adapters.iter().find(|adapter| adapter.get_info().device_type == DeviceType::Cpu);
    let adapter =
        software.unwrap_or_else(|| panic!("no software adapter for {backends:?}: `cargo xtask test` installs it"));
    pollster::block_on(Gpu::from_adapter(adapter)).expect("a device")
}

/// What is made for each backend, one after the other and no two tests on GL at once: do not keep it beyond its turn.
pub struct Turns<T: 'static> {
    left: std::slice::Iter<'static, (String, T)>,
    gl: Option<MutexGuard<'static, ()>>,
}

impl<T> Turns<T> {
    /// By the names of the backends.
    pub fn over(all: &'static [(String, T)]) -> Turns<T> {
        Turns { left: all.iter(), gl: None }
    }
}

impl<T> Iterator for Turns<T> {
    type Item = (&'static str, &'static T);

    fn next(&mut self) -> Option<Self::Item> {
        self.gl = None;
        let (name, value) = self.left.next()?;
        if *name == format!("{:?}", Backend::Gl) {
            self.gl = Some(GL.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Some((name, value))
    }
}

/// All of them.
pub fn all() -> Turns<Gpu> {
    Turns::over(&ADAPTERS)
}

/// How many there are.
pub fn count() -> usize {
    ADAPTERS.len()
}

/// The first: where one adapter is enough.
pub fn first() -> &'static Gpu {
    &ADAPTERS[0].1
}

/// Numbers that a device does not have would have shaders, which run unchecked, go beyond their bindings.
#[test]
fn caps_never_exceed_the_device() {
    for (name, gpu) in all() {
        let own = *gpu.caps();
        let most = Caps {
            max_workgroup: u32::MAX,
            max_workgroups: u32::MAX,
            max_binding: u64::MAX,
            max_buffer: u64::MAX,
            alignment: 1,
            max_storage_buffers: u32::MAX,
            workgroup_storage: u32::MAX,
            f16: F16::Native,
            ..own
        };
        assert_eq!(*gpu.with_caps(most).caps(), own, "{name}");
        for (min, max) in [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (32, 32), (2, 64), (16, 64), (128, 64), (1, 256)] {
            let sizes = Some(SubgroupSizes { min, max });
            let reckons = own.subgroup.is_some_and(|own| min <= own.min && own.max <= max);
            let expected = if reckons { sizes } else { None };
            let other = gpu.with_caps(Caps { subgroup: sizes, ..own });
            assert_eq!(*other.caps(), Caps { subgroup: expected, ..own }, "{name}");
        }
        let less = Caps { max_binding: 1 << 10, subgroup: None, alignment: 512, ..own };
        assert_eq!(*gpu.with_caps(less).caps(), less, "{name}");
        // What was lowered can be raised again, up to the device's.
        assert_eq!(*gpu.with_caps(less).with_caps(own).caps(), own, "{name}");
    }
}
