//! Data in and out of tensors, and views of them.

use gpunorm::{BatchNorm, DType, Error, Gpu, GpuNorm, LayerNorm, Scalar, Tensor};
use half::{bf16, f16};
use ndarray::Array2;

use super::errors::refused;
use super::guards::Guarded;
use super::{adapters, data};

/// Of 16-bit types every pattern of bits, NaNs' payloads too; of f32 as many.
fn patterns<T: Scalar>() -> Vec<T> {
    let bits: Vec<u32> = (0..1u32 << 16).map(|bits| bits.wrapping_mul(0x9e37_79b9) ^ bits).collect();
    let halves: Vec<u16> = (0..=u16::MAX).collect();
    match T::DTYPE {
        DType::F32 => bytemuck::cast_slice(&bits).to_vec(),
        _ => bytemuck::cast_slice(&halves).to_vec(),
    }
}

fn bytes<T: Scalar>(values: &[T]) -> Vec<u8> {
    bytemuck::cast_slice(values).to_vec()
}

fn round_trip<T: Scalar>(gpu: &Gpu, name: &str) {
    let values = patterns::<T>();
    for len in [0, 1, 2, 3, 255, values.len()] {
        let values = &values[values.len() - len..];
        let x = Tensor::from_slice(gpu, values, &[1, len]).unwrap();
        assert_eq!((x.shape(), x.dtype(), x.byte_len()), (&[1, len][..], T::DTYPE, size_of_val(values) as u64));
        assert_eq!(bytes(&x.to_vec::<T>().unwrap()), bytes(values), "{name}, {:?}, {len}", T::DTYPE);
    }
}

#[test]
fn values_come_back_as_they_went() {
    for (name, gpu) in adapters::all() {
        round_trip::<f32>(gpu, name);
        round_trip::<f16>(gpu, name);
        round_trip::<bf16>(gpu, name);
    }
}

/// Into the midst of a buffer of the app's: nothing around it changes, neither does the half word behind it.
fn overwritten<T: Scalar>(gpu: &Gpu, name: &str) {
    for len in [1, 2, 7, 1001, 4096] {
        let values = &patterns::<T>()[..len];
        let expected = Ok(bytes(values));
        let told = format!("{name}, {:?}, {len}", T::DTYPE);
        let written = Guarded::new(gpu, &[len], T::DTYPE);
        written.tensor.write(values).unwrap();
        assert_eq!(written.bytes(gpu), expected, "write: {told}");
        let copied = Guarded::new(gpu, &[len], T::DTYPE);
        copied.tensor.copy_from(&written.tensor).unwrap();
        assert_eq!(copied.bytes(gpu), expected, "copy_from: {told}");
    }
}

#[test]
fn writing_and_copying_touch_the_tensor_alone() {
    for (name, gpu) in adapters::all() {
        overwritten::<f32>(gpu, name);
        overwritten::<f16>(gpu, name);
        overwritten::<bf16>(gpu, name);
    }
}

#[test]
fn writes_come_between_what_was_submitted_and_what_will_be() {
    for (name, gpu) in adapters::all() {
        let mut norm = GpuNorm::new(gpu, BatchNorm::new(2)).unwrap();
        norm.eval();
        let x = Tensor::from_slice(gpu, &[1f32, 2.0], &[1, 2]).unwrap();
        let before = norm.forward_tensor(&x).unwrap();
        x.write(&[3f32, 4.0]).unwrap();
        let after = norm.forward_tensor(&x).unwrap();
        let found = [before, after].map(|y| y.to_vec::<f32>().unwrap());
        let by_torch = |x: f32| (f64::from(x) / 1.00001f64.sqrt()) as f32;
        assert_eq!(found, [[1.0, 2.0], [3.0, 4.0]].map(|pair| pair.map(by_torch).to_vec()), "{name}");
    }
}

#[test]
fn views_share_memory() {
    for (name, gpu) in adapters::all() {
        let values: Vec<f16> = (0..15u8).map(f16::from).collect();
        let all = Tensor::from_slice(gpu, &values, &[3, 5]).unwrap();
        let flat = all.reshape(&[5, 1, 3]).unwrap();
        assert_eq!((flat.shape(), flat.to_vec::<f16>().unwrap()), (&[5, 1, 3][..], values.clone()), "{name}");
        let first = all.first_rows(1).unwrap();
        assert_eq!((first.shape(), first.byte_len()), (&[1, 5][..], 10));
        // An odd number of 16-bit elements: the last shares its word with the next row's first.
        first.write(&[f16::NEG_ONE; 5]).unwrap();
        let expected: Vec<f16> = (0..15).map(|i| if i < 5 { f16::NEG_ONE } else { values[i] }).collect();
        assert_eq!(all.to_vec::<f16>().unwrap(), expected, "{name}");
        assert_eq!(all.first_rows(0).unwrap().to_vec::<f16>().unwrap(), [], "{name}");

        // A forward into the first rows leaves the others.
        let norm = GpuNorm::new(gpu, LayerNorm::new([5])).unwrap();
        let x = data::values("normal", &[2, 5], 1);
        let input = Tensor::from_array_as(gpu, &x, DType::F16).unwrap();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        norm.encode_forward(&mut encoder, &input, &all.first_rows(2).unwrap()).unwrap();
        gpu.queue().submit([encoder.finish()]);
        let found = all.to_vec::<f16>().unwrap();
        assert_eq!(found[..10], norm.forward_tensor(&input).unwrap().to_vec::<f16>().unwrap(), "{name}");
        assert_eq!(found[10..], values[10..], "{name}");
    }
}

