//! What follows a layer at once.

/// The activation that a layer's output goes through, in the same pass.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Activation {
    /// None.
    #[default]
    Identity,
    /// `max(r, 0)` (`torch.nn.ReLU`).
    Relu,
    /// `r` where it is positive, else `negative_slope·r` (`torch.nn.LeakyReLU`, whose default is 0.01).
    LeakyRelu {
        /// Any number.
        negative_slope: f32,
    },
    /// `r / (1 + exp(−r))` (`torch.nn.SiLU`; Elfwing, Uchibe & Doya 2018, arXiv:1702.03118).
    Silu,
    /// `r·Φ(r)`, with the distribution function Φ of the normal distribution (`torch.nn.GELU`; Hendrycks & Gimpel 2016,
    /// arXiv:1606.08415).
    Gelu,
    /// Its approximation `½·r·(1 + tanh(√(2/π)·(r + 0.044715·r³)))` (`torch.nn.GELU(approximate="tanh")`).
    GeluTanh,
}

impl Activation {
    /// The most by which it stretches a distance.
    pub(crate) fn steepness(self) -> f64 {
        match self {
            Activation::Identity | Activation::Relu => 1.0,
            Activation::LeakyRelu { negative_slope } => f64::from(negative_slope).abs().max(1.0),
            Activation::Silu => 1.1,
            Activation::Gelu | Activation::GeluTanh => 1.13,
        }
    }
}
