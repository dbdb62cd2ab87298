//! The run as a picture: each case's ratio to copying the least bytes, which is the limit.

use std::error::Error;
use std::path::Path;

use gpunorm::Gpu;
use plotters::prelude::*;

use super::cases::Case;
use super::measure::Row;

const WIDTH: u32 = 900;
const BAR: u32 = 22;
const LABELS: u32 = 330;

pub fn draw(path: &Path, gpu: &Gpu, pass: &str, rows: &[(&Case, Row)]) -> Result<(), Box<dyn Error>> {
    let height = 90 + BAR * rows.len() as u32;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let most = rows.iter().map(|(_, row)| row.ratio()).fold(1.0, f64::max) * 1.1;
    let title = format!("Time to copy what has to move ÷ time of the {pass} — {}", gpu.adapter_info().name);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 17))
        .margin(10)
        .set_label_area_size(LabelAreaPosition::Left, LABELS)
        .set_label_area_size(LabelAreaPosition::Bottom, 28)
        .build_cartesian_2d(0.0..most, 0.0..rows.len() as f64)?;
    chart.configure_mesh().disable_y_mesh().disable_y_axis().light_line_style(TRANSPARENT).draw()?;
    let label = ("sans-serif", 13).into_font();
    for (index, (case, row)) in rows.iter().enumerate() {
        let top = (rows.len() - index) as f64;
        let bar = [(0.0, top - 0.2), (row.ratio(), top - 0.8)];
        chart.draw_series([Rectangle::new(bar, RGBColor(70, 120, 180).filled())])?;
        let figure = format!("{:.2}", row.ratio());
        chart.draw_series([Text::new(figure, (row.ratio() + most * 0.008, top - 0.25), label.clone())])?;
        let place = chart.backend_coord(&(0.0, top - 0.25));
        let name = format!("{} {}", case.name, case.shape_text());
        root.draw(&Text::new(name, (12, place.1), label.clone()))?;
    }
    let limit = [(1.0, 0.0), (1.0, rows.len() as f64)];
    chart.draw_series([PathElement::new(limit, RGBColor(200, 60, 40).stroke_width(2))])?;
    root.present()?;
    Ok(())
}
