//! Training from the caller's side: what a saved forward holds, where gradients go, parameters that are live, and what is
//! refused.

use gpunorm::unstable::{Route, Strategy, Team};
use gpunorm::{
    BatchNorm, DType, Error, GpuNorm, Gradients, GroupNorm, InstanceNorm, LayerNorm, NormSpec, RmsNorm, Saved,
    SwitchableNorm, Tensor, Wanted,
};
use ndarray::{ArrayD, arr1};

use super::state::{batch, every_spec, layer};
use super::{adapters, compare, data};

fn tensor(array: &ArrayD<f32>) -> Tensor {
    Tensor::from_array(adapters::first(), array).unwrap()
}

/// All gradients, bit for bit.
fn bits(gradients: &Gradients) -> Vec<Vec<u32>> {
    let values = |tensor: &Tensor| tensor.to_array().unwrap().iter().map(|value| value.to_bits()).collect();
    gradients.named().into_iter().filter_map(|(_, tensor)| tensor).map(values).collect()
}

/// A layer in a state of random values, a saved forward of it, and dy.
fn saved(spec: &NormSpec) -> (GpuNorm, Saved, Tensor) {
    let norm = layer(spec, &data::state(spec));
    let x = batch(0);
    let (_, saved) = norm.forward_saved(&tensor(&x)).unwrap();
    (norm, saved, tensor(&x.mapv(|value| 1.0 - value * value)))
}

#[test]
fn what_a_saved_forward_holds_is_what_counts() {
    for spec in every_spec() {
        for evaluation in [false, true] {
            let (mut norm, mut held, dy) = saved(&spec);
            if evaluation {
                norm.eval();
                held = norm.forward_saved(&tensor(&batch(0))).unwrap().1;
            }
            let expected = bits(&norm.backward(&dy, &held).unwrap());
            assert_eq!(bits(&norm.backward(&dy, &held).unwrap()), expected, "twice, {spec:?}");

            // Another forward, of another shape, that moves the running statistics and uses the scratch.
            norm.train();
            norm.forward_saved(&tensor(&batch(2))).unwrap();
            assert_eq!(bits(&norm.backward(&dy, &held).unwrap()), expected, "another forward, {spec:?}");
            // Other parameters: loaded, written in place, replaced.
            let mut other = compare::state_dict(&data::state(&spec));
            let keys: Vec<String> = other.iter().map(|(key, _)| key.to_owned()).collect();
            for key in keys.iter().filter(|key| *key != "num_batches_tracked") {
                let value = other.get(key).unwrap() + 1.5;
                other.insert(key.clone(), value);
            }
            norm.load_state_dict(&other, "").unwrap();
            if let Some(weight) = norm.weight() {
                let values = vec![7f32; weight.len()];
                norm.gpu().queue().write_buffer(weight.buffer(), weight.offset(), bytemuck::cast_slice(&values));
                let ones = tensor(&ArrayD::ones(weight.shape()));
                norm.set_weight(&ones).unwrap();
            }
            assert_eq!(bits(&norm.backward(&dy, &held).unwrap()), expected, "other parameters, {spec:?}");
            // Another mode and strategy.
            if evaluation {
                norm.train()
            } else {
                norm.eval()
            }
            assert_eq!(bits(&norm.backward(&dy, &held).unwrap()), expected, "another mode, {spec:?}");
            norm.set_strategy(Strategy::default());
            assert_eq!(bits(&norm.backward(&dy, &held).unwrap()), expected, "a cleared cache, {spec:?}");
        }
    }
}

