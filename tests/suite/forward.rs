//! Forwards on every adapter against torch's fixtures and against the oracle.

use gpunorm::{DType, Strategy};

use super::{adapters, compare, torch};

#[test]
fn torch_fixtures() {
    let mut failures = vec![];
    for (name, gpu) in adapters::all() {
        for case in torch::cases() {
            let x = case.x.mapv(|value| value as f32);
            let result = compare::check(gpu, &case.spec, case.mode, &case.before, &x, DType::F32, Strategy::default());
            if let Err(reason) = result {
                failures.push(format!("{name}, {}: {reason}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
