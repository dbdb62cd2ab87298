//! What browsers lack, since their thread cannot wait and they have no files: in its place are functions that cannot be called,
//! and the compiler's refusal names what there is instead.

#[cfg(feature = "safetensors")]
use std::path::Path;
use std::time::Duration;

use ndarray::{Array, ArrayD, ArrayRef, Dimension};

use super::call::Call;
use super::gradients::Gradients;
use super::norm::GpuNorm;
use super::saved::Saved;
use super::state_dict::StateDict;
use crate::device::{Gpu, Tensor};
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::spec::{Mode, NormSpec};

/// Has nothing that `absent` asks of it. The lifetime defers the question to whoever calls.
#[doc(hidden)]
pub struct Browser<'a>(std::marker::PhantomData<&'a ()>);

macro_rules! absent {
    ($message:literal: $(
        $owner:ty, $instead:literal, $name:ident $([$($generic:tt)*])? ($($argument:tt)*) -> $output:ty;
    )+) => {$(
        const _: () = {
            #[diagnostic::on_unimplemented(message = $message, label = $instead)]
            pub trait Absent {}

            impl $owner {
                #[doc(hidden)]
                pub fn $name$(<$($generic)*>)?($($argument)*) -> $output
                where
                    for<'a> Browser<'a>: Absent,
                {
                    unreachable!()
                }
            }
        };
    )+};
}

type Times = Option<Vec<(&'static str, Duration)>>;

absent! {
    "a browser's thread cannot wait for the GPU":
    Gpu, "await `Gpu::request()`", new() -> Result<Gpu>;
    Gpu, "await `warm_up_async`", warm_up(&self, _: &[NormSpec], _: &[&[usize]], _: DType, _: Mode) -> Result<()>;
    Tensor, "await `read()`", to_array(&self) -> Result<ArrayD<f32>>;
    Tensor, "await `read_as()`", to_vec[T: Scalar](&self) -> Result<Vec<T>>;
    GpuNorm, "await `forward_async`", forward[D: Dimension](&self, _: &ArrayRef<f32, D>) -> Result<Array<f32, D>>;
    GpuNorm, "await `profile_async`", profile(&self, _: &Tensor, _: &Tensor) -> Result<Times>;
    GpuNorm, "await `profile_backward_async`",
        profile_backward(&self, _: &Tensor, _: &Saved, _: &Gradients) -> Result<Times>;
    GpuNorm, "await `read_state_dict`", state_dict(&self, _: &str) -> Result<StateDict>;
    GpuNorm, "await `read_num_batches_tracked()`", num_batches_tracked(&self) -> Result<Option<u32>>;
    Call<'_>, "await `forward_async`", forward[D: Dimension](&self, _: &ArrayRef<f32, D>) -> Result<Array<f32, D>>;
    Call<'_>, "await `profile_async`", profile(&self, _: &Tensor, _: &Tensor) -> Result<Times>;
}

#[cfg(feature = "safetensors")]
absent! {
    "a browser has no files":
    StateDict, "take their bytes to `StateDict::from_safetensors`", load(_: impl AsRef<Path>) -> Result<StateDict>;
    StateDict, "take their bytes to `StateDict::from_safetensors`",
        load_module(_: impl AsRef<Path>, _: &str) -> Result<StateDict>;
    StateDict, "take the bytes of `to_safetensors()`", save(&self, _: impl AsRef<Path>) -> Result<()>;
}
