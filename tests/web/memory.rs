//! Memory that is given back: `cargo xtask test-web` looks at how much the browser has.

use gpunorm::{DType, Gpu, Tensor};

use crate::case::{Outcome, text};
use crate::progress;

/// One after the other, each of another size and dropped before the next is made: 64 GiB in all.
pub async fn many_large_tensors(gpu: &Gpu) -> Outcome {
    for number in 0..1000 {
        let tensor = Tensor::zeros(gpu, &[(64 << 20) / 4 + 4 * number], DType::F32).map_err(text)?;
        // An app waits for its GPU now and then, which otherwise has ever more to do.
        if number % 4 == 3 {
            tensor.narrow(0, 0, 1).map_err(text)?.read().await.map_err(text)?;
            progress(&format!("{number} tensors"));
        }
    }
    Ok(())
}
