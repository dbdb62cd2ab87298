//! Inputs that are slices, transposes and broadcasts of others, alone and among operations that burn fuses.

use burn::tensor::{Device, Tensor};
use gpunorm::ndarray::ArrayD;
use gpunorm_burn::{
    BatchNormConfig, GroupNormConfig, InstanceNormConfig, LayerNormConfig, RmsNormConfig, SwitchableNormConfig,
};

use crate::values::{array, device, tensor, values};

/// All norms of a view, and of the same values in a tensor of their own.
fn same(what: &str, device: &Device, view: &dyn Fn(&Device) -> Tensor<3>) {
    let own: ArrayD<f32> = array(view(device));
    let [_, c, last] = view(device).dims();
    let check = |norm: &str, forward: &dyn Fn(Tensor<3>) -> Tensor<3>| {
        let of_view = array(forward(view(device)));
        let of_own = array(forward(tensor(&own, device)));
        assert_eq!(of_view, of_own, "{what}, {norm}");
        let fused = array(forward(view(device) * 2.0 + 1.0) * 3.0);
        let of_own = array(forward(tensor(&own.mapv(|value| value * 2.0 + 1.0), device))).mapv(|value| value * 3.0);
        assert_eq!(fused, of_own, "{what}, {norm}, among others");
    };
    check("layer", &|x| LayerNormConfig::new(last).init(device).forward(x));
    check("rms", &|x| RmsNormConfig::new(last).init(device).forward(x));
    check("group", &|x| GroupNormConfig::new(1, c).init(device).forward(x));
    check("instance", &|x| InstanceNormConfig::new(c).init(device).forward(x));
    check("batch", &|x| BatchNormConfig::new(c).init(device).forward(x));
    check("switchable", &|x| SwitchableNormConfig::new(c).init(device).forward(x));
}

#[test]
fn views_of_others() {
    for device in [device(), device().autodiff()] {
        let whole = |device: &Device| -> Tensor<3> { tensor(&values(&[8, 12, 64], 1, 1.0, 2.0), device) };
        same("the whole", &device, &|device| whole(device));
        // At a multiple of the device's alignment burn slices without a copy.
        same("rows from 4 on", &device, &|device| whole(device).slice([4..8, 0..12, 0..64]));
        same("rows from 1 on", &device, &|device| whole(device).slice([1..4, 0..12, 0..64]));
        same("channels", &device, &|device| whole(device).slice([0..8, 3..9, 0..64]));
        same("columns", &device, &|device| whole(device).slice([0..8, 0..12, 5..38]));
        same("a transpose", &device, &|device| whole(device).swap_dims(1, 2));
        same("a permutation", &device, &|device| whole(device).permute([2, 0, 1]));
        same("a slice of a transpose", &device, &|device| whole(device).swap_dims(0, 2).slice([8..40, 2..10, 0..8]));
        same("a broadcast", &device, &|device| whole(device).slice([0..1, 0..12, 0..64]).expand([5, 12, 64]));
    }
}

/// Parameters may be views, too.
#[test]
fn gradients_of_views() {
    let device = device().autodiff();
    let x: Tensor<3> = tensor(&values(&[8, 12, 64], 1, 1.0, 2.0), &device).require_grad();
    let norm = LayerNormConfig::new(12).init(&device);
    let y = norm.forward(x.clone().swap_dims(1, 2).slice([2..8, 0..64, 0..12]));
    // A gradient that is a transpose, as well.
    let gradients = (y.swap_dims(1, 2) * tensor(&values(&[6, 12, 64], 2, 0.0, 1.0), &device)).sum().backward();
    let dx = array(x.grad(&gradients).expect("a gradient"));

    let own: Tensor<3> =
        Tensor::from_data(x.clone().swap_dims(1, 2).slice([2..8, 0..64, 0..12]).into_data(), &device).require_grad();
    let y = norm.forward(own.clone());
    let dy = array(tensor::<3>(&values(&[6, 12, 64], 2, 0.0, 1.0), &device).swap_dims(1, 2));
    let gradients = (y * tensor(&dy, &device)).sum().backward();
    let expected = array(own.grad(&gradients).expect("a gradient").swap_dims(1, 2));
    let found = array(
        Tensor::<3>::from_data(burn::tensor::TensorData::new(dx.iter().copied().collect(), [8, 12, 64]), &device)
            .slice([2..8, 0..12, 0..64]),
    );
    assert_eq!(found, expected);
    assert!(dx.iter().take(2 * 12 * 64).all(|&value| value == 0.0));
}
