//! Views of tensors whose rows lie apart: what is read and written through them, and what is refused.

use gpunorm::unstable::Caps;
use gpunorm::{Activation, BatchNorm, DType, Error, Gpu, GpuNorm, LayerNorm, RmsNorm, Tensor};
use half::{bf16, f16};
use ndarray::{ArrayD, Axis, IxDyn, Slice};

use super::adapters;
use super::errors::refused;

/// Numbers that every type has.
fn numbers(shape: &[usize]) -> ArrayD<f32> {
    let mut next = -1.0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        next += 1.0;
        next % 251.0
    })
}

fn tensor(gpu: &Gpu, shape: &[usize], dtype: DType) -> Tensor {
    Tensor::from_array_as(gpu, &numbers(shape), dtype).unwrap()
}

const TYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// The same as ndarray's, where bindings are small too.
#[test]
fn reading_and_writing() {
    for (name, gpu) in adapters::all() {
        let small = gpu.with_caps(Caps { max_binding: 1 << 10, ..*gpu.caps() });
        for (gpu, dtype) in [gpu, &small].into_iter().flat_map(|gpu| TYPES.map(|dtype| (gpu, dtype))) {
            let shape = [5, 3, 4, 66];
            let array = numbers(&shape);
            let whole = tensor(gpu, &shape, dtype);
            let slice =
                |axis, start: isize, end: isize| array.slice_axis(Axis(axis), Slice::from(start..end)).to_owned();
            let views = [
                (whole.select(1, 2).unwrap(), array.index_axis(Axis(1), 2).to_owned()),
                (whole.narrow(1, 0, 2).unwrap(), slice(1, 0, 2)),
                (whole.narrow(0, 3, 2).unwrap(), slice(0, 3, 5)),
                (
                    whole.narrow(3, 2, 4).unwrap().select(1, 1).unwrap(),
                    slice(3, 2, 6).index_axis(Axis(1), 1).to_owned(),
                ),
                (whole.select(0, 4).unwrap(), array.index_axis(Axis(0), 4).to_owned()),
                (whole.narrow(2, 1, 0).unwrap(), slice(2, 1, 1)),
                (whole.as_strided(&[4, 5, 66], &[66, 792, 1], 264).unwrap(), {
                    let mut heads = array.index_axis(Axis(1), 1).to_owned();
                    heads.swap_axes(0, 1);
                    heads
                }),
            ];
            for (view, expected) in views {
                let place = || format!("{name}, {dtype}, {view:?}");
                assert_eq!(view.shape(), expected.shape(), "{}", place());
                let expected = expected.as_standard_layout().to_owned();
                assert_eq!(view.to_array().unwrap(), expected, "{}", place());
                assert_eq!(view.contiguous().unwrap().to_array().unwrap(), expected, "{}", place());
                // Into the view and back, and nothing beside it.
                let negated: Vec<f32> = expected.iter().map(|value| -value).collect();
                write(&view, &negated);
                assert_eq!(view.to_array().unwrap(), -&expected, "{}", place());
                view.copy_from(&Tensor::from_array_as(gpu, &expected, dtype).unwrap()).unwrap();
                assert_eq!(whole.to_array().unwrap(), array, "{}", place());
            }
        }
    }
}

fn write(view: &Tensor, values: &[f32]) {
    match view.dtype() {
        DType::F16 => view.write(&values.iter().map(|&value| f16::from_f32(value)).collect::<Vec<_>>()),
        DType::BF16 => view.write(&values.iter().map(|&value| bf16::from_f32(value)).collect::<Vec<_>>()),
        _ => view.write(values),
    }
    .unwrap();
}

