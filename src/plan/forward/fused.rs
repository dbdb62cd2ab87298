//! Forwards of one kernel: a team reads its row, takes the statistics and writes it.

use crate::error::Result;
use crate::kernel::{Beside, Element, Kernel, Params, Registers, Save, Team, parameter_loops};
use crate::plan::fit::taken;
use crate::plan::planner::{BUSY_SOFTWARE, Planner, index};
use crate::plan::steps::{MAX_ITERATIONS, Pass, Plan, Route, Scratch};
use crate::spec::NormSpec;

/// Units of a tensor so small that dispatches are what costs.
const FEW_UNITS: usize = 1 << 15;

impl Planner<'_> {
    /// Team, units per lane and width of a fused row, or why there is none.
    pub(super) fn row_shape(&self) -> Result<(Team, u32, Element), String> {
        let geometry = self.geometry;
        if self.interleaves() {
            return Err("rows are interleaved".into());
        }
        let run = geometry.row_len / geometry.runs;
        let element = self.widest_element(run).ok_or("16-bit rows of odd length share words")?;
        let units = geometry.row_len / element.width as usize;
        if geometry.runs > 1 && self.tensor_bytes() > self.binding_limit() {
            return Err("the tensor exceeds a binding and its rows are scattered".into());
        }
        let beside = self.beside();
        if beside.modulated && geometry.runs > 1 {
            return Err("a row is of several samples, which are modulated each".into());
        }
        let team = self.row_team(units);
        let held_alone = self.units_per_lane(team, units, element, Registers::Row);
        let held = if beside == Beside::NOTHING { held_alone } else { team.units_beside(element) };
        if beside != Beside::NOTHING {
            if geometry.updates {
                return Err("running statistics move beside other tensors".into());
            }
            let (needed, limit) =
                (self.row_kernel((team, held, element)).bindings().len() - 1, self.caps.max_storage_buffers);
            if needed > limit as usize {
                return Err(format!("{needed} storage buffers are more than this device binds"));
            }
        }
        let forced = self.strategy.route == Some(Route::Fused) && self.strategy.team == Some(team);
        let most = match team {
            Team::Workgroup | Team::Subgroup if forced => usize::MAX,
            Team::Workgroup | Team::Subgroup => {
                // Rows of several tiles are read tile by tile: enough of them, or pieces of them are better read together.
                let tile = (held_alone * self.largest_workgroup()) as usize;
                let enough = geometry.rows >= self.busy_lanes(tile as u64 * element.bytes());
                if enough { tile.max(8 * self.largest_workgroup() as usize) } else { tile }
            }
            // Rows longer than its registers are read again from the cache; too few of them would leave cores idle, which
            // does not matter where all of it takes less than two more dispatches would.
            Team::Invocation => {
                let few = geometry.rows * units <= FEW_UNITS;
                let alone = units <= 64 || geometry.rows >= BUSY_SOFTWARE / 4 || few;
                // A unit is read in tiles by four loops, and written with a weight and a bias.
                let (rows, parameters) = (self.rows(), self.parameters(self.quads(self.rows(), element)));
                let iterations = 6 + 2 * parameter_loops(self.affine(rows, element), parameters, element);
                let most = MAX_ITERATIONS as usize * 3 / 4 / iterations as usize;
                if forced {
                    most
                } else if alone {
                    most.min(2048)
                } else {
                    0
                }
            }
        };
        if units <= most {
            Ok((team, held, element))
        } else {
            Err(format!("{} rows of {units} units are too long or too few for one team each", geometry.rows))
        }
    }

    /// Whether instance norm's running statistics move, by a step of their own.
    fn tracks_instances(&self) -> bool {
        matches!(self.spec, NormSpec::Instance(_)) && self.geometry.updates
    }

    /// What becomes of a row's moments, and whether running statistics move at once.
    fn row_saves(&self) -> (Save, bool) {
        let save = match self.pass {
            _ if self.tracks_instances() => Save::Moments,
            Pass::Forward { saves: true, .. } => Save::Statistics,
            _ => Save::Nothing,
        };
        (save, self.geometry.updates && !self.tracks_instances())
    }

    fn row_kernel(&self, (team, units, element): (Team, u32, Element)) -> Kernel {
        let (save, track) = self.row_saves();
        let parameters = self.parameters(self.quads(self.rows(), element));
        let beside = self.beside();
        // With neighbours, an override says whether it saves.
        let save = if beside == Beside::NOTHING { save } else { Save::Statistics };
        Kernel::ForwardRow { team, element, units, parameters, save, track, beside }
    }

    pub(super) fn fused(&self, (team, held, element): (Team, u32, Element)) -> Result<Plan> {
        let geometry = self.geometry;
        let tracks_instances = self.tracks_instances();
        let rows = self.rows();
        let kernel = self.row_kernel((team, held, element));
        let (save, track) = self.row_saves();
        let units = geometry.row_len / element.width as usize;
        let run = units / geometry.runs;
        let mut constants = [self.affine_constants(rows, element), self.output_constants()].concat();
        constants.push(self.centered());
        if self.beside() != Beside::NOTHING {
            constants.push(("SAVES", u32::from(save == Save::Statistics)));
        }
        constants.push(("CONTIGUOUS", u32::from(geometry.runs == 1)));
        if track {
            constants.extend(self.cumulative());
        }
        let size = self.row_size(team, units.div_ceil(held as usize));
        let held = taken(team, units, held);
        let tile = held as usize * size.lanes as usize;
        constants.push(("HELD", held));
        constants.push(("ONE_TILE", u32::from(units <= tile)));
        constants.push(("FULL", u32::from(units.is_multiple_of(tile))));
        let mut steps = vec![];
        for slice in self.slices(rows)? {
            let params = Params {
                rows: index(slice.len(), "rows")?,
                first: index(slice.start, "rows")?,
                units: index(units, "a row")?,
                row_stride: index(run, "a row")?,
                run: index(run, "a row")?,
                run_stride: if geometry.runs == 1 { 0 } else { index(run * geometry.channels, "a row")? },
                tiles: index(units.div_ceil(tile), "a row")?,
                segments: 1,
                partial_first: index(slice.start, "rows")?,
                partial_row: 1,
                parts: 1,
                ..self.row_params(rows)?
            };
            let bytes = if geometry.runs == 1 { self.bytes(&slice, rows.len) } else { 0..self.tensor_bytes() };
            steps.push(self.sized_step(kernel, params, constants.clone(), bytes, size)?);
        }
        let mut scratch = Scratch::default();
        if save != Save::Nothing {
            scratch.statistics = geometry.rows as u64;
        }
        if tracks_instances {
            scratch.moments = geometry.rows as u64;
            steps.push(self.track_instances(1)?);
        }
        let reads = if steps[0].params.tiles == 1 { "once" } else { "once, and once more from the cache" };
        let team = steps[0].team_name();
        let why = format!("{} rows of {units} units fit one {team} each: x is read {reads}", geometry.rows);
        Ok(Plan { steps, scratch, why, exchange: None })
    }
}
