//! What a kernel may cost.

use gpunorm::unstable::Kernel;

use super::statistics::Statistics;

/// A GPU's registers are shared out: a workgroup of 1024 leaves 64 to a lane.
fn most_vgprs(workgroup: u32) -> u64 {
    if workgroup >= 1024 { 64 } else { 128 }
}

/// While the lanes of one wave join what they have, others have to load.
fn least_waves(wave: u32) -> u64 {
    if wave >= 64 { 4 } else { 8 }
}

fn reduces(kernel: Kernel) -> bool {
    !matches!(
        kernel,
        Kernel::ForwardApply { .. }
            | Kernel::ForwardApplyColumns { .. }
            | Kernel::BackwardApply { .. }
            | Kernel::BackwardApplyColumns { .. }
    )
}

/// The budgets that a kernel breaks.
pub fn broken(kernel: Kernel, workgroup: u32, wave: u32, found: &Statistics) -> Vec<String> {
    let (most, least) = (most_vgprs(workgroup), least_waves(wave));
    let mut broken = vec![];
    if found.spilled_vgprs > 0 {
        broken.push("spills".into());
    }
    if found.vgprs > most {
        broken.push(format!("> {most} VGPRs"));
    }
    if reduces(kernel) && found.waves_per_simd < least {
        broken.push(format!("< {least} waves"));
    }
    broken
}

#[cfg(test)]
mod tests {
    use gpunorm::unstable::Team;

    use super::*;

    #[test]
    fn what_is_over_a_budget_is_told() {
        let sums = Kernel::ForwardInstances { team: Team::Workgroup };
        let all = Kernel::all();
        let apply = *all.iter().find(|kernel| matches!(kernel, Kernel::ForwardApply { .. })).unwrap();
        let found = |vgprs, spilled_vgprs, waves_per_simd| Statistics {
            vgprs,
            spilled_vgprs,
            lds_bytes: 0,
            waves_per_simd,
            code_bytes: 0,
        };
        let cases: [(Kernel, u32, u32, Statistics, &[&str]); 9] = [
            (sums, 1024, 32, found(64, 0, 8), &[]),
            (sums, 1024, 32, found(65, 0, 8), &["> 64 VGPRs"]),
            (sums, 256, 32, found(128, 0, 8), &[]),
            (sums, 256, 32, found(129, 0, 8), &["> 128 VGPRs"]),
            (sums, 256, 64, found(1, 1, 4), &["spills"]),
            (sums, 256, 64, found(1, 0, 3), &["< 4 waves"]),
            (sums, 256, 32, found(1, 0, 7), &["< 8 waves"]),
            (apply, 256, 32, found(1, 0, 1), &[]),
            (apply, 1024, 64, found(80, 2, 1), &["spills", "> 64 VGPRs"]),
        ];
        for (kernel, workgroup, wave, found, expected) in cases {
            assert_eq!(broken(kernel, workgroup, wave, &found), expected, "{kernel:?}, {workgroup}, {wave}, {found:?}");
        }
    }
}