#[test]
fn gradients_accumulate() {
    for spec in every_spec() {
        let (norm, held, dy) = saved(&spec);
        let once = norm.backward(&dy, &held).unwrap();
        let sums = norm.zero_gradients(&held).unwrap().accumulate(true).accumulate_input(true);
        for _ in 0..3 {
            let mut encoder = norm.gpu().device().create_command_encoder(&Default::default());
            norm.encode_backward(&mut encoder, &dy, &held, &sums).unwrap();
            norm.gpu().queue().submit([encoder.finish()]);
        }
        let thrice = |bits: &u32| {
            let value = f32::from_bits(*bits);
            value + value + value
        };
        for (sum, one) in bits(&sums).iter().zip(bits(&once)) {
            let sum: Vec<f32> = sum.iter().map(|bits| f32::from_bits(*bits)).collect();
            assert_eq!(sum, one.iter().map(thrice).collect::<Vec<_>>(), "{spec:?}");
        }
        // A batch more: the input's is its own, unless it is asked for.
        let run = |gradients: &Gradients| {
            let mut encoder = norm.gpu().device().create_command_encoder(&Default::default());
            norm.encode_backward(&mut encoder, &dy, &held, gradients).unwrap();
            norm.gpu().queue().submit([encoder.finish()]);
        };
        let thrice = bits(&sums);
        let sums = sums.accumulate_input(false);
        run(&sums);
        assert_eq!(bits(&sums)[0], bits(&once)[0], "{spec:?}");
        assert!(bits(&sums)[1..].iter().zip(&thrice[1..]).all(|(four, three)| four != three), "{spec:?}");
        // Without it all are replaced.
        let replaced = sums.accumulate(false);
        run(&replaced);
        assert_eq!(bits(&replaced), bits(&once), "{spec:?}");
    }
}

/// Only the app's submission runs it, even when everything but the gradients is gone by then and its memory was asked for.
#[test]
fn a_recorded_backward_waits_for_its_submission() {
    for spec in every_spec() {
        let (norm, held, dy) = saved(&spec);
        let expected = bits(&norm.backward(&dy, &held).unwrap());
        let gradients = norm.zero_gradients(&held).unwrap();
        let mut encoder = norm.gpu().device().create_command_encoder(&Default::default());
        norm.encode_backward(&mut encoder, &dy, &held, &gradients).unwrap();
        assert!(bits(&gradients).iter().flatten().all(|&bits| bits == 0), "{spec:?}");
        drop((held, dy));
        let others: Vec<_> = (0..8).map(|n| norm.forward_saved(&tensor(&batch(n % 3))).unwrap()).collect();
        norm.gpu().queue().submit([encoder.finish()]);
        assert_eq!(bits(&gradients), expected, "{spec:?}");
        drop(others);
    }
}

/// Forward and backward of an app's own, in one encoder.
#[test]
fn a_forward_and_its_backward_share_an_encoder() {
    for spec in every_spec() {
        let (norm, held, dy) = saved(&spec);
        let expected = bits(&norm.backward(&dy, &held).unwrap());
        let norm = layer(&spec, &data::state(&spec));
        let x = tensor(&batch(0));
        let y = Tensor::zeros(norm.gpu(), x.shape(), DType::F32).unwrap();
        let mut encoder = norm.gpu().device().create_command_encoder(&Default::default());
        let held = norm.encode_forward_saved(&mut encoder, &x, &y).unwrap();
        let gradients = norm.zero_gradients(&held).unwrap();
        norm.encode_backward(&mut encoder, &dy, &held, &gradients).unwrap();
        drop((held, x));
        norm.forward_saved(&tensor(&batch(1))).unwrap();
        norm.gpu().queue().submit([encoder.finish()]);
        assert_eq!(bits(&gradients), expected, "{spec:?}");
        let alone = layer(&spec, &data::state(&spec)).forward(&batch(0)).unwrap();
        assert_eq!(y.to_array().unwrap(), alone, "{spec:?}");
        let mut encoder = norm.gpu().device().create_command_encoder(&Default::default());
        let refused = norm.encode_forward_saved(&mut encoder, &y, &y).unwrap_err();
        assert_eq!(refused, Error::SavedInPlace);
    }
}

