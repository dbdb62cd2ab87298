//! Pictures in and out of files.

use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageDecoder, ImageReader, Rgb32FImage, RgbImage, imageops};

/// A photo as its camera was held, its centre, `size` wide and high.
///
/// # Errors
/// The file cannot be read, or is no picture.
pub fn load(path: &Path, size: u32) -> Result<Rgb32FImage, String> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let reader = reader.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let decoded = reader.into_decoder().and_then(|mut decoder| {
        let orientation = decoder.orientation()?;
        Ok((DynamicImage::from_decoder(decoder)?, orientation))
    });
    let (mut photo, orientation) =
        decoded.map_err(|error| format!("{} is no PNG or JPEG that can be read: {error}", path.display()))?;
    photo.apply_orientation(orientation);
    Ok(photo.resize_to_fill(size, size, imageops::FilterType::CatmullRom).to_rgb32f())
}

/// What a photo is called.
pub fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A small PNG; its folder is made.
///
/// # Errors
/// The file cannot be written.
pub fn save(image: &RgbImage, path: &Path) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot write {}: {error}", path.display());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    let mut bytes = vec![];
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive);
    image.write_with_encoder(encoder).map_err(|error| failed(&error))?;
    std::fs::write(path, bytes).map_err(|error| failed(&error))
}
