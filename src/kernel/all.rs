//! The list of all kernels, for tests and for `cargo xtask shaders`.

use super::{Element, Kernel, Parameters, Settle, StatisticsFrom, Team};
use crate::dtype::DType;

impl Kernel {
    /// A name for this permutation, in words that files can be called.
    pub fn permutation(self) -> String {
        let fields = format!("{self:?}").to_lowercase();
        let skip = |word: &str| word.is_empty() || ["element", "dtype", "width", "team"].contains(&word);
        let mut words: Vec<&str> = fields.split(|c: char| !c.is_alphanumeric()).filter(|word| !skip(word)).collect();
        words[0] = self.name();
        words.join("-")
    }

    /// Every kernel that a plan can pick.
    pub fn all() -> Vec<Kernel> {
        let elements: Vec<Element> = [DType::F32, DType::F16, DType::BF16]
            .into_iter()
            .flat_map(|dtype| Element::widths(dtype).iter().map(move |&width| Element { dtype, width }))
            .collect();
        let mut all: Vec<Kernel> = elements.iter().map(|&element| Kernel::ForwardColumns { element }).collect();
        for team in Team::ALL {
            all.push(Kernel::ForwardInstances { team });
            all.extend([false, true].map(|track| Kernel::ForwardCombine { team, track }));
            all.extend(
                [Settle::None, Settle::Track, Settle::Running].map(|settle| Kernel::ForwardAxes { team, settle }),
            );
            for &element in &elements {
                all.extend(team.units().iter().map(|&units| Kernel::ForwardMoments { team, element, units }));
            }
        }
        for &element in elements.iter().filter(|element| element.writes()) {
            let scalars = [Parameters::None, Parameters::Weight, Parameters::Both];
            let quads = [Parameters::WeightQuads, Parameters::BothQuads];
            for from in [StatisticsFrom::Stored, StatisticsFrom::Running] {
                all.extend(scalars.map(|parameters| Kernel::ForwardApplyColumns { element, parameters, from }));
            }
            for parameters in scalars.into_iter().chain(quads.into_iter().filter(|_| element.width >= 4)) {
                for team in Team::ALL {
                    for from in [StatisticsFrom::Stored, StatisticsFrom::Running, StatisticsFrom::Mixed] {
                        all.push(Kernel::ForwardApply { team, element, parameters, from });
                    }
                    for &units in team.units() {
                        for (save, track) in [(false, false), (true, false), (false, true)] {
                            all.push(Kernel::ForwardRow { team, element, units, parameters, save, track });
                        }
                    }
                }
            }
        }
        all
    }
}
