//! Single cases under Criterion, which compares with the run before: `cargo bench --bench single -- backward/batch-32x64`.
//! The time is the GPU's, of a pass over tensors that exist.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use gpunorm::Gpu;
use gpunorm::unstable::Strategy;

use harness::{cases, clock::Clock};

// The other bench uses the rest.
#[allow(dead_code)]
mod cpu;
#[allow(dead_code)]
mod harness;

fn passes(criterion: &mut Criterion) {
    let gpu = Gpu::new().expect("an adapter");
    let clock = Clock::new(&gpu);
    for case in cases::all() {
        for (name, backward) in [("forward", false), ("backward", true)] {
            criterion.bench_function(&format!("{name}/{}", case.id()), |bencher| {
                let pass = harness::pass(&gpu, &case, backward, Strategy::default()).expect("a pass");
                bencher.iter_custom(|count| {
                    let once = || clock.gpu(&|encoder| pass.record(encoder, 0)).expect("a time");
                    (0..count).map(|_| black_box(once())).sum::<Duration>()
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = passes
}
criterion_main!(benches);
