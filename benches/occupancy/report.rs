//! The table and the JSON.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use super::budgets;
use super::kernels::{Gpu, Used};
use super::statistics::Statistics;

/// A kernel on a GPU, and what the compiler said.
pub struct Row {
    gpu: &'static Gpu,
    used: Used,
    outcome: Result<Statistics, String>,
    broken: Vec<String>,
}

impl Row {
    /// A crash is told as such.
    pub fn new(gpu: &'static Gpu, used: Used, outcome: Result<Statistics, String>) -> Row {
        let broken = match &outcome {
            Ok(found) => budgets::broken(used.step.kernel, used.workgroup(), gpu.wave, found),
            Err(_) => vec!["crash".into()],
        };
        Row { gpu, used, outcome, broken }
    }

    pub fn is_good(&self) -> bool {
        self.broken.is_empty()
    }

    fn has_crashed(&self) -> bool {
        self.outcome.is_err()
    }

    fn spilled(&self) -> u64 {
        self.outcome.as_ref().map_or(0, |found| found.spilled_vgprs)
    }

    fn line(&self) -> String {
        let figures = match &self.outcome {
            Ok(found) => format!(
                "{:>5} {:>7} {:>6} {:>5} {:>6}",
                found.vgprs, found.spilled_vgprs, found.lds_bytes, found.waves_per_simd, found.code_bytes
            ),
            Err(crash) => format!("{crash:>33}"),
        };
        let more = match self.used.by.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let (family, wave, name) = (self.gpu.family, self.gpu.wave_name(), self.used.step.kernel.permutation());
        let (broken, workgroup, lanes) = (self.broken.join(", "), self.used.workgroup(), self.used.step.lanes());
        format!(
            "{family:<7} {wave:<11} {figures} {workgroup:>9} {lanes:>5}  {broken:<30} {name}  {}{more}",
            self.used.by[0]
        )
    }

    fn to_json(&self) -> Value {
        let constants: Map<String, Value> =
            self.used.step.constants.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
        json!({
            "gpu": self.gpu.family, "wave": self.gpu.wave_name(), "kernel": self.used.step.kernel.permutation(),
            "constants": constants, "statistics": self.outcome.as_ref().ok().map(|found| found.to_json()),
            "crash": self.outcome.as_ref().err(), "broken": self.broken, "used_by": self.used.by,
        })
    }
}

/// A line for each row that is `shown`, the worst first, and the counts of all.
pub fn table(rows: &[Row], shown: impl Fn(&Row) -> bool) -> String {
    let mut sorted: Vec<&Row> = rows.iter().filter(|row| shown(row)).collect();
    sorted.sort_by_key(|row| {
        let vgprs = row.outcome.as_ref().map_or(0, |found| found.vgprs);
        Reverse((row.has_crashed(), row.spilled(), row.broken.len(), vgprs))
    });
    let header = format!(
        "{:<7} {:<11} {:>5} {:>7} {:>6} {:>5} {:>6} {:>9} {:>5}  {:<30} kernel and who uses it\n",
        "GPU", "wave", "VGPRs", "spilled", "LDS", "waves", "bytes", "workgroup", "lanes", "broken budgets"
    );
    let mut table = if sorted.is_empty() { String::new() } else { header };
    table.extend(sorted.iter().map(|row| row.line() + "\n"));
    let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
    table += &format!(
        "{} kernels: {} spill, {} crash the compiler, {} break a budget",
        rows.len(),
        count(&|row| row.spilled() > 0),
        count(&|row| row.has_crashed()),
        count(&|row| !row.is_good()),
    );
    table
}

/// A line for each row, in the order of the bench's cases, so that a change shows as one.
pub fn json(drivers: &[String], rows: &[Row]) -> String {
    let lines: Vec<String> = rows.iter().map(|row| format!("    {}", row.to_json())).collect();
    format!("{{\n  \"drivers\": {},\n  \"rows\": [\n{}\n  ]\n}}\n", Value::from(drivers), lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::super::kernels::{self, GPUS};
    use super::*;

    #[test]
    fn the_worst_comes_first_and_all_is_counted() {
        let kernels = kernels::of(&GPUS[0]).unwrap();
        let found =
            |vgprs, spilled_vgprs| Statistics { vgprs, spilled_vgprs, lds_bytes: 0, waves_per_simd: 16, code_bytes: 9 };
        let outcomes =
            [Ok(found(10, 0)), Ok(found(200, 0)), Ok(found(20, 3)), Err("signal: 11".to_owned()), Ok(found(11, 0))];
        let rows: Vec<Row> =
            outcomes.into_iter().zip(kernels).map(|(outcome, used)| Row::new(&GPUS[0], used, outcome)).collect();
        assert_eq!(rows.iter().map(Row::is_good).collect::<Vec<_>>(), [true, false, false, false, true]);
        let broken = table(&rows, |row| !row.is_good());
        assert_eq!(broken.lines().count(), 5, "{broken}");
        let table = table(&rows, |_| true);
        let lines: Vec<&str> = table.lines().collect();
        let first = |line: &str| line.split_whitespace().nth(2).unwrap().to_owned();
        assert_eq!(
            lines[1..6].iter().map(|line| first(line)).collect::<Vec<_>>(),
            ["signal:", "20", "200", "11", "10"]
        );
        assert_eq!(lines[6], "5 kernels: 1 spill, 1 crash the compiler, 3 break a budget");
        let read: Value = serde_json::from_str(&json(&["Mesa".into()], &rows)).unwrap();
        assert_eq!(read["rows"][2]["statistics"]["spilled_vgprs"], 3);
        assert_eq!((&read["rows"][3]["crash"], &read["drivers"][0]), (&"signal: 11".into(), &"Mesa".into()));
    }
}
