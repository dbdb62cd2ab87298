//! Lines over steps, as SVG.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

/// A line and its name.
pub struct Line {
    pub name: String,
    pub values: Vec<f32>,
}

const SIZE: (u32, u32) = (900, 520);

/// Told apart by everyone (Okabe & Ito 2008).
const COLORS: [RGBColor; 8] = [
    BLACK,
    RGBColor(140, 140, 140),
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
];

/// Lines from 0 to `most`.
pub struct Chart<'a> {
    pub title: &'a str,
    /// What the lines are of.
    pub what: &'a str,
    pub most: f32,
    pub lines: &'a [Line],
}

/// Losses, smoothed over the last few steps; what lies above `most`, or is no number, is drawn at its height.
///
/// # Errors
/// The file cannot be written.
pub fn losses(path: &Path, title: &str, most: f32, lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let smoothed: Vec<Line> =
        lines.iter().map(|line| Line { name: line.name.clone(), values: smooth(&line.values, most) }).collect();
    let what = &format!("cross-entropy, drawn up to {most}");
    save(path, &[Chart { title, what, most, lines: &smoothed }])
}

/// Charts side by side.
///
/// # Errors
/// The file cannot be written.
pub fn save(path: &Path, charts: &[Chart]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, chart) in root.split_evenly((1, charts.len())).iter().zip(charts) {
        draw(area, chart)?;
    }
    root.present()?;
    Ok(())
}

fn smooth(values: &[f32], most: f32) -> Vec<f32> {
    const LAST: usize = 5;
    let shown: Vec<f32> = values.iter().map(|value| if value.is_finite() { value.min(most) } else { most }).collect();
    (0..shown.len())
        .map(|step| {
            let window = &shown[step.saturating_sub(LAST - 1)..=step];
            window.iter().sum::<f32>() / window.len() as f32
        })
        .collect()
}

fn draw(area: &DrawingArea<SVGBackend, Shift>, chart: &Chart) -> Result<(), Box<dyn Error>> {
    let &Chart { title, what, most, lines } = chart;
    let steps = lines.iter().map(|line| line.values.len()).max().unwrap_or(1);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 17))
        .margin(12)
        .set_label_area_size(LabelAreaPosition::Left, 46)
        .set_label_area_size(LabelAreaPosition::Bottom, 38)
        .build_cartesian_2d(0..steps, 0.0..most * 1.02)?;
    chart.configure_mesh().x_desc("step").y_desc(what).light_line_style(TRANSPARENT).draw()?;
    for (line, color) in lines.iter().zip(COLORS.iter().cycle()) {
        let color = color.stroke_width(2);
        chart
            .draw_series(LineSeries::new(line.values.iter().copied().enumerate(), color))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
    }
    let legend = WHITE.mix(0.85);
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(legend)
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