#[test]
fn running_statistics_and_their_count_can_be_set() {
    for (name, gpu) in adapters::all() {
        let tensor = |values: [f32; 2]| Tensor::from_slice(gpu, &values, &[2]).unwrap();
        let mut norm = GpuNorm::new(gpu, BatchNorm::new(2).cumulative_average()).unwrap();
        assert_eq!(norm.num_batches_tracked().unwrap(), Some(0));
        let (mean, var) = (tensor([1.0, 2.0]), tensor([4.0, 16.0]));
        norm.set_running_mean(&mean).unwrap();
        norm.set_running_var(&var).unwrap();
        norm.set_num_batches_tracked(3).unwrap();
        let x = Tensor::from_slice(gpu, &[5f32, 6.0, 7.0, 8.0], &[2, 2]).unwrap();
        norm.forward_tensor(&x).unwrap();
        // The fourth batch has a fourth of the average: means 6 and 7, variances 2.
        assert_eq!(norm.num_batches_tracked().unwrap(), Some(4), "{name}");
        assert_eq!(mean.to_vec::<f32>().unwrap(), [0.75 * 1.0 + 0.25 * 6.0, 0.75 * 2.0 + 0.25 * 7.0], "{name}");
        assert_eq!(var.to_vec::<f32>().unwrap(), [0.75 * 4.0 + 0.25 * 2.0, 0.75 * 16.0 + 0.25 * 2.0], "{name}");
        norm.eval();
        norm.set_running_mean(&tensor([5.0, 6.0])).unwrap();
        norm.set_running_var(&tensor([1.0, 1.0])).unwrap();
        let y = norm.forward_tensor(&x).unwrap().to_vec::<f32>().unwrap();
        assert!(y.iter().zip([0.0, 0.0, 2.0, 2.0]).all(|(y, x): (&f32, f32)| (y - x).abs() < 1e-4), "{name}: {y:?}");
    }
    let mut plain = GpuNorm::new(adapters::first(), LayerNorm::new([2])).unwrap();
    assert_eq!(plain.num_batches_tracked().unwrap(), None);
    let told = "this layer has no num_batches_tracked";
    refused!(plain.set_num_batches_tracked(1), Error::NoParameter { .. }, told);
}

#[test]
fn gradients_can_be_zeroed() {
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, LayerNorm::new([5])).unwrap();
        let x = Tensor::from_array_as(gpu, &data::values("normal", &[3, 5], 1), DType::F16).unwrap();
        let (_, saved) = norm.forward_saved(&x).unwrap();
        let mut gradients = norm.backward(&x, &saved).unwrap();
        let guarded = Guarded::new(gpu, &[3, 5], DType::F16);
        gradients.input = Some(guarded.tensor.clone());
        gradients.zero().unwrap();
        assert_eq!(guarded.bytes(gpu), Ok(vec![0; 30]), "{name}");
        let recorded = norm.backward(&x, &saved).unwrap();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        recorded.encode_zero(&mut encoder).unwrap();
        assert!(
            recorded.input().unwrap().to_array().unwrap().iter().any(|&value| value != 0.0),
            "{name}: not yet submitted"
        );
        gpu.queue().submit([encoder.finish()]);
        for (of, tensor) in gradients.named().into_iter().chain(recorded.named()) {
            let zero = tensor.is_none_or(|tensor| tensor.to_array().unwrap().iter().all(|&value| value == 0.0));
            assert!(zero, "{name}: {of}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let gpu = adapters::first();
    let x = Tensor::from_array(gpu, &Array2::<f32>::zeros((2, 3))).unwrap();
    let told = "the values: expected shape [2, 3], got [5]";
    refused!(Tensor::from_slice(gpu, &[0f32; 5], &[2, 3]), Error::Shape { .. }, told);
    refused!(x.write(&[0f32; 5]), Error::Shape { .. }, told);
    let told = "the values: expected f32 elements, got f16";
    refused!(x.write(&[f16::ZERO; 6]), Error::ElementType { .. }, told);
    let told = "the tensor: expected f16 elements, got f32";
    refused!(x.to_vec::<f16>(), Error::ElementType { .. }, told);
    let told = "a tensor of shape [2, 3] cannot be viewed as [4, 2]";
    refused!(x.reshape(&[4, 2]), Error::View { .. }, told);
    assert!(matches!(x.reshape(&[usize::MAX, 2]), Err(Error::TooLarge { .. })));
    let told = "a tensor of shape [2, 3] cannot be viewed as [3, 3]";
    refused!(x.first_rows(3), Error::View { .. }, told);
    let scalar = x.first_rows(1).unwrap().reshape(&[3]).unwrap().first_rows(1).unwrap().reshape(&[]).unwrap();
    refused!(scalar.first_rows(1), Error::View { .. }, "a tensor of shape [] cannot be viewed as [1]");
    let told = "the tensor, which is written, shares a buffer with the source, which wgpu cannot bind beside it; give one of \
                them another buffer";
    refused!(x.copy_from(&x), Error::Aliasing { .. }, told);
    let told = "the source: expected shape [2, 3], got [3, 2]";
    refused!(x.copy_from(&x.reshape(&[3, 2]).unwrap()), Error::Shape { .. }, told);
    let read_only = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let descriptor = wgpu::BufferDescriptor { label: None, size: 24, usage: read_only, mapped_at_creation: false };
    let wrapped = Tensor::wrap(gpu, gpu.device().create_buffer(&descriptor), 0, &[2, 3], DType::F32).unwrap();
    let told = "the buffer needs usage BufferUsages(COPY_DST), it has BufferUsages(COPY_SRC | STORAGE)";
    refused!(wrapped.write(&[0f32; 6]), Error::BufferUsage { .. }, told);
    // A shader's writes need no more than `STORAGE`.
    x.write(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    wrapped.copy_from(&x).unwrap();
    assert_eq!(wrapped.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}