/// A loop over tensors that stay: new inputs, parameters that are trained in between.
#[test]
fn a_saved_forward_runs_again() {
    for spec in every_spec() {
        let (norm, held, dy) = saved(&spec);
        let [x, y] = [0, 1].map(|_| tensor(&batch(0)));
        let gpu = norm.gpu();
        let submit = |record: &dyn Fn(&mut wgpu::CommandEncoder)| {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            record(&mut encoder);
            gpu.queue().submit([encoder.finish()]);
        };
        let gradients = norm.zero_gradients(&held).unwrap();
        let again = norm.forward_saved(&x).unwrap().1;
        for step in 0..3 {
            let input = batch(0).mapv(|value| value * 1.5 + step as f32);
            gpu.queue().write_buffer(x.buffer(), x.offset(), bytemuck::cast_slice(input.as_slice().unwrap()));
            if let Some(weight) = norm.weight() {
                let values = vec![step as f32 - 0.5; weight.len()];
                gpu.queue().write_buffer(weight.buffer(), weight.offset(), bytemuck::cast_slice(&values));
            }
            submit(&|encoder| {
                norm.encode_forward_again(encoder, &y, &again).unwrap();
                norm.encode_backward(encoder, &dy, &again, &gradients).unwrap();
            });
            let (fresh_y, fresh) = norm.forward_saved(&x).unwrap();
            assert_eq!(y.to_array().unwrap(), fresh_y.to_array().unwrap(), "{spec:?}");
            assert_eq!(bits(&gradients), bits(&norm.backward(&dy, &fresh).unwrap()), "{spec:?}");
        }
    }

    // It moves running statistics as any forward does, in the mode that it was in.
    let (mut norm, held, _) = saved(&BatchNorm::new(6).into());
    let y = tensor(&batch(0));
    norm.eval();
    let before = norm.running_mean().unwrap().to_array().unwrap();
    let again = |norm: &GpuNorm, y: &Tensor, held: &Saved| {
        let mut encoder = norm.gpu().device().create_command_encoder(&Default::default());
        norm.encode_forward_again(&mut encoder, y, held)?;
        norm.gpu().queue().submit([encoder.finish()]);
        Ok(())
    };
    again(&norm, &y, &held).unwrap();
    assert_ne!(norm.running_mean().unwrap().to_array().unwrap(), before);

    let other = saved(&BatchNorm::new(6).into());
    assert_eq!(again(&norm, &y, &other.1).unwrap_err(), Error::OtherLayer);
    assert!(matches!(again(&norm, &tensor(&batch(1)), &held), Err(Error::Shape { .. })));
    let weight = norm.weight().unwrap().clone();
    assert!(matches!(again(&norm, &weight, &held), Err(Error::Shape { .. })));

    // What another strategy leaves may fit, and may not.
    let mut norm = GpuNorm::new(adapters::first(), LayerNorm::new([5000])).unwrap();
    let (y, held) = norm.forward_saved(&tensor(&ArrayD::ones(vec![1, 5000]))).unwrap();
    norm.set_strategy(Strategy { route: Some(Route::Split), ..Strategy::default() });
    again(&norm, &y, &held).unwrap();
    let mut norm = GpuNorm::new(adapters::first(), SwitchableNorm::new(2)).unwrap();
    let (y, held) = norm.forward_saved(&tensor(&ArrayD::ones(vec![1, 2, 50_000]))).unwrap();
    again(&norm, &y, &held).unwrap();
    norm.set_strategy(Strategy { team: Some(Team::Workgroup), ..Strategy::default() });
    assert!(matches!(again(&norm, &y, &held), Err(Error::Strategy { .. })));
}

#[test]
fn sums_of_nothing_are_zero() {
    let specs: [NormSpec; 4] = [
        BatchNorm::new(3).into(),
        InstanceNorm::new(3).affine(true).into(),
        LayerNorm::new([3, 2]).into(),
        SwitchableNorm::new(3).into(),
    ];
    for spec in specs {
        let norm = layer(&spec, &data::state(&spec));
        let x = tensor(&ArrayD::zeros(vec![0, 3, 2]));
        let (y, held) = norm.forward_saved(&x).unwrap();
        assert_eq!(y.shape(), [0, 3, 2]);
        let gradients = norm.backward(&x, &held).unwrap();
        assert_eq!(gradients.input().unwrap().shape(), [0, 3, 2]);
        assert!(bits(&gradients).iter().flatten().all(|&bits| bits == 0), "{spec:?}");
        assert_eq!(gradients.weight.unwrap().len(), norm.weight().unwrap().len());

        // Nothing to add: whatever the buffers are for.
        let mut sums = norm.zero_gradients(&held).unwrap().accumulate(true);
        let descriptor = wgpu::BufferDescriptor {
            label: None,
            size: 64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        };
        let buffer = norm.gpu().device().create_buffer(&descriptor);
        let weight = Tensor::wrap(norm.gpu(), buffer, 0, norm.weight().unwrap().shape(), DType::F32).unwrap();
        let ones = Tensor::from_array(norm.gpu(), &ArrayD::ones(weight.shape())).unwrap();
        weight.copy_from(&ones).unwrap();
        sums.weight = Some(weight.clone());
        for (sums, expected) in [(sums.clone(), 1.0), (sums.accumulate(false), 0.0)] {
            let mut encoder = norm.gpu().device().create_command_encoder(&Default::default());
            norm.encode_backward(&mut encoder, &x, &held, &sums).unwrap();
            norm.gpu().queue().submit([encoder.finish()]);
            assert_eq!(weight.to_vec::<f32>().unwrap(), vec![expected; weight.len()], "{spec:?}");
        }
    }
}

