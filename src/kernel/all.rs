//! The list of all kernels, for tests and for `cargo xtask shaders`.

use super::{Element, Keep, Kernel, Parameters, RowsFrom, Save, Settle, StatisticsFrom, Team};
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
                        let (nothing, statistics) = (Save::Nothing, Save::Statistics);
                        let saves = [(nothing, false), (Save::Moments, false), (nothing, true)];
                        for (save, track) in saves.into_iter().chain([(statistics, false), (statistics, true)]) {
                            all.push(Kernel::ForwardRow { team, element, units, parameters, save, track });
                        }
                    }
                }
            }
        }
        all.extend(Kernel::all_backward(&elements));
        all
    }

    fn all_backward(elements: &[Element]) -> Vec<Kernel> {
        let mut all = vec![];
        let scalars = [Parameters::None, Parameters::Weight];
        let given = [Parameters::Weight, Parameters::Both];
        for team in Team::ALL {
            all.extend(given.map(|parameters| Kernel::BackwardCombine { team, sets: None, parameters }));
            for parameters in given.into_iter().chain([Parameters::None]) {
                let weights = [Parameters::None, parameters.without_bias()];
                let combine = |weights| Kernel::BackwardCombine { team, sets: Some(weights), parameters };
                all.extend(weights.into_iter().take(if parameters == Parameters::None { 1 } else { 2 }).map(combine));
                all.push(Kernel::BackwardAxes { team, parameters });
            }
            all.extend(scalars.map(|parameters| Kernel::BackwardMix { team, parameters }));
            for &element in elements {
                let weights = if element.width >= 4 { Parameters::WeightQuads } else { Parameters::Weight };
                for &units in team.units() {
                    let sums = |parameters, from| Kernel::BackwardSums { team, element, units, parameters, from };
                    all.push(sums(weights, StatisticsFrom::Stored));
                    all.push(sums(Parameters::Weight, StatisticsFrom::Running));
                    let plain = [StatisticsFrom::Stored, StatisticsFrom::Mixed];
                    all.extend(plain.map(|from| sums(Parameters::None, from)));
                }
            }
        }
        let alone = |&element| Kernel::BackwardRows {
            element,
            units: Kernel::ROWS[0],
            parameters: Parameters::None,
            rows: RowsFrom::Statistics,
        };
        all.extend(elements.iter().filter(|element| !element.writes()).map(alone));
        for &element in elements.iter().filter(|element| element.writes()) {
            let quads = [Parameters::WeightQuads].into_iter().filter(|_| element.width >= 4);
            for team in Team::ALL {
                let weights = if element.width >= 4 { Parameters::WeightQuads } else { Parameters::Weight };
                for &units in team.units() {
                    let row = |parameters, keep| Kernel::BackwardRow { team, element, units, parameters, keep };
                    all.push(row(Parameters::None, Keep::Nothing));
                    all.extend([Keep::Rows, Keep::Channels].map(|keep| row(Parameters::Weight, keep)));
                    all.push(row(weights, Keep::Columns));
                }
            }
            for running in [false, true] {
                for team in Team::ALL {
                    let apply = |parameters| Kernel::BackwardApply { team, element, parameters, running };
                    all.extend(scalars.into_iter().chain(quads.clone()).map(apply));
                }
                let given = scalars.into_iter().take(if running { 1 } else { 2 });
                all.extend(given.map(|parameters| Kernel::BackwardApplyColumns { element, parameters, running }));
            }
            let parameters = if element.width >= 4 { Parameters::WeightQuads } else { Parameters::Weight };
            let rows = [RowsFrom::Own, RowsFrom::Stored];
            for units in Kernel::ROWS {
                all.extend(rows.map(|rows| Kernel::BackwardRows { element, units, parameters, rows }));
            }
            let columns = |parameters, from| Kernel::BackwardColumns { element, parameters, from };
            all.push(columns(Parameters::None, StatisticsFrom::Stored));
            all.push(columns(Parameters::Weight, StatisticsFrom::Running));
        }
        all
    }
}
