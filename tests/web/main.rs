//! What is tested in a browser: the suite's numbers, and what is other there.

#[path = "../suite/case.rs"]
#[allow(dead_code, reason = "the suite has more of it")]
mod case;
#[path = "../suite/compare.rs"]
#[allow(dead_code, reason = "the suite has more of it")]
mod compare;
#[path = "../suite/data.rs"]
#[allow(dead_code, reason = "the suite has more of it")]
mod data;
mod failures;
mod memory;
mod numbers;
#[path = "../suite/refusals.rs"]
#[allow(dead_code, reason = "the suite has more of it")]
mod refusals;
mod refused;
mod sizes;
mod twins;

use case::Outcome;
use gpunorm::Gpu;
use gpunorm::unstable::Caps;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Sends this to `cargo xtask test-web`.
    fn report(path: &str, body: &str);

    fn word() -> String;

    fn lack(what: &str);
}

/// Fails unless `true`, and says of what.
fn ensure(holds: bool, told: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(told()) }
}

/// The test goes on.
fn progress(what: &str) {
    report("/progress", what);
}

macro_rules! run {
    ($($module:ident::$test:ident($($argument:expr),*);)+) => {$(
        let name = concat!(stringify!($module), "::", stringify!($test));
        if name.contains(&word()) {
            progress(name);
            match $module::$test($($argument),*).await {
                Ok(()) => report("/passed", name),
                Err(reason) => report("/failed", &format!("{name}: {reason}")),
            }
        }
    )+};
}

fn main() {
    std::panic::set_hook(Box::new(|panic| {
        report("/failed", &panic.to_string());
        report("/end", "");
    }));
    wasm_bindgen_futures::spawn_local(async {
        let gpu = Gpu::request().await.unwrap();
        report("/note", &format!("{:?}", gpu.caps()));
        let defaults = gpu.with_caps(Caps { software: false, ..Caps::WEBGPU });
        let both = [("the adapter", gpu.clone()), ("WebGPU's defaults", defaults)];
        run! {
            failures::no_adapter();
            twins::give_what_they_are_called_for(&gpu);
            twins::warm_up(&gpu);
            sizes::beyond_addresses(&gpu);
            failures::memory(&gpu);
            failures::the_first_is_told_once(&gpu);
            failures::another_devices_buffer(&gpu);
            failures::a_buffer_that_is_gone(&gpu);
            failures::a_lost_device();
            failures::a_lost_device_of_the_apps();
            memory::many_large_tensors(&gpu);
            refused::shapes(&both);
            numbers::forward(&both);
            numbers::backward(&both);
            numbers::random(&both);
        }
        report("/end", "");
    });
}