#[test]
fn parameters_are_live() {
    let gpu = adapters::first();
    let mut norm = GpuNorm::new(gpu, GroupNorm::new(1, 2)).unwrap();
    let x = arr1(&[-1f32, 1.0, -1.0, 1.0]).into_shape_with_order([1, 2, 2]).unwrap();
    let plain = norm.forward(&x).unwrap();
    // Written in place.
    let weight = norm.weight().unwrap().clone();
    gpu.queue().write_buffer(weight.buffer(), weight.offset(), bytemuck::cast_slice(&[2f32, -1.0]));
    let scaled = norm.forward(&x).unwrap();
    assert_eq!(scaled[[0, 0, 0]], 2.0 * plain[[0, 0, 0]]);
    assert_eq!(scaled[[0, 1, 0]], -plain[[0, 1, 0]]);
    // Replaced, and written through the app's own handle later.
    let mine = tensor(&arr1(&[0.5f32, 0.25]).into_dyn());
    norm.set_weight(&mine).unwrap();
    norm.set_bias(&tensor(&arr1(&[1f32, 2.0]).into_dyn())).unwrap();
    let replaced = norm.forward(&x).unwrap();
    assert_eq!(replaced[[0, 0, 1]], 0.5 * plain[[0, 0, 1]] + 1.0);
    assert_eq!(replaced[[0, 1, 1]], 0.25 * plain[[0, 1, 1]] + 2.0);
    gpu.queue().write_buffer(mine.buffer(), mine.offset(), bytemuck::cast_slice(&[0f32, 0.0]));
    assert!(norm.forward(&x).unwrap().iter().zip([1.0, 1.0, 2.0, 2.0]).all(|(&y, bias)| y == bias));
    assert_eq!(norm.state_dict("").unwrap().get("weight").unwrap(), &arr1(&[0f32, 0.0]).into_dyn());

    let sn = GpuNorm::new(gpu, SwitchableNorm::new(2)).unwrap();
    assert_eq!(sn.mean_weight().unwrap().shape(), [3]);
    assert_eq!(sn.var_weight().unwrap().to_array().unwrap(), arr1(&[1f32, 1.0, 1.0]).into_dyn());
    assert_eq!(sn.running_var().unwrap().to_array().unwrap(), arr1(&[1f32, 1.0]).into_dyn());
    assert!(sn.running_mean().is_some() && norm.running_mean().is_none() && norm.mean_weight().is_none());
}

