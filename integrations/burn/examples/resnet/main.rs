//! ResNet-20 on printed digits, trained from one checkpoint with burn's BatchNorm and with gpunorm's: the same losses, in less time.
//! `cargo run --example resnet -- [--steps N] [--batch N]`
//!
//! The net is written once. Whose norms are in it, its `use` line says, which is all that a net of burn's has to change.

mod digits;

mod burns {
    use burn_nn::{BatchNorm, BatchNormConfig};

    include!("net.rs");
}

mod ours {
    use gpunorm_burn::{BatchNorm, BatchNormConfig};

    include!("net.rs");
}

use std::error::Error;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{Device, DeviceKind, Int, Tensor};
use burn_nn::loss::CrossEntropyLossConfig;
use burn_optim::{GradientsParams, SgdConfig};
use digits::{Random, batch};

const RATE: f64 = 0.1;

/// Steps that compile and tune, and are not timed.
const WARM_UP: usize = 2;

/// A net in training.
struct Training<M: Module> {
    net: M,
    time: Duration,
    steps: usize,
}

impl<M: Module> Training<M> {
    fn new(net: M) -> Training<M> {
        Training { net, time: Duration::ZERO, steps: 0 }
    }

    /// A step of gradient descent, and its loss.
    fn step(
        mut self,
        device: &Device,
        (images, digits): (Tensor<4>, Tensor<1, Int>),
        forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
    ) -> Result<(Self, f32), Box<dyn Error>> {
        device.sync()?;
        let start = Instant::now();
        let loss = CrossEntropyLossConfig::new().init(device).forward(forward(&self.net, images), digits);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.net);
        self.net = SgdConfig::new().init().step(RATE, self.net, gradients);
        let loss = loss.into_scalar::<f32>();
        device.sync()?;
        self.steps += 1;
        if self.steps > WARM_UP {
            self.time += start.elapsed();
        }
        Ok((self, loss))
    }

    fn milliseconds(&self) -> f64 {
        self.time.as_secs_f64() * 1e3 / self.steps.saturating_sub(WARM_UP).max(1) as f64
    }
}

/// How many of so many new digits a net reads.
fn right(device: &Device, count: usize, forward: impl Fn(Tensor<4>) -> Tensor<2>) -> usize {
    let (images, digits) = batch(count, &mut Random(999), device);
    let found = forward(images).argmax(1).reshape([count]);
    found.equal(digits).int().sum().into_scalar::<i32>() as usize
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut steps, mut size) = (60, 32);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or("usage: resnet [--steps N] [--batch N]")?.parse()?;
        match arg.as_str() {
            "--steps" => steps = value,
            "--batch" => size = value,
            _ => return Err("usage: resnet [--steps N] [--batch N]".into()),
        }
    }
    let device = Device::wgpu(DeviceKind::DefaultDevice).autodiff();
    device.seed(1);
    println!(
        "ResNet-20 on {}, batches of {size}",
        device.identity().map_or_else(|| "?".into(), |identity| identity.name)
    );

    // burn's checkpoint, loaded into both.
    let checkpoint = burns::ResNet20::new(&device);
    let record = ModuleRecord::from_bytes(checkpoint.clone().into_record().into_bytes()?)?;
    let mut burns = Training::new(checkpoint);
    let mut ours = Training::new(ours::ResNet20::new(&device).load_record(record));
    let mut random = Random(7);
    let mut apart: f32 = 0.0;
    println!("step   loss with burn's   with gpunorm's");
    for step in 0..steps {
        let batch = batch(size, &mut random, &device);
        let (of_burn, of_ours);
        (burns, of_burn) = burns.step(&device, batch.clone(), |net, images| net.forward(images))?;
        (ours, of_ours) = ours.step(&device, batch, |net, images| net.forward(images))?;
        apart = apart.max((of_burn - of_ours).abs());
        if step % 10 == 0 || step + 1 == steps {
            println!("{step:4}   {of_burn:16.6}   {of_ours:14.6}");
        }
    }
    let [of_burn, of_ours] = [burns.milliseconds(), ours.milliseconds()];
    println!(
        "a step takes {of_burn:.0} ms with burn's, {of_ours:.0} ms with gpunorm's ({:.2} times faster)",
        of_burn / of_ours
    );
    println!("losses were {apart:.1e} apart at most");

    // As burn evaluates nets: without autodiff, by the running statistics.
    let (valid, inner) = (ours.net.valid(), device.clone().inner());
    let read = right(&inner, 200, |images| valid.forward(images));
    println!("of 200 new digits, {read} are read");
    // And back: what was trained here is a checkpoint of burn's.
    let record = ModuleRecord::from_bytes(valid.into_record().into_bytes()?)?;
    let back = burns::ResNet20::new(&inner).load_record(record);
    println!("{} by burn's net with the same checkpoint", right(&inner, 200, |images| back.forward(images)));
    Ok(())
}
