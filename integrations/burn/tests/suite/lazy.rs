//! The first thing that a program does with its device may be one of these layers: in a process of its own, nothing has been made before.

use burn::tensor::{Device, Tensor};
use gpunorm_burn::LayerNormConfig;

const CHILD: &str = "GPUNORM_BURN_CHILD";

#[test]
fn the_default_device_is_made_by_the_first_layer() {
    if std::env::var_os(CHILD).is_some() {
        let device = Device::default();
        let norm = LayerNormConfig::new(4).init(&device);
        let y = norm.forward(Tensor::<2>::from_floats([[1.0, 2.0, 3.0, 4.0]], &device));
        let y: Vec<f32> = y.into_data().iter().collect();
        assert!((y[3] - 1.3416355).abs() < 1e-6, "{y:?}");
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(program)
        .args(["--exact", "lazy::the_default_device_is_made_by_the_first_layer"])
        .env(CHILD, "1")
        .output()
        .expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
