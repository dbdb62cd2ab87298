//! How fast norms are on this GPU, beside copying as much.

use gpunorm::{DType, Gpu};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use crate::cases::{self, Case};
use crate::clock::Clock;
use crate::copy::{Copies, Copy};
use crate::device::Device;
use crate::memory::Memory;

/// Of each, the median counts.
const RUNS: usize = 5;

#[wasm_bindgen]
pub struct Measure {
    gpu: Gpu,
    memory: Memory,
    copies: Copies,
    clock: Clock,
    cases: Vec<Case>,
}

#[wasm_bindgen]
impl Measure {
    pub async fn open(device: &Device) -> Result<Measure, JsError> {
        let gpu = device.0.clone();
        let (memory, copies, clock) = (Memory::new(&gpu).await?, Copies::new(&gpu), Clock::new(&gpu)?);
        Ok(Measure { gpu, memory, copies, clock, cases: cases::all() })
    }

    /// The bench's cases, as JSON.
    pub fn cases(&self) -> String {
        let cases = self.cases.iter().map(|case| {
            let bytes = (case.len() * case.dtype.size()) as u64;
            json!({
                "id": case.id(), "case": case.name, "shape": case.shape_text(), "bytes": bytes,
                "fits": bytes <= self.memory.size(),
            })
        });
        Value::from_iter(cases).to_string()
    }

    /// A forward of the case at this place in the list, and copying as much; as JSON, with the words of the bench's reports.
    pub async fn run(&self, case: usize) -> Result<String, JsError> {
        let case = &self.cases[case];
        let (norm, pairs) = (case.layer(&self.gpu)?, self.memory.pairs(case)?);
        let forward =
            |encoder: &mut wgpu::CommandEncoder| pairs.iter().try_for_each(|(x, y)| norm.encode_forward(encoder, x, y));
        let copy_by = |copy: &Copy, encoder: &mut wgpu::CommandEncoder| {
            pairs.iter().for_each(|(x, y)| copy.record(&self.gpu, encoder, x, y));
            Ok(())
        };
        // The first of anything compiles it.
        self.clock.time(&forward, 1).await?;
        let (_, forwards) = self.clock.calibrate(&forward).await?;
        let mut fastest: Option<(f64, u32, &Copy)> = None;
        for copy in self.copies.iter() {
            let work = |encoder: &mut _| copy_by(copy, encoder);
            self.clock.time(&work, 1).await?;
            let (ms, times) = self.clock.calibrate(&work).await?;
            if fastest.is_none_or(|(least, ..)| ms < least) {
                fastest = Some((ms, times, copy));
            }
        }
        let (_, copies, fastest) = fastest.ok_or_else(|| JsError::new("no copies"))?;
        let (mut copying, mut running) = (vec![], vec![]);
        for _ in 0..RUNS {
            copying.push(self.clock.time(&|encoder| copy_by(fastest, encoder), copies).await?);
            running.push(self.clock.time(&forward, forwards).await?);
        }
        let each = pairs.len() as f64;
        let (copy, gpu) = (median(copying) / each, median(running) / each);
        let plan = norm.plan(&case.shape, DType::F32)?;
        Ok(json!({
            "id": case.id(), "case": case.name, "shape": case.shape, "dtype": case.dtype.to_string(),
            "dispatches": plan.dispatches(), "plan": plan.to_string(), "copy_ms": copy, "gpu_ms": gpu,
            "bytes": 2 * case.len() * case.dtype.size(), "floor": 1.0, "ratio": copy / gpu,
        })
        .to_string())
    }
}

/// The middle one.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
