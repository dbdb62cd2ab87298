//! Forwards recorded into a compute pass that the app has open.

use gpunorm::{DType, GpuNorm, LayerNorm, Tensor};

use super::state::{batch, every_spec};
use super::{adapters, data};

/// The same bits as in an encoder, in a pass that has other norms before and after: each reads what the one before wrote.
#[test]
fn norms_run_one_after_the_other_in_an_open_pass() {
    for (name, gpu) in adapters::all() {
        let shape = batch(0).shape().to_vec();
        let last = *shape.last().unwrap();
        let before = GpuNorm::new(gpu, LayerNorm::new([last]).eps(0.5)).unwrap();
        for spec in every_spec() {
            let x = Tensor::from_array(gpu, &data::values("normal", &shape, 1)).unwrap();
            let new = || Tensor::zeros(gpu, &shape, DType::F32).unwrap();
            let run = |in_pass: bool| {
                let norm = GpuNorm::new(gpu, spec.clone()).unwrap();
                let (first, second, third) = (new(), new(), new());
                let mut encoder = gpu.device().create_command_encoder(&Default::default());
                if in_pass {
                    let mut pass = encoder.begin_compute_pass(&Default::default());
                    before.encode_forward(&mut pass, &x, &first).unwrap();
                    norm.encode_forward(&mut pass, &first, &second).unwrap();
                    norm.encode_forward(&mut pass, &second, &third).unwrap();
                } else {
                    before.encode_forward(&mut encoder, &x, &first).unwrap();
                    norm.encode_forward(&mut encoder, &first, &second).unwrap();
                    norm.encode_forward(&mut encoder, &second, &third).unwrap();
                }
                gpu.queue().submit([encoder.finish()]);
                let bits: Vec<u32> = third.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
                (bits, norm.state_dict("").unwrap())
            };
            assert_eq!(run(true), run(false), "{name}, {spec:?}");
        }
    }
}
