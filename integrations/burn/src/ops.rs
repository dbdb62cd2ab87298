//! The operations of all norms, as burn's backends know them. Through `Fusion` they are registered with what `describe` says of their
//! results, and run when burn runs what is before them; through `Autodiff` they are in `autodiff`.

use std::sync::Arc;

#[cfg(feature = "fusion")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, backend_extension};
use gpunorm::unstable::Binding;

use crate::call::{Call, Planned, Wanted};

/// A tensor, or none: burn's macros know no `Option` of them.
#[derive(ExtensionType, Debug, Clone)]
#[extension_type(fusion: cfg(feature = "fusion"))]
pub enum Given<B: Backend> {
    Nothing,
    Tensor(FloatTensor<B>),
}

/// A layer's arrays, f32 and of any shape that has as many elements as it takes.
#[derive(ExtensionType, Debug, Clone)]
#[extension_type(fusion: cfg(feature = "fusion"))]
pub struct Arrays<B: Backend> {
    #[extension_type]
    pub weight: Given<B>,
    #[extension_type]
    pub bias: Given<B>,
    #[extension_type]
    pub mean_weight: Given<B>,
    #[extension_type]
    pub var_weight: Given<B>,
    #[extension_type]
    pub running_mean: Given<B>,
    #[extension_type]
    pub running_var: Given<B>,
}

/// What a forward keeps for its backward: a row's statistics, or of switchable norm instances' moments and its axes.
#[derive(ExtensionType, Debug, Clone)]
#[extension_type(fusion: cfg(feature = "fusion"))]
pub struct Saved<B: Backend> {
    #[extension_type]
    pub statistics: Given<B>,
    #[extension_type]
    pub axes: Given<B>,
}

/// What a forward gives. Running statistics are there where they move.
#[derive(ExtensionType, Debug)]
#[extension_type(fusion: cfg(feature = "fusion"))]
pub struct Outputs<B: Backend> {
    pub output: FloatTensor<B>,
    #[extension_type]
    pub saved: Saved<B>,
    #[extension_type]
    pub running_mean: Given<B>,
    #[extension_type]
    pub running_var: Given<B>,
}

/// The gradients that are wanted, each of the shape of what it is of.
#[derive(ExtensionType, Debug)]
#[extension_type(fusion: cfg(feature = "fusion"))]
pub struct Gradients<B: Backend> {
    #[extension_type]
    pub input: Given<B>,
    #[extension_type]
    pub weight: Given<B>,
    #[extension_type]
    pub bias: Given<B>,
    #[extension_type]
    pub mean_weight: Given<B>,
    #[extension_type]
    pub var_weight: Given<B>,
}

/// A forward of a call.
#[derive(Debug, Clone)]
pub struct Forward {
    pub call: Arc<Call>,
    /// What a backward needs is kept.
    pub saves: bool,
}

/// A backward of one.
#[derive(Debug, Clone)]
pub struct Backward {
    pub call: Arc<Call>,
    pub wanted: Wanted,
}

#[backend_extension(Cube, Fusion: cfg(feature = "fusion"), Autodiff: cfg(feature = "autodiff"))]
pub trait NormOps: Backend {
    #[fusion(meta = describe_forward)]
    fn norm_forward(
        input: FloatTensor<Self>,
        #[extension_type] arrays: Arrays<Self>,
        forward: Forward,
    ) -> Outputs<Self>;

    #[fusion(meta = describe_backward)]
    fn norm_backward(
        gradient: FloatTensor<Self>,
        input: FloatTensor<Self>,
        #[extension_type] arrays: Arrays<Self>,
        #[extension_type] saved: Saved<Self>,
        backward: Backward,
    ) -> Gradients<Self>;
}

impl Forward {
    pub fn planned(&self) -> Arc<Planned> {
        // Found when the call was made.
        self.call.forward(self.saves).expect("a forward has been planned")
    }

    /// What is kept, and its number of f32 values.
    pub fn saved(&self) -> [Option<(Binding, usize)>; 2] {
        if !self.saves {
            return [None; 2];
        }
        let planned = self.planned();
        let mut saved = self.call.saved().iter();
        [(); 2].map(|()| saved.next().map(|&binding| (binding, planned.scratch.bytes(binding) as usize / 4)))
    }
}

impl Backward {
    pub fn planned(&self) -> Arc<Planned> {
        self.call.backward(self.wanted).expect("a part of a backward that has been planned")
    }
}

#[cfg(feature = "fusion")]
fn describe_forward(input: &TensorSpec, arrays: &ArraysMetadata, forward: &Forward) -> OutputsMetadata {
    let [statistics, axes] = forward.saved().map(|saved| match saved {
        Some((_, len)) => GivenMetadata::Tensor(TensorSpec::new([len].into(), burn::tensor::DType::F32)),
        None => GivenMetadata::Nothing,
    });
    let moved = |array: &GivenMetadata| if forward.call.updates() { array.clone() } else { GivenMetadata::Nothing };
    OutputsMetadata {
        output: input.clone(),
        saved: SavedMetadata { statistics, axes },
        running_mean: moved(&arrays.running_mean),
        running_var: moved(&arrays.running_var),
    }
}

#[cfg(feature = "fusion")]
fn describe_backward(
    _: &TensorSpec,
    input: &TensorSpec,
    arrays: &ArraysMetadata,
    _: &SavedMetadata,
    backward: &Backward,
) -> GradientsMetadata {
    let Wanted { input: of_input, parameters } = backward.wanted;
    let of = |array: &GivenMetadata| if parameters { array.clone() } else { GivenMetadata::Nothing };
    GradientsMetadata {
        input: if of_input { GivenMetadata::Tensor(input.clone()) } else { GivenMetadata::Nothing },
        weight: of(&arrays.weight),
        bias: of(&arrays.bias),
        mean_weight: of(&arrays.mean_weight),
        var_weight: of(&arrays.var_weight),
    }
}