#[test]
fn what_is_refused() {
    let gpu = adapters::first();
    let (norm, held, dy) = saved(&BatchNorm::new(6).into());
    let refused = |dy: &Tensor, held: &Saved, gradients: &Gradients| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        norm.encode_backward(&mut encoder, dy, held, gradients).unwrap_err()
    };
    let fresh = || norm.zero_gradients(&held).unwrap();
    let but = |change: &dyn Fn(&mut Gradients)| {
        let mut gradients = fresh();
        change(&mut gradients);
        gradients
    };
    let other = saved(&BatchNorm::new(6).into());
    assert_eq!(refused(&dy, &other.1, &fresh()), Error::OtherLayer);
    assert_eq!(norm.backward(&dy, &other.1).unwrap_err(), Error::OtherLayer);
    assert_eq!(norm.zero_gradients(&other.1).unwrap_err(), Error::OtherLayer);
    assert_eq!(norm.plan_backward(&other.1).unwrap_err(), Error::OtherLayer);

    assert!(matches!(refused(&tensor(&batch(1)), &held, &fresh()), Error::Shape { what: "dy", .. }));
    let half = Tensor::from_array_as(gpu, &batch(0), DType::F16).unwrap();
    assert!(matches!(refused(&half, &held, &fresh()), Error::ElementType { what: "dy", .. }));
    let elsewhere = gpunorm::Gpu::new().unwrap();
    let far = Tensor::from_array(&elsewhere, &batch(0)).unwrap();
    assert_eq!(refused(&far, &held, &fresh()), Error::OtherDevice { what: "dy" });

    let without = norm.backward_of(&dy, &held, Wanted::Parameters).unwrap();
    assert_eq!(without.input().unwrap_err(), Error::NoGradient { name: "the input" });
    let six = tensor(&ArrayD::zeros(vec![6]));
    let with = but(&|g| g.mean_weight = Some(six.clone()));
    assert_eq!(refused(&dy, &held, &with), Error::NoParameter { name: "mean_weight" });
    let wrong = but(&|g| g.bias = Some(tensor(&ArrayD::zeros(vec![5]))));
    assert!(matches!(refused(&dy, &held, &wrong), Error::Shape { what: "bias's gradient", .. }));
    let wrong = but(&|g| g.input = Some(half.clone()));
    assert!(matches!(refused(&dy, &held, &wrong), Error::ElementType { .. }));
    // In place of dy is what replaces it, not what is added to it.
    let mut aliased = fresh().accumulate_input(true);
    aliased.input = Some(dy.clone());
    assert_eq!(refused(&dy, &held, &aliased), Error::Aliasing { what: "input's gradient", with: "dy" });
    let aliased = but(&|g| (g.weight, g.bias) = (Some(six.clone()), Some(six.clone())));
    assert_eq!(refused(&dy, &held, &aliased), Error::Aliasing { what: "weight's gradient", with: "bias's gradient" });
    for (with, live) in [("weight", norm.weight()), ("running_mean", norm.running_mean())] {
        let over = but(&|g| g.bias = live.cloned());
        let expected = Error::Aliasing { what: "bias's gradient", with };
        assert_eq!(refused(&dy, &held, &over), expected);
    }

    // The same tensors as a call that was prepared, for another parameter.
    let (unbiased, held, dy) = saved(&BatchNorm::new(6).bias(false).into());
    let right = unbiased.backward(&dy, &held).unwrap();
    let mut swapped = right.clone();
    (swapped.weight, swapped.bias) = (None, right.weight.clone());
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    unbiased.encode_backward(&mut encoder, &dy, &held, &right).unwrap();
    let refused = unbiased.encode_backward(&mut encoder, &dy, &held, &swapped).unwrap_err();
    assert_eq!(refused, Error::NoParameter { name: "bias" });

    let mut plain = GpuNorm::new(gpu, RmsNorm::new([6])).unwrap();
    assert_eq!(plain.set_bias(&six).unwrap_err(), Error::NoParameter { name: "bias" });
    assert!(matches!(plain.set_weight(&tensor(&ArrayD::zeros(vec![3]))), Err(Error::Shape { .. })));
    let half = Tensor::from_array_as(gpu, &ArrayD::zeros(vec![6]), DType::F16).unwrap();
    assert!(matches!(plain.set_weight(&half), Err(Error::ElementType { .. })));
    let far = Tensor::from_array(&elsewhere, &ArrayD::zeros(vec![6])).unwrap();
    assert_eq!(plain.set_weight(&far).unwrap_err(), Error::OtherDevice { what: "weight" });
    assert!(matches!(plain.forward_saved(&far), Err(Error::OtherDevice { .. })));

    // An output over a live parameter.
    let row = tensor(&ArrayD::zeros(vec![6]));
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    plain.set_weight(&row).unwrap();
    let refused = plain.encode_forward(&mut encoder, &six, &row).unwrap_err();
    assert_eq!(refused, Error::Aliasing { what: "output", with: "weight" });
}
