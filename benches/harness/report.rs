//! The table and the JSON of a run.

use std::time::Duration;

use gpunorm::Gpu;
use serde_json::{Value, json};

use super::cases::Case;
use super::measure::Row;

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub fn header() -> String {
    format!(
        "{:<26} {:<18} {:<5} {:<22} {:>4} {:>9} {:>9} {:>9} {:>8} {:>6} {:>9} {:>8} {:>8} {:>9} {:>9}",
        "case",
        "shape",
        "type",
        "strategy",
        "disp",
        "copy ms",
        "GPU ms",
        "wall ms",
        "GB/s",
        "ratio",
        "CPU ms",
        "speed-up",
        "host µs",
        "arrays ms",
        "memcpy ms"
    )
}

pub fn line(case: &Case, row: &Row) -> String {
    format!(
        "{:<26} {:<18} {:<5} {:<22} {:>4} {:>9.3} {:>9.3} {:>9.3} {:>8.2} {:>6.2} {:>9.3} {:>8.2} {:>8.2} {:>9.3} {:>9.3}",
        case.name,
        case.shape_text(),
        case.dtype.to_string(),
        row.strategy,
        row.dispatches,
        milliseconds(row.copy),
        milliseconds(row.gpu),
        milliseconds(row.wall),
        row.gigabytes_per_second(),
        row.ratio(),
        milliseconds(row.cpu),
        row.speed_up(),
        row.host.as_secs_f64() * 1e6,
        milliseconds(row.arrays),
        milliseconds(row.memcpy),
    )
}

pub fn to_json(gpu: &Gpu, pass: &str, runs: usize, rows: &[(&Case, Row)]) -> Value {
    let rows = rows
        .iter()
        .map(|(case, row)| {
            json!({
                "id": case.id(), "case": case.name, "shape": case.shape, "dtype": case.dtype.to_string(), "strategy": row.strategy,
                "dispatches": row.dispatches, "plan": row.plan, "copy_ms": milliseconds(row.copy),
                "gpu_ms": milliseconds(row.gpu), "wall_ms": milliseconds(row.wall), "bytes": row.bytes,
                "floor": row.floor, "ratio": row.ratio(), "cpu_ms": milliseconds(row.cpu), "host_us": row.host.as_secs_f64() * 1e6,
                "arrays_ms": milliseconds(row.arrays), "memcpy_ms": milliseconds(row.memcpy),
            })
        })
        .collect();
    of_run(gpu, pass, runs, rows)
}

/// Rows, and what they were measured on.
pub fn of_run(gpu: &Gpu, pass: &str, runs: usize, rows: Vec<Value>) -> Value {
    let info = gpu.adapter_info();
    json!({
        "adapter": info.name, "backend": format!("{:?}", info.backend), "driver": info.driver,
        "driver_info": info.driver_info, "gpunorm": env!("CARGO_PKG_VERSION"), "pass": pass, "runs": runs,
        "cpu_threads": rayon::current_num_threads(), "rows": rows,
    })
}
