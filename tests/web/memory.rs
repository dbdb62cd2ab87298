//! Memory that is given back: `cargo xtask test-web` looks at how much the browser has.

use gpunorm::{DType, Gpu, Tensor};

use crate::case::{Outcome, text};
use crate::progress;

/// One after the other, each of another size and dropped before the next is made: 64 GiB in all.
pub async fn many_large_tensors(gpu: &Gpu) -> Outcome {
    for number in 0..1000 {
        let tensor = Tensor::zeros(gpu, &[(64 << 20) / 4 + 4 * number], DType::F32).map_err(text)?;
        drop(tensor);
        // A page lets its browser work now and then.
        if number % 4 == 3 {
            gpu.check().await.map_err(text)?;
            progress(&format!("{number} tensors"));
        }
    }
    Ok(())
}
