//! Checkpoints and configs go both ways between burn's layers and these; torch's come in as burn's users bring them in.

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{Device, Tensor};
use burn_store::{ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};

use crate::values::{array, device, tensor, values};

/// A net of all five, by whose layers they are. What a `use` line changes is all that changes.
macro_rules! net {
    ($name:ident, $nn:ident) => {
        mod $name {
            use burn::module::Module;
            use burn::tensor::{Device, Tensor};
            use $nn::{
                BatchNorm, BatchNormConfig, GroupNorm, GroupNormConfig, InstanceNorm, InstanceNormConfig, LayerNorm,
                LayerNormConfig, RmsNorm, RmsNormConfig,
            };

            #[derive(Module, Debug)]
            pub struct Net {
                pub layer: LayerNorm,
                pub rms: RmsNorm,
                pub group: GroupNorm,
                pub instance: InstanceNorm,
                pub batch: BatchNorm,
            }

            impl Net {
                pub fn new(device: &Device) -> Net {
                    Net {
                        layer: LayerNormConfig::new(9).with_epsilon(1e-4).init(device),
                        rms: RmsNormConfig::new(9).init(device),
                        group: GroupNormConfig::new(2, 6).init(device),
                        instance: InstanceNormConfig::new(6).init(device),
                        batch: BatchNormConfig::new(6).with_momentum(0.3).init(device),
                    }
                }

                pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
                    let x = self.group.forward(self.rms.forward(self.layer.forward(x)));
                    self.batch.forward(self.instance.forward(x))
                }
            }
        }
    };
}

net!(ours, gpunorm_burn);
net!(burns, burn_nn);

/// Every parameter and statistic of its own values.
fn unlike_new<M: Module>(module: M) -> M {
    struct Fill(u32);
    impl burn::module::ModuleMapper for Fill {
        fn map_float<const D: usize>(
            &mut self,
            param: burn::module::Param<Tensor<D>>,
        ) -> burn::module::Param<Tensor<D>> {
            self.0 += 1;
            let (shape, device) = (param.shape(), param.device());
            let values = values(&shape, self.0, 1.0, 0.2).mapv(|value| value.abs() + 0.1);
            param.map(|_| tensor(&values, &device))
        }
    }
    module.map(&mut Fill(40))
}

fn close(ours: Tensor<3>, burns: Tensor<3>) {
    let (ours, burns) = (array(ours), array(burns));
    let most = burns.iter().fold(1.0, |most: f32, value| most.max(value.abs()));
    let apart = (&ours - &burns).iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    // Five layers, each some roundings of its output's size apart.
    assert!(apart <= 5.0 * 64.0 / (1 << 24) as f32 * most, "{apart} apart, of {most}");
}

fn input(device: &Device) -> Tensor<3> {
    tensor(&values(&[4, 6, 9], 1, 0.5, 1.0), device)
}

#[test]
fn records_go_both_ways() {
    let device = device();
    let burns = unlike_new(burns::Net::new(&device));
    let bytes = burns.clone().into_record().into_bytes().expect("a record");
    let ours = ours::Net::new(&device).load_record(ModuleRecord::from_bytes(bytes).expect("burn's record"));
    close(ours.forward(input(&device)), burns.forward(input(&device)));

    let ours = unlike_new(ours::Net::new(&device));
    let bytes = ours.clone().into_record().into_bytes().expect("a record");
    let burns = burns::Net::new(&device).load_record(ModuleRecord::from_bytes(bytes).expect("our record"));
    close(ours.forward(input(&device)), burns.forward(input(&device)));
    assert_eq!(ours.num_params(), burns.num_params());
}

#[test]
fn files_go_both_ways() {
    let device = device();
    let path = std::env::temp_dir().join(format!("gpunorm-burn-{}.bpk", std::process::id()));
    let trained = unlike_new(burns::Net::new(&device));
    trained.clone().save_file(&path).expect("a file");
    let ours = ours::Net::new(&device).load_file(&path);
    close(ours.forward(input(&device)), trained.forward(input(&device)));
    std::fs::remove_file(path).expect("the file");
}

/// By torch's names, which burn-store knows of burn's layers by what they are called.
#[test]
fn torchs_checkpoints_come_in() {
    use safetensors::tensor::{Dtype, TensorView};
    let numbers = |len: usize, seed: u32| values(&[len], seed, 1.0, 0.2).mapv(|value| value.abs() + 0.1);
    let arrays: Vec<(String, Vec<f32>)> = [
        ("layer.weight", 9),
        ("layer.bias", 9),
        ("rms.weight", 9),
        ("group.weight", 6),
        ("group.bias", 6),
        // Of instance norm burn-store does not know torch's names.
        ("instance.gamma", 6),
        ("instance.beta", 6),
        ("batch.weight", 6),
        ("batch.bias", 6),
        ("batch.running_mean", 6),
        ("batch.running_var", 6),
    ]
    .into_iter()
    .zip(60..)
    .map(|((name, len), seed)| (name.to_owned(), numbers(len, seed).into_iter().collect()))
    .collect();
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = arrays
        .into_iter()
        .map(|(name, values)| (name, vec![values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor")));
    let file = safetensors::serialize(views, None).expect("a file");
    let device = device();
    let store = || SafetensorsStore::from_bytes(Some(file.clone())).with_from_adapter(PyTorchToBurnAdapter);
    let mut ours = ours::Net::new(&device);
    ours.load_from(&mut store()).expect("our net");
    let mut burns = burns::Net::new(&device);
    burns.load_from(&mut store()).expect("burn's net");
    close(ours.forward(input(&device)), burns.forward(input(&device)));
    assert!((array(ours.batch.running_var.expect("a variance").value())[[0]] - numbers(6, 70)[[0]]).abs() < 1e-7);
}

/// burn's configs, as it stores them, make these layers; and these burn's.
#[test]
fn configs_go_both_ways() {
    macro_rules! both {
        ($($config:ident($($argument:expr),*)),*) => {$(
            let text = burn_nn::$config::new($($argument),*).with_epsilon(1e-3).to_string();
            let ours: gpunorm_burn::$config = serde_json::from_str(&text).expect("burn's config");
            assert_eq!(ours.epsilon, 1e-3);
            let text = serde_json::to_string(&ours).expect("our config");
            let burns: burn_nn::$config = serde_json::from_str(&text).expect("our config");
            assert_eq!(burns.epsilon, 1e-3);
        )*};
    }
    both!(LayerNormConfig(9), RmsNormConfig(9), GroupNormConfig(2, 6), InstanceNormConfig(6), BatchNormConfig(6));
}
