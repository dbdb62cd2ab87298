//! What the visitor has set, as a layer.

use gpunorm::reference::State;
use gpunorm::{
    BatchNorm, GpuNorm, GroupNorm, InstanceNorm, LayerNorm, NormSpec, RmsNorm, SwitchableNorm, Tensor, Weighting,
};
use ndarray::{ArrayD, arr1};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
#[derive(Clone, Copy, PartialEq)]
pub enum Norm {
    Batch,
    Layer,
    Instance,
    Group,
    Switchable,
    Rms,
    /// Layer norm of each place over its channels.
    Place,
}

#[wasm_bindgen]
#[derive(Clone)]
pub struct Settings {
    norm: Norm,
    groups: usize,
    eps: f32,
    mean_shares: Vec<f32>,
    var_shares: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

#[wasm_bindgen]
impl Settings {
    /// Shares of instance, layer and batch statistics; a weight and a bias for each channel.
    #[wasm_bindgen(constructor)]
    pub fn new(
        norm: Norm,
        groups: usize,
        eps: f32,
        mean_shares: Vec<f32>,
        var_shares: Vec<f32>,
        weight: Vec<f32>,
        bias: Vec<f32>,
    ) -> Settings {
        Settings { norm, groups, eps, mean_shares, var_shares, weight, bias }
    }

    /// The same of another norm.
    pub fn of(&self, norm: Norm) -> Settings {
        Settings { norm, ..self.clone() }
    }
}

impl Settings {
    /// The layer for inputs of this shape.
    pub fn spec(&self, [_, c, h, w]: [usize; 4]) -> NormSpec {
        let eps = self.eps;
        match self.norm {
            Norm::Batch => BatchNorm::new(c).eps(eps).into(),
            Norm::Layer => LayerNorm::new([c, h, w]).eps(eps).into(),
            Norm::Instance => InstanceNorm::new(c).affine(true).eps(eps).into(),
            Norm::Group => GroupNorm::new(self.groups, c).eps(eps).into(),
            // Plain weights are the shares themselves.
            Norm::Switchable => SwitchableNorm::new(c).weighting(Weighting::Plain).eps(eps).into(),
            Norm::Rms => RmsNorm::new([c, h, w]).eps(eps).into(),
            Norm::Place => LayerNorm::new(c).channels_first().eps(eps).into(),
        }
    }

    /// Gives the layer what is set.
    pub fn write(&self, norm: &GpuNorm) -> gpunorm::Result<()> {
        let shape = norm.spec().parameter_shape();
        let write = |tensor: Option<&Tensor>, values: &[f32]| tensor.map_or(Ok(()), |tensor| tensor.write(values));
        write(norm.weight(), &by_channel(&self.weight, &shape))?;
        write(norm.bias(), &by_channel(&self.bias, &shape))?;
        write(norm.mean_weight(), &self.mean_shares)?;
        write(norm.var_weight(), &self.var_shares)
    }

    /// The same for the oracle.
    pub fn state(&self, spec: &NormSpec) -> gpunorm::Result<State> {
        let mut state = State::new(spec)?;
        let wide = |values: &[f32]| arr1(values).mapv(f64::from).into_dyn();
        let give = |array: &mut Option<ArrayD<f64>>, values: &[f32]| {
            if let Some(array) = array {
                array.iter_mut().zip(wide(values)).for_each(|(old, new)| *old = new);
            }
        };
        let shape = spec.parameter_shape();
        give(&mut state.weight, &by_channel(&self.weight, &shape));
        give(&mut state.bias, &by_channel(&self.bias, &shape));
        give(&mut state.mean_weight, &self.mean_shares);
        give(&mut state.var_weight, &self.var_shares);
        Ok(state)
    }
}

/// A value per channel, for parameters of shape `[C, *]`.
fn by_channel(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let each = shape.iter().product::<usize>() / values.len();
    values.iter().flat_map(|&value| std::iter::repeat_n(value, each)).collect()
}
