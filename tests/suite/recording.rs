//! Forwards and backwards recorded into a compute pass that the app has open.

use gpunorm::unstable::{Caps, Geometry};
use gpunorm::{DType, Gpu, GpuNorm, Gradients, LayerNorm, Mode, NormSpec, Recorder, Tensor};

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

/// A tensor's bytes.
fn bytes(tensor: &Tensor) -> Vec<u8> {
    match tensor.dtype() {
        DType::F32 => bytemuck::cast_slice(&tensor.to_vec::<f32>().unwrap()).to_vec(),
        _ => bytemuck::cast_slice(&tensor.to_vec::<half::f16>().unwrap()).to_vec(),
    }
}

/// A forward, a backward, and both again over the same tensors with gradients that add up.
struct Step {
    norm: GpuNorm,
    x: Tensor,
    y: Tensor,
    sums: Gradients,
}

impl Step {
    fn new(gpu: &Gpu, spec: &NormSpec, mode: Mode, shape: &[usize], dtype: DType) -> Step {
        let norm = GpuNorm::new(gpu, spec.clone()).unwrap();
        norm.set_mode(mode);
        let x = Tensor::from_array_as(gpu, &data::values("normal", shape, 1), dtype).unwrap();
        let y = Tensor::zeros(gpu, shape, dtype).unwrap();
        let (_, saved) = norm.forward_saved(&x).unwrap();
        let sums = norm.zero_gradients(&saved).unwrap().accumulate(true);
        for tensor in [&sums.weight, &sums.bias, &sums.mean_weight, &sums.var_weight].into_iter().flatten() {
            tensor.write(&vec![1f32; tensor.len()]).unwrap();
        }
        Step { norm, x, y, sums }
    }

    fn record(&self, to: &mut impl Recorder) {
        let saved = self.norm.encode_forward_saved(to, &self.x, &self.y).unwrap();
        self.norm.encode_backward(to, &self.y, &saved, &self.sums.clone().accumulate(false)).unwrap();
        self.norm.encode_forward_again(to, &self.y, &saved).unwrap();
        self.norm.encode_backward(to, &self.y, &saved, &self.sums).unwrap();
    }

    fn results(&self) -> Vec<(&'static str, Vec<u8>)> {
        let gradients = self.sums.named().into_iter().filter_map(|(name, tensor)| Some((name, bytes(tensor?))));
        gradients.chain([("y", bytes(&self.y))]).collect()
    }
}

/// The same bits as in an encoder; of an empty input, zeros.
#[test]
fn a_step_of_training_fits_into_an_open_pass() {
    for (name, gpu) in adapters::all() {
        for (samples, dtype) in [(3, DType::F32), (3, DType::F16), (0, DType::F32)] {
            let shape = [&[samples], &batch(0).shape()[1..]].concat();
            for (spec, mode) in
                every_spec().into_iter().flat_map(|spec| [(spec.clone(), Mode::Training), (spec, Mode::Evaluation)])
            {
                if Geometry::new(&spec, mode, &shape).is_err() {
                    continue;
                }
                let run = |in_pass: bool| {
                    let step = Step::new(gpu, &spec, mode, &shape, dtype);
                    let mut encoder = gpu.device().create_command_encoder(&Default::default());
                    match in_pass {
                        true => step.record(&mut encoder.begin_compute_pass(&Default::default())),
                        false => step.record(&mut encoder),
                    }
                    gpu.queue().submit([encoder.finish()]);
                    (step.results(), step.norm.state_dict("").unwrap())
                };
                let (in_pass, in_encoder) = (run(true), run(false));
                assert_eq!(in_pass, in_encoder, "{name}, {spec:?}, {mode:?}, {shape:?}");
                let zero = |(_, bytes): &(_, Vec<u8>)| bytes.iter().all(|&byte| byte == 0);
                assert!(samples > 0 || in_pass.0.iter().all(zero), "{name}, {spec:?}");
            }
        }
    }
}

/// Whole words and the half of one, tensors beyond a binding, and neighbours that stay.
#[test]
fn zeros_and_copies_reach_as_far_as_the_tensor() {
    for (name, gpu) in adapters::all() {
        let gpu = &gpu.with_caps(Caps { max_binding: 1024, ..*gpu.caps() });
        for (len, dtype) in [(1, DType::F16), (2, DType::F16), (512, DType::F16), (2051, DType::F16), (777, DType::F32)]
        {
            let tensor = |seed| Tensor::from_array_as(gpu, &data::values("normal", &[len + 2], seed), dtype).unwrap();
            let (source, copied, zeroed) = (tensor(1), tensor(2), tensor(3));
            let part = |tensor: &Tensor| tensor.first_rows(len).unwrap();
            let size = len * dtype.size();
            let tails = [&copied, &zeroed].map(|tensor| bytes(tensor)[size..].to_vec());
            part(&copied).copy_from(&part(&source)).unwrap();
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            let gradients = Gradients::new(part(&zeroed));
            gradients.encode_zero(&mut encoder.begin_compute_pass(&Default::default())).unwrap();
            gpu.queue().submit([encoder.finish()]);
            assert_eq!(bytes(&copied), [&bytes(&source)[..size], &tails[0]].concat(), "{name}, {len} of {dtype}");
            assert_eq!(bytes(&zeroed), [&vec![0; size], &tails[1][..]].concat(), "{name}, {len} of {dtype}");
        }
    }
}
