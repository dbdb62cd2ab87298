//! The uniforms and overrides that follow from the layer and the input.

use super::planner::{Planner, Rows, index};
use crate::error::Result;
use crate::kernel::{Element, MIXED, PER_ELEMENT, PER_ROW, PER_UNIT, Parameters, Params, TWO_PER_UNIT};
use crate::spec::geometry::Source;
use crate::spec::{Activation, Momentum, NormSpec, Variance};

impl Planner<'_> {
    /// The uniform's part that only depends on the layer and the geometry.
    pub(super) fn params(&self) -> Params {
        let geometry = self.geometry;
        let bessel = |count: usize| if count > 1 { count as f32 / (count - 1) as f32 } else { 1.0 };
        let momentum = match self.spec.momentum() {
            Some(Momentum::Fixed(momentum)) => momentum,
            Some(Momentum::Cumulative) | None => 0.0,
        };
        let slope = match self.spec.activation() {
            Activation::LeakyRelu { negative_slope } => negative_slope,
            _ => 0.0,
        };
        // Of a channel, in all shares of its batch.
        let values = geometry.shared.map(|shared| shared.values);
        let (eps, unbias) = (self.spec.eps(), bessel(values.unwrap_or(geometry.row_len)));
        let mut params = Params { eps, momentum, unbias, slope, ..Params::default() };
        if let NormSpec::Switchable(norm) = self.spec {
            (params.instance_scale, params.layer_scale, params.batch_scale) = (1.0, 1.0, 1.0);
            if norm.variance == Variance::Reference {
                if norm.is_flat(geometry.spatial) {
                    params.layer_scale = bessel(geometry.channels);
                    params.batch_scale = bessel(values.unwrap_or(geometry.samples));
                } else {
                    params.instance_scale = bessel(geometry.spatial);
                }
            }
            if geometry.source == Source::Running {
                params.batch_scale = 1.0;
            }
            params.unbias = params.batch_scale;
        }
        params
    }

    pub(super) fn row_params(&self, rows: Rows) -> Result<Params> {
        let params = Params {
            row_len: index(rows.len, "a row")?,
            period: index(rows.parameter.period, "parameters")?,
            step: index(rows.parameter.step, "parameters")?,
            inner: index(rows.parameter.inner, "parameters")?,
            ..self.instance_params(1)?
        };
        self.with_samples(rows.count, params)
    }

    pub(super) fn instance_params(&self, parts: usize) -> Result<Params> {
        let params = self.params();
        Ok(Params {
            samples: index(self.geometry.samples, "samples")?,
            channels: index(self.geometry.channels, "channels")?,
            parts: index(parts, "partial statistics")?,
            // Only switchable norm mixes other estimators.
            instance_scale: if matches!(self.spec, NormSpec::Switchable(_)) { params.instance_scale } else { 1.0 },
            ..params
        })
    }

    pub(super) fn cumulative(&self) -> Vec<(&'static str, u32)> {
        vec![("CUMULATIVE", u32::from(self.spec.momentum() == Some(Momentum::Cumulative)))]
    }

    /// The override that says whether the mean is a statistic.
    pub(super) fn centered(&self) -> (&'static str, u32) {
        ("CENTERED", u32::from(!matches!(self.spec, NormSpec::Rms(_))))
    }

    /// Whether a kernel over `rows` in units of `element` can read four parameters at once.
    pub(super) fn quads(&self, rows: Rows, element: Element) -> bool {
        element.width >= 4 && self.affine(rows, element) == PER_ELEMENT
    }

    /// Whether outputs are multiplied by a parameter.
    pub(super) fn has_weight(&self) -> bool {
        self.spec.has_weight() || self.folded.is_some()
    }

    /// Which parameters there are, and whether they are read in fours.
    pub(super) fn parameters(&self, quads: bool) -> Parameters {
        match (self.has_weight(), self.spec.has_bias() || self.folded.is_some(), quads) {
            (false, _, true) => Parameters::NoneQuads,
            (false, _, false) => Parameters::None,
            (true, false, false) => Parameters::Weight,
            (true, true, false) => Parameters::Both,
            (true, false, true) => Parameters::WeightQuads,
            (true, true, true) => Parameters::BothQuads,
        }
    }

    /// The overrides of shaders/part/common/parameter.wgsl.
    pub(super) fn affine_constants(&self, rows: Rows, element: Element) -> Vec<(&'static str, u32)> {
        let same = ("SAME_PARAMETERS", u32::from(rows.parameter.period == 1));
        [("AFFINE", self.affine(rows, element)), same].into_iter().chain(self.by_sample()).collect()
    }

    /// The value of AFFINE.
    pub(super) fn affine(&self, rows: Rows, element: Element) -> u32 {
        let (inner, width) = (rows.parameter.inner, element.width as usize);
        let varies = self.has_weight() || self.beside().modulated;
        match () {
            _ if !varies || inner >= rows.len => PER_ROW,
            _ if inner.is_multiple_of(width) => PER_UNIT,
            _ if inner == 1 => PER_ELEMENT,
            // Units begin at multiples of their width.
            _ if inner >= width || 2 * inner == width => TWO_PER_UNIT,
            _ => MIXED,
        }
    }
}