#[test]
fn views_that_there_are_not() {
    let gpu = adapters::first();
    let whole = tensor(gpu, &[4, 3, 8], DType::F32);
    let told = |entries: &str, dim| format!("{entries} on of dimension {dim} are not in a tensor of shape [4, 3, 8]");
    refused!(whole.narrow(1, 2, 2), Error::Narrow { .. }, told("2 entries from 2", 1));
    let last = usize::MAX;
    refused!(whole.narrow(1, last, 2), Error::Narrow { .. }, told(&format!("2 entries from {last}"), 1));
    refused!(whole.select(3, 0), Error::Narrow { .. }, told("1 entries from 0", 3));
    let half = tensor(gpu, &[4, 3, 7], DType::F16);
    let cases = [
        (&whole, &[4, 2][..], &[24, 2][..], 0, "the innermost dimension is not contiguous"),
        (&whole, &[2, 2, 2, 2][..], &[48, 13, 5, 1][..], 0, "its rows lie apart in more than two steps"),
        (&whole, &[4, 8][..], &[4, 1][..], 0, "two elements would lie in one place"),
        (&whole, &[4, 8][..], &[0, 1][..], 0, "two elements would lie in one place"),
        (&whole, &[4, 8][..], &[24, 1][..], 17, "it reaches beyond the tensor that it is a view of"),
        (&whole, &[2, 8][..], &[last, 1][..], 0, "it reaches beyond the tensor that it is a view of"),
        (&whole, &[4, 8][..], &[1][..], 0, "each dimension has one stride"),
        (&half, &[4, 7][..], &[21, 1][..], 0, "16-bit rows that lie apart have to begin and end on whole words"),
        (&half, &[3, 7][..], &[7, 1][..], 21, "16-bit rows that lie apart have to begin and end on whole words"),
    ];
    for (whole, shape, strides, offset, reason) in cases {
        let told = format!("the view of shape {shape:?} and strides {strides:?}: {reason}");
        refused!(whole.as_strided(shape, strides, offset), Error::Strides { .. }, told);
    }
    let view = whole.select(1, 1).unwrap();
    let told = "the tensor of shape [4, 8] and strides [24, 1]: only a contiguous one can be reshaped";
    refused!(view.reshape(&[32]), Error::Strides { .. }, told);
    // A view of a view begins where that one does, and ends there.
    let inner = view.as_strided(&[2, 8], &[48, 1], 24).unwrap().to_array().unwrap();
    assert_eq!(inner.as_slice().unwrap()[..2], [32.0, 33.0]);
    refused!(
        view.as_strided(&[1, 1], &[1, 1], 80).map(drop),
        Error::Strides { .. },
        "the view of shape [1, 1] and strides [1, 1]: it reaches beyond the tensor that it is a view of"
    );
    assert_eq!(view.first_rows(2).unwrap().to_array().unwrap(), view.narrow(0, 0, 2).unwrap().to_array().unwrap());
}

/// What kernels cannot walk is told by its strides, and nothing has changed.
#[test]
fn calls_that_do_not_take_views() {
    for (name, gpu) in adapters::all() {
        let packed = tensor(gpu, &[4, 3, 2, 8], DType::F32);
        let view = packed.select(1, 1).unwrap();
        let own = tensor(gpu, &[4, 2, 8], DType::F32);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let of_view = |what: &str, reason: &str| format!("{what} of shape [4, 2, 8] and strides [48, 8, 1]: {reason}");
        let batch = GpuNorm::new(gpu, BatchNorm::new(2)).unwrap();
        let layer = GpuNorm::new(gpu, LayerNorm::new([8])).unwrap();
        let reason =
            "only layer and RMS norm take what lies apart or begins where no binding may: contiguous() copies it";
        refused!(batch.forward_tensor(&view), Error::Strides { .. }, of_view("input", reason));
        refused!(batch.encode_forward(&mut encoder, &own, &view), Error::Strides { .. }, of_view("output", reason));
        let (_, saved) = batch.forward_saved(&own).unwrap();
        let before = batch.state_dict("").unwrap();
        refused!(batch.backward(&view, &saved), Error::Strides { .. }, of_view("dy", reason));
        let reason = "here it has to be contiguous and begin where a binding may";
        let call = layer.call().add_after(&view);
        refused!(call.forward_tensor(&own), Error::Strides { .. }, of_view("tensor added after", reason));
        let row = packed.as_strided(&[8], &[1], 1).unwrap();
        let mut layer = layer.try_clone().unwrap();
        let told = "weight of shape [8] and strides [1]: here it has to be contiguous and begin where a binding may";
        refused!(layer.set_weight(&row), Error::Strides { .. }, told);
        // Rows of a view that a norm sees in other pieces.
        let reason = "the normalized dimensions are not contiguous";
        let both = GpuNorm::new(gpu, LayerNorm::new([4, 2, 8])).unwrap();
        refused!(both.forward_tensor(&view), Error::Strides { .. }, of_view("input", reason));
        let deep = tensor(gpu, &[2, 3, 2, 3, 2, 4], DType::F32);
        let deep = deep.as_strided(&[2, 2, 2, 4], &[144, 48, 8, 1], 0).map(drop);
        assert!(matches!(deep, Err(Error::Strides { .. })), "{name}: {deep:?}");
        let odd = tensor(gpu, &[4, 3, 2, 7], DType::F16).select(1, 1).unwrap();
        let told = "input of shape [4, 2, 7] and strides [42, 7, 1]: 16-bit rows that lie apart have to begin and end on whole words";
        let seven = GpuNorm::new(gpu, RmsNorm::new([7])).unwrap();
        refused!(seven.forward_tensor(&odd), Error::Strides { .. }, told);
        gpu.queue().submit([encoder.finish()]);
        assert_eq!(packed.to_array().unwrap(), numbers(&[4, 3, 2, 8]), "{name}");
        assert_eq!(batch.state_dict("").unwrap(), before, "{name}");
    }
}

