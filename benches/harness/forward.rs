//! Forwards.

use std::error::Error;
use std::hint::black_box;

use gpunorm::Plan;
use gpunorm::unstable::{Geometry, Strategy};
use gpunorm::{Gpu, GpuNorm, Tensor, reference};
use wgpu::CommandEncoder;

use super::cases::Case;
use super::pass::{Pass, compare, magnitude, turns};
use crate::cpu::Cpu;

pub struct Forward<'a> {
    case: &'a Case,
    norm: GpuNorm,
    pairs: Vec<(Tensor, Tensor)>,
    geometry: Geometry,
    cpu: Cpu,
    x: Vec<f32>,
    expected: Vec<f32>,
}

impl<'a> Forward<'a> {
    pub fn new(gpu: &Gpu, case: &'a Case, strategy: Strategy) -> Result<Forward<'a>, Box<dyn Error>> {
        let mut norm = case.layer(gpu)?;
        norm.set_strategy(strategy);
        let x = case.values(1);
        let pair = |_| Ok((case.tensor(gpu, &x)?, Tensor::zeros(gpu, &case.shape, case.dtype)?));
        Ok(Forward {
            case,
            norm,
            pairs: (0..turns(2, case.len())).map(pair).collect::<gpunorm::Result<_>>()?,
            geometry: Geometry::new(&case.spec, case.mode, &case.shape)?,
            cpu: Cpu::new(&case.spec, case.mode, case.parameters()),
            expected: vec![f32::NAN; x.len()],
            x,
        })
    }
}

impl Pass for Forward<'_> {
    fn plan(&self) -> gpunorm::Result<Plan> {
        self.norm.plan(&self.case.shape, self.case.dtype)
    }

    /// Reads x and writes y.
    fn floor(&self) -> f64 {
        1.0
    }

    fn pairs(&self) -> &[(Tensor, Tensor)] {
        &self.pairs
    }

    fn record(&self, encoder: &mut CommandEncoder, turn: usize) -> gpunorm::Result<()> {
        let (x, y) = &self.pairs[turn];
        self.norm.encode_forward(encoder, x, y)
    }

    fn on_cpu(&mut self) {
        self.cpu.forward(&self.geometry, &self.x, &mut self.expected);
    }

    fn arrays(&self) -> Result<(), Box<dyn Error>> {
        let x = self.case.tensor(self.norm.gpu(), &self.x)?;
        black_box(self.norm.forward_tensor(&x)?.to_array()?);
        Ok(())
    }

    fn check(&self) -> Result<(), Box<dyn Error>> {
        // The CPU's and the GPU's; switchable norm's statistics are of more than its rows.
        let tolerance = 2.0 * reference::tolerance(magnitude(&self.expected), self.geometry.len(), self.case.dtype);
        self.pairs.iter().try_for_each(|(_, y)| {
            compare(&self.case.id(), &y.to_array()?.into_raw_vec_and_offset().0, &self.expected, tolerance)
        })
    }
}
