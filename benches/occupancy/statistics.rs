//! What a compiler says of a kernel.

use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Vector registers per lane.
    pub vgprs: u64,
    pub spilled_vgprs: u64,
    /// Shared memory.
    pub lds_bytes: u64,
    pub waves_per_simd: u64,
    pub code_bytes: u64,
}

impl Statistics {
    /// From all that RADV says, by its names.
    pub fn of_radv(said: &Map<String, Value>) -> Result<Statistics, String> {
        let named = |name: &str| {
            let value = said.get(name).and_then(Value::as_u64);
            value.ok_or_else(|| format!("RADV has no statistic {name:?}: {}", Value::from(said.clone())))
        };
        Ok(Statistics {
            vgprs: named("VGPRs")?,
            spilled_vgprs: named("Spilled VGPRs")?,
            lds_bytes: named("LDS size")?,
            waves_per_simd: named("Subgroups per SIMD")?,
            code_bytes: named("Code size")?,
        })
    }

    pub fn to_json(self) -> Value {
        json!({
            "vgprs": self.vgprs, "spilled_vgprs": self.spilled_vgprs, "lds_bytes": self.lds_bytes,
            "waves_per_simd": self.waves_per_simd, "code_bytes": self.code_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statistic_that_is_missing_is_named() {
        let mut said = Map::new();
        for (value, name) in (1..).zip(["VGPRs", "Spilled VGPRs", "LDS size", "Subgroups per SIMD", "Code size"]) {
            let error = Statistics::of_radv(&said).unwrap_err();
            assert!(error.contains(&format!("no statistic {name:?}")), "{error}");
            said.insert(name.into(), value.into());
        }
        let all = Statistics { vgprs: 1, spilled_vgprs: 2, lds_bytes: 3, waves_per_simd: 4, code_bytes: 5 };
        assert_eq!(Statistics::of_radv(&said), Ok(all));
    }
}
