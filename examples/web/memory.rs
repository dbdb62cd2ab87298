//! The memory that all measured cases share: browsers free what is dropped only in their own time.

use gpunorm::{Gpu, Tensor};
use wasm_bindgen::JsError;
use wgpu::{Buffer, BufferDescriptor, BufferUsages, ErrorFilter};

use crate::cases::Case;

/// What is tried, the most first.
const SIZES: [u64; 4] = [128 << 20, 64 << 20, 32 << 20, 16 << 20];
const MOST_TURNS: u64 = 16;

pub struct Memory {
    gpu: Gpu,
    x: Buffer,
    y: Buffer,
}

impl Memory {
    /// The most that this GPU gives.
    pub async fn new(gpu: &Gpu) -> Result<Memory, JsError> {
        for size in SIZES {
            let caps = gpu.caps();
            if size > caps.max_buffer.min(caps.max_binding) {
                continue;
            }
            let scope = gpu.device().push_error_scope(ErrorFilter::OutOfMemory);
            let [x, y] = [0, 1].map(|_| {
                gpu.device().create_buffer(&BufferDescriptor {
                    label: None,
                    size,
                    usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            });
            if scope.pop().await.is_none() {
                fill(gpu, &x);
                return Ok(Memory { gpu: gpu.clone(), x, y });
            }
        }
        Err(JsError::new("this GPU has no memory for what is measured"))
    }

    pub fn size(&self) -> u64 {
        self.x.size()
    }

    /// Inputs and outputs, which take turns as far as there is room, so that caches do not help.
    pub fn pairs(&self, case: &Case) -> gpunorm::Result<Vec<(Tensor, Tensor)>> {
        let bytes = (case.len() * case.dtype.size()) as u64;
        let step = bytes.next_multiple_of(self.gpu.caps().alignment);
        let turns = (self.size() / step).clamp(1, MOST_TURNS);
        let wrap =
            |buffer: &Buffer, turn| Tensor::wrap(&self.gpu, buffer.clone(), turn * step, &case.shape, case.dtype);
        (0..turns).map(|turn| Ok((wrap(&self.x, turn)?, wrap(&self.y, turn)?))).collect()
    }
}

/// With values of no special kind.
fn fill(gpu: &Gpu, buffer: &Buffer) {
    const CHUNK: u64 = 4 << 20;
    let mut random = example_kit::random::Random::new(1);
    let bytes: Vec<u8> = (0..CHUNK / 4).flat_map(|_| (3.0 + 2.0 * random.signed()).to_le_bytes()).collect();
    for offset in (0..buffer.size()).step_by(CHUNK as usize) {
        gpu.queue().write_buffer(buffer, offset, &bytes);
    }
}
