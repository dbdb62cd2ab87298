use std::time::Duration;

use gpunorm::mpi::{self, Threading};
use gpunorm::{BatchNorm, Gpu, GpuNorm, ProcessGroup, Tensor, or_abort};
use ndarray::Array3;

fn train(group: &ProcessGroup) -> gpunorm::Result<()> {
    let gpu = Gpu::new()?; // on a machine with several, an adapter by rank: Gpu::from_adapter
    let mut norm = GpuNorm::new(&gpu, BatchNorm::new(8))?;
    norm.set_process_group(Some(group)); // the same layers in the same order on every process

    // This process's share of the batch: of any size, also none.
    let share = Array3::<f32>::from_shape_fn((4 - group.rank(), 8, 9), |(n, c, s)| (n + c * s) as f32);
    let (y, saved) = norm.forward_saved(&Tensor::from_array(&gpu, &share)?)?; // by the statistics of all shares
    let grads = norm.backward(&y, &saved)?; // dx through those; weight and bias of this share, for you to average
    println!("rank {}: {}", group.rank(), grads.input()?.to_array()?.sum());

    // In two halves: what is submitted between them runs while the processes exchange.
    let begun = norm.begin_forward(&y);
    begun.finish().map(drop)
}

fn main() {
    let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).expect("MPI starts once");
    let world = universe.world();
    let trained = ProcessGroup::mpi(&world, Duration::from_secs(600)).and_then(|group| train(&group));
    or_abort(&world, trained); // an error here ends the others too, which might wait for this one
}
