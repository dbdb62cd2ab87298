//! Modes: of a layer, of a single call, of a layer that threads share; and layers that are copied.

use std::sync::Arc;

use gpunorm::{BatchNorm, DType, GpuNorm, Mode, SwitchableNorm, Tensor};
use ndarray::ArrayD;

use super::{adapters, data};

#[test]
fn a_call_has_its_own_mode() {
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, BatchNorm::new(3)).unwrap();
        let array = data::values("normal", &[4, 3, 5], 3);
        let x = Tensor::from_array(gpu, &array).unwrap();
        let before = norm.state_dict("").unwrap();
        let evaluates = norm.call().mode(Mode::Evaluation);
        // The initial running statistics: mean 0, variance 1.
        let expected: ArrayD<f32> = array.mapv(|x| x / 1.00001f32.sqrt());
        let close = |found: ArrayD<f32>| (found - &expected).iter().all(|off| off.abs() < 1e-5);
        assert!(close(evaluates.forward(&array).unwrap()), "{name}");
        assert!(close(evaluates.forward_tensor(&x).unwrap().to_array().unwrap()), "{name}");
        let (y, saved) = evaluates.forward_saved(&x).unwrap();
        assert!(close(y.to_array().unwrap()), "{name}");
        assert!(
            close(norm.backward(&x, &saved).unwrap().input().unwrap().to_array().unwrap()),
            "{name}: dx is dy scaled"
        );
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        evaluates.encode_forward(&mut encoder, &x, &y).unwrap();
        gpu.queue().submit([encoder.finish()]);
        assert!(evaluates.plan(x.shape(), DType::F32).unwrap().to_string().contains("running statistics"));
        assert_eq!((norm.state_dict("").unwrap(), norm.mode()), (before.clone(), Mode::Training), "{name}");
        norm.forward_tensor(&x).unwrap();
        assert_ne!(norm.state_dict("").unwrap(), before, "{name}");
    }
}

/// One thread trains, one evaluates by the call, one switches the layer's mode back and forth; what a call was told holds.
#[test]
fn a_shared_layer_is_evaluated_while_it_is_trained() {
    for (name, gpu) in adapters::all() {
        // A momentum of 0 keeps the running statistics, so evaluation's result is known throughout.
        let norm = Arc::new(GpuNorm::new(gpu, BatchNorm::new(2).momentum(0.0)).unwrap());
        let x = Tensor::from_slice(gpu, &[1f32, 2.0, 3.0, 4.0], &[2, 2]).unwrap();
        let expected = [Mode::Training, Mode::Evaluation]
            .map(|mode| norm.call().mode(mode).forward_tensor(&x).unwrap().to_vec::<f32>().unwrap());
        assert_ne!(expected[0], expected[1]);
        let rounds = 20;
        std::thread::scope(|scope| {
            for (mode, expected) in [Mode::Training, Mode::Evaluation].into_iter().zip(&expected) {
                let (norm, x) = (norm.clone(), &x);
                scope.spawn(move || {
                    for _ in 0..rounds {
                        let y = norm.call().mode(mode).forward_tensor(x).unwrap();
                        assert_eq!(&y.to_vec::<f32>().unwrap(), expected, "{name}, {mode:?}");
                    }
                });
            }
            scope.spawn(|| {
                for round in 0..rounds {
                    norm.set_mode(if round % 2 == 0 { Mode::Evaluation } else { Mode::Training });
                    let y = norm.forward_tensor(&x).unwrap().to_vec::<f32>().unwrap();
                    assert_eq!(y, expected[usize::from(round % 2 == 0)], "{name}, {round}");
                }
            });
        });
        // Two calls that had expected values computed, those of the training thread, and half of the switching one's.
        assert_eq!(norm.num_batches_tracked().unwrap(), Some(1 + rounds + rounds / 2), "{name}");
    }
}

#[test]
fn a_clone_has_parameters_of_its_own() {
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, SwitchableNorm::new(3)).unwrap();
        let x = Tensor::from_array(gpu, &data::values("normal", &[4, 3, 5], 3)).unwrap();
        norm.forward_tensor(&x).unwrap();
        norm.set_mode(Mode::Evaluation);
        let clone = norm.try_clone().unwrap();
        let before = norm.state_dict("").unwrap();
        assert_eq!((clone.state_dict("").unwrap(), clone.mode()), (before.clone(), Mode::Evaluation), "{name}");
        norm.weight().unwrap().write(&[7f32; 3]).unwrap();
        norm.call().mode(Mode::Training).forward_tensor(&x).unwrap();
        assert_eq!(clone.state_dict("").unwrap(), before, "{name}");
        assert_ne!(norm.state_dict("").unwrap(), before, "{name}");
        let (y, saved) = norm.forward_saved(&x).unwrap();
        assert!(clone.backward(&y, &saved).is_err(), "{name}: a saved forward is of one layer");
    }
}
