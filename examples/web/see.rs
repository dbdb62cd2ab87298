//! Pictures, and what a norm makes of them.

use std::cell::{Cell, RefCell};

use example_kit::batch::{CHANNELS, batch};
use example_kit::lights::lights;
use example_kit::scale::{Scale, moments};
use gpunorm::{Gpu, GpuNorm, Mode, Tensor, reference};
use image::{DynamicImage, Rgb32FImage, RgbaImage};
use ndarray::{Array4, ArrayView3, Ix4};
use wasm_bindgen::prelude::*;

use crate::device::Device;
use crate::settings::Settings;

/// Width and height of every picture.
const SIZE: u32 = 128;

#[wasm_bindgen]
pub struct See {
    gpu: Option<Gpu>,
    pictures: RefCell<Vec<Rgb32FImage>>,
    /// The layer of the last call: most calls change parameters only.
    last: Cell<Option<GpuNorm>>,
}

/// A picture that came in or out.
#[wasm_bindgen(getter_with_clone)]
pub struct Panel {
    /// R, G, B and A in bytes.
    pub pixels: Vec<u8>,
    /// A histogram for each channel, one after the other, up to 1.
    pub levels: Vec<f32>,
    /// Where 0 is in a histogram, from 0 to 1.
    pub zero: f32,
    pub ticks: Vec<f32>,
    pub mean: f64,
    pub std: f64,
}

#[wasm_bindgen]
impl See {
    pub fn on(device: &Device) -> See {
        See { gpu: Some(device.0.clone()), pictures: RefCell::default(), last: Cell::default() }
    }

    /// Without a GPU.
    pub fn by_oracle() -> See {
        See { gpu: None, pictures: RefCell::default(), last: Cell::default() }
    }

    pub fn size() -> u32 {
        SIZE
    }

    pub fn channels() -> usize {
        CHANNELS
    }

    /// Takes the generated pictures, and gives their names.
    pub fn take_lights(&self) -> Vec<String> {
        let (names, pictures) = lights(SIZE).into_iter().unzip();
        *self.pictures.borrow_mut() = pictures;
        names
    }

    /// Puts a picture, of bytes as a canvas has them, before the one at `at`.
    pub fn insert(&self, at: usize, rgba: Vec<u8>) -> Result<(), JsError> {
        self.pictures.borrow_mut().insert(at, picture(rgba)?);
        Ok(())
    }

    pub fn replace(&self, at: usize, rgba: Vec<u8>) -> Result<(), JsError> {
        self.pictures.borrow_mut()[at] = picture(rgba)?;
        Ok(())
    }

    pub fn remove(&self, at: usize) {
        self.pictures.borrow_mut().remove(at);
    }

    /// The pictures, then what the norm makes of them.
    pub async fn run(&self, settings: &Settings) -> Result<Vec<Panel>, JsError> {
        let x = batch(self.pictures.borrow().iter(), SIZE);
        let y = match &self.gpu {
            Some(gpu) => self.normalize(gpu, settings, &x).await?,
            None => normalized_by_oracle(settings, &x)?,
        };
        let panels = |values: &Array4<f32>, scale: Scale| -> Vec<Panel> {
            values.outer_iter().map(|planes| panel(&scale, planes)).collect()
        };
        Ok([panels(&x, Scale::INPUT), panels(&y, Scale::NORMALIZED)].into_iter().flatten().collect())
    }

    async fn normalize(&self, gpu: &Gpu, settings: &Settings, x: &Array4<f32>) -> Result<Array4<f32>, JsError> {
        let spec = settings.spec(x.dim().into());
        let norm = match self.last.take().filter(|last| *last.spec() == spec) {
            Some(norm) => norm,
            None => GpuNorm::new(gpu, spec)?,
        };
        settings.write(&norm)?;
        let y = norm.forward_tensor(&Tensor::from_array(gpu, x)?)?.read().await?;
        self.last.set(Some(norm));
        Ok(y.into_dimensionality::<Ix4>()?)
    }
}

fn picture(rgba: Vec<u8>) -> Result<Rgb32FImage, JsError> {
    let bytes = RgbaImage::from_raw(SIZE, SIZE, rgba).ok_or_else(|| JsError::new("no picture of this size"))?;
    Ok(DynamicImage::from(bytes).to_rgb32f())
}

fn normalized_by_oracle(settings: &Settings, x: &Array4<f32>) -> Result<Array4<f32>, JsError> {
    let spec = settings.spec(x.dim().into());
    let x = x.mapv(f64::from).into_dyn();
    let forward = reference::forward(&spec, Mode::Training, &mut settings.state(&spec)?, &x)?;
    Ok(forward.output.mapv(|value| value as f32).into_dimensionality::<Ix4>()?)
}

fn panel(scale: &Scale, planes: ArrayView3<f32>) -> Panel {
    let (mean, std) = moments(planes);
    Panel {
        pixels: DynamicImage::from(scale.picture(planes)).into_rgba8().into_raw(),
        levels: scale.histograms(planes).concat(),
        zero: scale.place(0.0),
        ticks: scale.ticks.iter().flat_map(|&tick| [tick, scale.place(tick)]).collect(),
        mean,
        std,
    }
}
