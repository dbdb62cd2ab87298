//! Single cases under Criterion, which compares with the run before: `cargo bench --bench single -- batch-32x64`. The
//! time is the GPU's, of a forward from one tensor into another.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use gpunorm::{DType, Gpu, Tensor};
use ndarray::ArrayView;

use harness::{cases, clock::Clock};

// The other bench uses the rest.
#[allow(dead_code)]
mod harness {
    pub mod cases;
    pub mod clock;
}

fn forwards(criterion: &mut Criterion) {
    let gpu = Gpu::new().expect("an adapter");
    let clock = Clock::new(&gpu);
    for case in cases::all() {
        criterion.bench_function(&case.id(), |bencher| {
            let norm = case.layer(&gpu).expect("a layer");
            let values = case.values(1);
            let x = ArrayView::from_shape(&case.shape[..], &values).expect("as many values as the shape has");
            let x = Tensor::from_array(&gpu, &x).expect("an input");
            let y = Tensor::zeros(&gpu, &case.shape, DType::F32).expect("an output");
            bencher.iter_custom(|count| {
                let once = || clock.gpu(&|encoder| norm.encode_forward(encoder, &x, &y)).expect("a forward");
                (0..count).map(|_| black_box(once())).sum::<Duration>()
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = forwards
}
criterion_main!(benches);
