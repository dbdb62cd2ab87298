//! Tensors in one buffer: refused where a pass writes one of them, before anything is recorded.

use gpunorm::{
    BatchNorm, DType, Error, Gpu, GpuNorm, InstanceNorm, LayerNorm, NormSpec, SwitchableNorm, Tensor, Weighting,
};
use ndarray::ArrayD;

use super::adapters;
use super::errors::refused;

fn zeros(gpu: &Gpu, shape: &[usize]) -> Tensor {
    Tensor::zeros(gpu, shape, DType::F32).unwrap()
}

/// Every way to run a forward of `x` is refused with `told`, and what was recorded before can be submitted.
fn refuses(norm: &GpuNorm, x: &Tensor, told: &str) {
    let gpu = norm.gpu();
    let before = norm.state_dict("").unwrap();
    let y = Tensor::zeros(gpu, x.shape(), x.dtype()).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    refused!(norm.encode_forward(&mut encoder, x, &y), Error::Aliasing { .. }, told);
    refused!(norm.encode_forward_saved(&mut encoder, x, &y).map(drop), Error::Aliasing { .. }, told);
    gpu.queue().submit([encoder.finish()]);
    refused!(norm.forward_tensor(x).map(drop), Error::Aliasing { .. }, told);
    refused!(norm.forward_saved(x).map(drop), Error::Aliasing { .. }, told);
    refused!(norm.profile(x, &y).map(drop), Error::Aliasing { .. }, told);
    assert_eq!(norm.state_dict("").unwrap(), before);
}

fn told(written: &str, with: &str) -> String {
    format!(
        "the {written}, which is written, shares a buffer with the {with}, which wgpu cannot bind beside it; give one \
         of them another buffer"
    )
}

/// A parameter that is also a running statistic is read while that one is moved; in evaluation both are only read.
#[test]
fn parameters_over_running_statistics() {
    for (name, gpu) in adapters::all() {
        let specs: [NormSpec; 4] = [
            BatchNorm::new(3).into(),
            InstanceNorm::new(3).affine(true).track_running_stats(true).into(),
            SwitchableNorm::new(3).into(),
            SwitchableNorm::new(3).weighting(Weighting::Plain).into(),
        ];
        type Running = fn(&GpuNorm) -> Option<&Tensor>;
        let running: [(&str, Running); 2] =
            [("running_mean", GpuNorm::running_mean), ("running_var", GpuNorm::running_var)];
        for (spec, (statistic, of)) in specs.iter().flat_map(|spec| running.map(|running| (spec, running))) {
            for parameter in ["weight", "bias", "mean_weight", "var_weight"] {
                let mut norm = GpuNorm::new(gpu, spec.clone()).unwrap();
                let shared = of(&norm).unwrap().clone();
                let set = match parameter {
                    "weight" => norm.set_weight(&shared),
                    "bias" => norm.set_bias(&shared),
                    "mean_weight" => norm.set_mean_weight(&shared),
                    _ => norm.set_var_weight(&shared),
                };
                if set.is_err() {
                    assert!(matches!(set, Err(Error::NoParameter { .. })) && parameter.ends_with("_weight"));
                    continue;
                }
                let x = zeros(gpu, &[4, 3, 5]);
                refuses(&norm, &x, &told(statistic, parameter));
                norm.eval();
                assert!(norm.forward_tensor(&x).is_ok(), "{name}, {spec:?}, {parameter} over {statistic}");
            }
        }
    }
}

#[test]
fn an_input_over_running_statistics() {
    for (name, gpu) in adapters::all() {
        let mut norm = GpuNorm::new(gpu, BatchNorm::new(64)).unwrap();
        let x = Tensor::wrap(gpu, norm.running_mean().unwrap().buffer().clone(), 0, &[2, 64], DType::F16).unwrap();
        refuses(&norm, &x, &told("running_mean", "input"));
        norm.eval();
        assert!(norm.forward_tensor(&x).is_ok(), "{name}");
    }
}

/// What is only read may share.
#[test]
fn an_input_beside_the_weight() {
    for (name, gpu) in adapters::all() {
        let both = zeros(gpu, &[128]);
        let part =
            |offset, shape: &[usize]| Tensor::wrap(gpu, both.buffer().clone(), offset, shape, DType::F32).unwrap();
        let mut norm = GpuNorm::new(gpu, LayerNorm::new([4])).unwrap();
        norm.set_weight(&part(256, &[4])).unwrap();
        let values: Vec<f32> = (0..128).map(|i| (i * i % 7) as f32).collect();
        gpu.queue().write_buffer(both.buffer(), 0, bytemuck::cast_slice(&values));
        let y = norm.forward_tensor(&part(0, &[2, 4])).unwrap().to_array().unwrap();

        let mut apart = GpuNorm::new(gpu, LayerNorm::new([4])).unwrap();
        let array = |range: std::ops::Range<usize>, shape: &[usize]| {
            let values = ArrayD::from_shape_vec(shape, values[range].to_vec()).unwrap();
            Tensor::from_array(gpu, &values).unwrap()
        };
        apart.set_weight(&array(64..68, &[4])).unwrap();
        assert_eq!(y, apart.forward_tensor(&array(0..8, &[2, 4])).unwrap().to_array().unwrap(), "{name}");
    }
}

/// Outputs over anything of the call: of empty inputs too, whose gradients are cleared.
#[test]
fn outputs_over_what_the_layer_has() {
    for (_, gpu) in adapters::all() {
        for rows in [4, 0] {
            let norm = GpuNorm::new(gpu, BatchNorm::new(6)).unwrap();
            let x = zeros(gpu, &[rows, 6, 2]);
            let (dy, saved) = norm.forward_saved(&x).unwrap();
            let over = |tensor: &Tensor| Tensor::wrap(gpu, tensor.buffer().clone(), 0, &[6], DType::F32).unwrap();
            for (with, tensor) in [("weight", norm.weight().unwrap()), ("running_var", norm.running_var().unwrap())] {
                let mut gradients = norm.zero_gradients(&saved).unwrap();
                gradients.bias = Some(over(tensor));
                let before = norm.state_dict("").unwrap();
                let mut encoder = gpu.device().create_command_encoder(&Default::default());
                let refused = norm.encode_backward(&mut encoder, &dy, &saved, &gradients);
                refused!(refused, Error::Aliasing { .. }, told("bias's gradient", with));
                gpu.queue().submit([encoder.finish()]);
                assert_eq!(norm.state_dict("").unwrap(), before);
            }
        }
    }
}
