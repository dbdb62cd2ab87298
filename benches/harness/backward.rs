//! Backwards, with the gradients by every parameter.

use std::error::Error;
use std::hint::black_box;

use gpunorm::Plan;
use gpunorm::unstable::{Geometry, Strategy};
use gpunorm::{DType, Gpu, GpuNorm, Gradients, Mode, NormSpec, Saved, Tensor, reference};
use wgpu::CommandEncoder;

use super::cases::Case;
use super::pass::{Pass, compare, magnitude, turns};
use crate::cpu::{Cpu, backward};

pub struct Backward<'a> {
    gpu: &'a Gpu,
    case: &'a Case,
    norm: GpuNorm,
    /// Gradients by the output and by the input.
    pairs: Vec<(Tensor, Tensor)>,
    turns: Vec<(Saved, Gradients)>,
    geometry: Geometry,
    cpu: Cpu,
    saved: backward::Saved,
    x: Vec<f32>,
    dy: Vec<f32>,
    dx: Vec<f32>,
    expected: backward::Gradients,
}

impl<'a> Backward<'a> {
    pub fn new(gpu: &'a Gpu, case: &'a Case, strategy: Strategy) -> Result<Backward<'a>, Box<dyn Error>> {
        let mut norm = case.layer(gpu)?;
        norm.set_strategy(strategy);
        let (x, dy) = (case.values(1), case.values(2));
        let (mut pairs, mut sets) = (vec![], vec![]);
        for _ in 0..turns(3, case.len()) {
            let (_, saved) = norm.forward_saved(&case.tensor(gpu, &x)?)?;
            let gradients = norm.zero_gradients(&saved)?;
            pairs.push((case.tensor(gpu, &dy)?, gradients.input()?.clone()));
            sets.push((saved, gradients));
        }
        let geometry = Geometry::new(&case.spec, case.mode, &case.shape)?;
        let cpu = Cpu::new(&case.spec, case.mode, case.parameters());
        let saved = cpu.save(&geometry, &x);
        let (dx, expected) = (vec![f32::NAN; x.len()], backward::Gradients::default());
        Ok(Backward { gpu, case, norm, pairs, turns: sets, geometry, cpu, saved, x, dy, dx, expected })
    }
}

impl Pass for Backward<'_> {
    fn plan(&self) -> gpunorm::Result<Plan> {
        self.norm.plan_backward(&self.turns[0].0)
    }

    /// Reads x and dy and writes dx; where a set is the whole batch's, x and dy have been read before for its sums.
    fn floor(&self) -> f64 {
        match (&self.case.spec, self.case.mode) {
            (NormSpec::Batch(_) | NormSpec::Switchable(_), Mode::Training) => 2.5,
            _ => 1.5,
        }
    }

    fn pairs(&self) -> &[(Tensor, Tensor)] {
        &self.pairs
    }

    fn record(&self, encoder: &mut CommandEncoder, turn: usize) -> gpunorm::Result<()> {
        let (saved, gradients) = &self.turns[turn];
        self.norm.encode_backward(encoder, &self.pairs[turn].0, saved, gradients)
    }

    fn on_cpu(&mut self) {
        self.expected = self.cpu.backward(&self.geometry, &self.saved, [&self.x, &self.dy], &mut self.dx);
    }

    fn arrays(&self) -> Result<(), Box<dyn Error>> {
        let dy = self.case.tensor(self.gpu, &self.dy)?;
        black_box(self.norm.backward(&dy, &self.turns[0].0)?.input()?.to_array()?);
        Ok(())
    }

    fn check(&self) -> Result<(), Box<dyn Error>> {
        // Bounds of the magnitudes that `reference::Gradient::tolerance` has for each element: a new layer's weight is 1
        // and |x̂| is below 8.
        let normalized = 8.0;
        let (most, len) = (magnitude(&self.dy), self.case.len());
        let tolerance = |magnitude: f64, dtype| 2.0 * reference::tolerance(magnitude, 16 * len, dtype);
        let scales: Vec<f32> = self.saved.statistics.iter().map(|s| s.scale).collect();
        let input = most * magnitude(&scales) * (1.0 + normalized);
        let parameter = most * (len / self.case.parameters()) as f64 * normalized;
        let share = most * len as f64 * normalized;
        for (_, gradients) in &self.turns {
            let all = [
                ("dx", gradients.input.as_ref(), &self.dx, input),
                ("weight", gradients.weight.as_ref(), &self.expected.weight, parameter),
                ("bias", gradients.bias.as_ref(), &self.expected.bias, parameter),
                ("mean_weight", gradients.mean_weight.as_ref(), &self.expected.mean_weight, share),
                ("var_weight", gradients.var_weight.as_ref(), &self.expected.var_weight, share),
            ];
            // The CPU finds gradients of weight and bias for layers without them too.
            let bare = self.norm.weight().is_none();
            for (name, found, expected, magnitude) in all.into_iter().filter(|(name, ..)| !bare || *name == "dx") {
                let found = found.map(Tensor::to_array).transpose()?.map(|array| array.into_raw_vec_and_offset().0);
                let what = format!("{} {name}", self.case.id());
                let dtype = if name == "dx" { self.case.dtype } else { DType::F32 };
                compare(&what, &found.unwrap_or_default(), expected, tolerance(magnitude, dtype))?;
            }
        }
        Ok(())
    }
}