/// Of one buffer, place and shape, but of other strides: a layer prepares for each.
#[test]
fn views_are_told_apart() {
    for (name, gpu) in adapters::all() {
        let packed = tensor(gpu, &[6, 16], DType::F32);
        let norm = GpuNorm::new(gpu, LayerNorm::new([8]).affine(false)).unwrap();
        let y = tensor(gpu, &[3, 8], DType::F32);
        for strides in [[8, 1], [16, 1], [32, 1], [8, 1]] {
            let view = packed.as_strided(&[3, 8], &strides, 0).unwrap();
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            norm.encode_forward(&mut encoder, &view, &y).unwrap();
            gpu.queue().submit([encoder.finish()]);
            let alone = norm.forward(&view.to_array().unwrap()).unwrap();
            assert_eq!(y.to_array().unwrap(), alone, "{name}, {strides:?}");
        }
    }
}

/// Gradients in views: zeroed there, and nothing beside them.
#[test]
fn gradients_in_views_are_zeroed() {
    for (name, gpu) in adapters::all() {
        let packed = tensor(gpu, &[4, 3, 2, 8], DType::BF16);
        let view = packed.select(1, 1).unwrap();
        gpunorm::Gradients::new(view).zero().unwrap();
        let mut expected = numbers(&[4, 3, 2, 8]);
        expected.index_axis_mut(Axis(1), 1).fill(0.0);
        assert_eq!(packed.to_array().unwrap(), expected, "{name}");
    }
}

/// What stands beside a norm is contiguous, wherever the rows of its input and output lie.
#[test]
fn beside_what_is_contiguous() {
    for (name, gpu) in adapters::all() {
        for gpu in [gpu, &gpu.with_caps(Caps { software: false, max_binding: 1 << 10, ..*gpu.caps() })] {
            let packed = |part| tensor(gpu, &[6, 3, 2, 24], DType::F16).select(1, part).unwrap();
            let own = |part| packed(part).contiguous().unwrap();
            let norm = GpuNorm::new(gpu, LayerNorm::new([24]).activation(Activation::Silu)).unwrap();
            let (a, c, scale) = (own(0), own(2), tensor(gpu, &[6, 24], DType::F32));
            let [(y, sum), (y_in_view, sum_in_view)] = [(own(1), own(0)), (packed(1), packed(2))].map(|(x, y)| {
                let sum = Tensor::zeros(gpu, x.shape(), DType::F16).unwrap();
                let call = norm.call().add_before(&a).keep_sum(&sum).modulate(&scale, &scale).add_after(&c);
                let mut encoder = gpu.device().create_command_encoder(&Default::default());
                call.encode_forward(&mut encoder, &x, &y).unwrap();
                gpu.queue().submit([encoder.finish()]);
                (y.to_array().unwrap(), sum.to_array().unwrap())
            });
            assert!(y == y_in_view && sum == sum_in_view, "{name}");
        }
    }
}
