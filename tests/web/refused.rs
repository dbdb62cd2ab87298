//! What the suite's layers refuse, they refuse in browsers, in the same words, and nothing has changed.

use gpunorm::unstable::Geometry;
use gpunorm::{DType, Gpu, GpuNorm, Tensor};
use ndarray::ArrayD;

use crate::case::{Outcome, text};
use crate::refusals::{self, Refusal};
use crate::{ensure, progress};

pub async fn shapes(gpus: &[(&str, Gpu); 2]) -> Outcome {
    for refusal in refusals::shapes() {
        let Refusal { spec, mode, shape, told } = &refusal;
        progress(told);
        for (place, gpu) in gpus {
            let norm = GpuNorm::new(gpu, spec.clone()).map_err(text)?;
            norm.set_mode(*mode);
            let before = norm.read_state_dict("").await.map_err(text)?;
            let mut refused = vec![norm.plan(shape, DType::F32).map(drop), Geometry::new(spec, *mode, shape).map(drop)];
            if shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size)).is_some_and(|all| all < 1 << 20) {
                let x = ArrayD::<f32>::ones(shape.clone());
                let tensor = Tensor::from_array(gpu, &x).map_err(text)?;
                let mut encoder = gpu.device().create_command_encoder(&Default::default());
                refused.extend([
                    norm.forward_async(&x).await.map(drop),
                    norm.forward_tensor(&tensor).map(drop),
                    norm.forward_in_place(&tensor),
                    norm.encode_forward(&mut encoder, &tensor, &tensor),
                    norm.profile_async(&tensor, &tensor).await.map(drop),
                ]);
                gpu.queue().submit([encoder.finish()]);
            }
            for refused in refused {
                let found = refused.err().map(text);
                ensure(found.as_ref() == Some(told), || format!("{place}, {spec:?}, {mode:?}: {found:?} for {told}"))?;
            }
            let after = norm.read_state_dict("").await.map_err(text)?;
            ensure(after == before, || format!("{place}, {spec:?}, {mode:?}: {told}, and the state has changed"))?;
        }
    }
    Ok(())
}
