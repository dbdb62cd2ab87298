//! What a plan is: steps and the buffers between them.

use std::fmt;
use std::ops::Range;

use crate::dtype::DType;
use crate::kernel::{Binding, Kernel, Params, Target, Team};
use crate::spec::NormSpec;
use crate::spec::geometry::Source;
use crate::spec::strides::Pitch;

/// Lavapipe silently ends loops after 65,535 iterations of one invocation in all; no step comes near that.
pub const MAX_ITERATIONS: u32 = 32_768;
/// Of a set's partial moments.
pub(super) const MOMENTS_BYTES: u64 = 16;
/// Of a sum of dy and one of dy·x̂.
pub(super) const SUM_BYTES: u64 = 8;
/// Of what a sample or a channel contributes to switchable norm's backward.
pub(super) const AXIS_BYTES: u64 = 16;
/// Of what dx needs of a set.
pub(super) const COEFFICIENT_BYTES: u64 = 20;

/// How a row is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// One kernel reads the row, takes its statistics and writes it.
    Fused,
    /// Partial moments, then a combine, then an apply.
    Split,
}

/// What planning is told to do instead of choosing by itself: for tests and experiments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Strategy {
    /// How rows are treated.
    pub route: Option<Route>,
    /// Who works on a row.
    pub team: Option<Team>,
    /// Lanes of a team that is not one invocation; the next power of two that the device has.
    pub lanes: Option<u32>,
}

/// What a backward does with a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gradient {
    /// Nothing: nobody wants it.
    Unwanted,
    /// It replaces what is there.
    Replaced,
    /// It is added to what is there.
    Added,
}

/// Tensors beside a norm that go along in its pass: `activation((norm(x + a)·scale + shift) + c)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Neighbours {
    /// `a`, added to the input.
    pub add_before: bool,
    /// It is one value for each channel of each of so many samples.
    pub by_channel: Option<usize>,
    /// The sum is written out.
    pub keeps_sum: bool,
    /// `scale` and `shift`.
    pub modulation: Option<Modulation>,
    /// `c`, added to the output.
    pub add_after: bool,
}

/// A scale and a shift for each sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Modulation {
    /// The first dimension of the input.
    pub samples: usize,
    /// The scale is 1 and what is given.
    pub from_one: bool,
    /// Of what is given.
    pub dtype: DType,
}

/// How the tensors of a pass lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Layout {
    /// The output is where the input is; of a backward, dx where dy is.
    pub in_place: bool,
    /// Rows that lie apart, of layer and RMS norm.
    pub pitched: Option<Pitched>,
}

/// Where the rows of tensors lie, the first ones counted from where a binding may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pitched {
    /// Rows after which another step is taken.
    pub period: usize,
    /// Of the input.
    pub input: Pitch,
    /// Of what is written: the output, or dx.
    pub output: Pitch,
    /// Of dy.
    pub gradient: Pitch,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// The output; `saves` keeps the statistics for a backward.
    Forward {
        /// Whether a backward follows.
        saves: bool,
        /// What goes along.
        neighbours: Neighbours,
    },
    /// The gradients.
    Backward {
        /// Partial moments per row that the forward left, of switchable norm.
        parts: usize,
        /// What becomes of the input's.
        input: Gradient,
        /// What becomes of the parameters'.
        parameters: Gradient,
        /// Whether those of a scale and a shift are wanted.
        modulation: bool,
        /// Whether that of what was added by channel is.
        addend: bool,
        /// What went along with the forward.
        neighbours: Neighbours,
    },
}

impl Neighbours {
    /// None.
    pub const NONE: Neighbours =
        Neighbours { add_before: false, by_channel: None, keeps_sum: false, modulation: None, add_after: false };

    /// Whether a tensor that goes along is bound whole, or in slices as the input is.
    pub(crate) fn is_whole(&self, binding: Binding) -> bool {
        match binding {
            Binding::ModulationScale | Binding::ModulationShift => true,
            Binding::AddBefore => self.by_channel.is_some(),
            _ => false,
        }
    }
}

impl Pass {
    /// A scale and a shift that go along.
    pub(crate) fn modulation(self) -> Option<Modulation> {
        match self {
            Pass::Forward { neighbours, .. } | Pass::Backward { neighbours, .. } => neighbours.modulation,
        }
    }

    /// A forward of the layer alone.
    pub const fn forward(saves: bool) -> Pass {
        Pass::Forward { saves, neighbours: Neighbours::NONE }
    }

    /// A backward of one.
    pub const fn backward(parts: usize, input: Gradient, parameters: Gradient) -> Pass {
        Pass::Backward { parts, input, parameters, modulation: false, addend: false, neighbours: Neighbours::NONE }
    }
}

/// What a forward or backward runs, in order. `Display` prints it with the reasons. What it is made of and made from is
/// [unstable](crate::unstable): its fields, and how to make one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The dispatches, in order.
    pub steps: Vec<Step>,
    /// The buffers between them.
    pub scratch: Scratch,
    /// Why these steps.
    pub why: String,
    /// Where the processes that share a batch meet.
    pub exchange: Option<Exchange>,
}

/// Between two steps, the processes that share a batch tell one another what they have found of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// How many steps come before.
    pub after: usize,
    /// Which scratch is told, and which of its bytes: of a forward the moments of each channel, of a backward the sums of each,
    /// which are then replaced by those of all.
    pub binding: Binding,
    /// See `binding`.
    pub bytes: Range<u64>,
}

/// Entries of the buffers that steps hand to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scratch {
    /// Moments, 16 bytes each.
    pub moments: u64,
    /// Statistics, 12 bytes each.
    pub statistics: u64,
    /// Layer and batch moments and the shares, 16 bytes each.
    pub axes: u64,
    /// Sums of a backward, 8 bytes each.
    pub sums: u64,
    /// Coefficients of a backward, 20 bytes each.
    pub coefficients: u64,
    /// What samples and channels contribute to switchable norm's backward, 16 bytes each.
    pub axis_gradients: u64,
    /// The gradient of what goes into an activation, bytes of a whole tensor.
    pub dy: u64,
    /// Moments of dx, 16 bytes each.
    pub dx_moments: u64,
    /// dx where nobody else wants it, bytes of a whole tensor.
    pub dx: u64,
    /// Parameters that are multiplied out with a modulation, 4 bytes each.
    pub folded: u64,
    /// Their gradients, likewise.
    pub folded_gradients: u64,
    /// Moments of channels in this process's share of a batch, 16 bytes each.
    pub combined: u64,
    /// The same of all processes, one after the other.
    pub rank_moments: u64,
}

impl Scratch {
    /// Bytes of the buffer behind `binding`; at least one entry, since an empty buffer cannot be bound.
    pub fn bytes(&self, binding: Binding) -> u64 {
        let (entries, size) = match binding {
            Binding::Statistics => (self.statistics, 12),
            Binding::Axes => (self.axes, 16),
            Binding::Sums => (self.sums, SUM_BYTES),
            Binding::Coefficients => (self.coefficients, COEFFICIENT_BYTES),
            Binding::AxisGradients => (self.axis_gradients, AXIS_BYTES),
            Binding::Dy => (self.dy, 1),
            Binding::Dx => (self.dx, 1),
            Binding::DxMoments => (self.dx_moments, MOMENTS_BYTES),
            Binding::FoldedWeight | Binding::FoldedBias | Binding::FoldedScale => (self.folded, 4),
            Binding::FoldedWeightGradient | Binding::FoldedBiasGradient => (self.folded_gradients, 4),
            Binding::Combined => (self.combined, MOMENTS_BYTES),
            Binding::RankMoments => (self.rank_moments, MOMENTS_BYTES),
            _ => (self.moments, MOMENTS_BYTES),
        };
        entries.max(1).saturating_mul(size)
    }

    /// What of a forward that saves its backward reads, so that it has to be kept; the layer's weight and the input aside, and
    /// running statistics, where these were used.
    pub fn saved(spec: &NormSpec, source: Source) -> &'static [Binding] {
        match (spec, source) {
            (NormSpec::Switchable(_), _) => &[Binding::Moments, Binding::Axes],
            (_, Source::Input) => &[Binding::Statistics],
            (_, Source::Running) => &[],
        }
    }

    /// The bindings that are scratch.
    pub const BINDINGS: [Binding; 16] = [
        Binding::Moments,
        Binding::Statistics,
        Binding::Axes,
        Binding::Sums,
        Binding::Coefficients,
        Binding::AxisGradients,
        Binding::Dy,
        Binding::Dx,
        Binding::DxMoments,
        Binding::FoldedWeight,
        Binding::FoldedBias,
        Binding::FoldedScale,
        Binding::FoldedWeightGradient,
        Binding::FoldedBiasGradient,
        Binding::Combined,
        Binding::RankMoments,
    ];
}

/// One dispatch.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The WGSL that runs.
    pub kernel: Kernel,
    /// WGSL overrides by name.
    pub constants: Vec<(&'static str, u32)>,
    /// Its uniform.
    pub params: Params,
    /// Workgroups in x and y.
    pub workgroups: [u32; 2],
    /// The bytes that it binds of contiguous tensors of the input's shape, relative to these.
    pub bytes: Range<u64>,
    /// What it takes in place of the layer's own.
    pub takes: Takes,
    /// Those of the input, of what is written and of dy where rows lie apart, relative to where a binding may begin.
    pub pitched: Option<[Range<u64>; 3]>,
}

/// What a step binds in place of what its kernel calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing else.
    Own,
    /// Parameters that are multiplied out with a modulation, and their gradients.
    Folded,
    /// dx for x, and moments of their own.
    Dx,
    /// Moments of all processes, and switchable norm's axes for what they combine to.
    Ranks,
}

impl Plan {
    /// How many compute shaders run, one after the other.
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }

    /// The steps before and after the exchange; all and none where there is none.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn halves(self) -> [Plan; 2] {
        let Plan { mut steps, scratch, why, exchange } = self;
        let after = exchange.map_or(steps.len(), |exchange| exchange.after);
        let later = steps.split_off(after);
        [steps, later].map(|steps| Plan { steps, scratch, why: why.clone(), exchange: None })
    }

    /// The scratch that one half leaves to the other, while other passes may use what all share.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn kept_meanwhile(&self) -> Vec<Binding> {
        let Some(exchange) = &self.exchange else { return vec![] };
        let (first, second) = self.steps.split_at(exchange.after);
        let uses = |steps: &[Step], binding| {
            let binds = |step: &Step| step.kernel.bindings().iter().any(|used| step.resource(used.0) == binding);
            steps.iter().any(binds)
        };
        let both = |&binding: &Binding| uses(first, binding) && (binding == exchange.binding || uses(second, binding));
        Scratch::BINDINGS.into_iter().filter(both).collect()
    }

    /// Partial moments that this forward leaves per row, where its backward reads them: of switchable norm. What
    /// [`Pass::Backward`] has to be told; [unstable](crate::unstable).
    pub fn parts(&self, spec: &NormSpec) -> usize {
        let first = self.steps.first().filter(|_| matches!(spec, NormSpec::Switchable(_)));
        first.map_or(1, |step| step.params.partial_row.max(1) as usize)
    }
}

impl Step {
    /// The buffer behind a binding.
    pub fn resource(&self, binding: Binding) -> Binding {
        match (self.takes, binding) {
            (Takes::Folded, Binding::Weight) => Binding::FoldedWeight,
            (Takes::Folded, Binding::Bias) => Binding::FoldedBias,
            (Takes::Folded, Binding::WeightGradient) => Binding::FoldedWeightGradient,
            (Takes::Folded, Binding::BiasGradient) => Binding::FoldedBiasGradient,
            (Takes::Dx, Binding::X) => Binding::Dx,
            (Takes::Dx, Binding::Moments) => Binding::DxMoments,
            (Takes::Ranks, Binding::Moments) => Binding::RankMoments,
            (Takes::Ranks, Binding::Combined) => Binding::Axes,
            (_, binding) => binding,
        }
    }

    /// The bytes of a tensor whose rows lie apart, or may.
    pub fn pitched_bytes(&self, binding: Binding) -> Option<&Range<u64>> {
        let [input, output, gradient] = self.pitched.as_ref()?;
        match binding {
            Binding::X => Some(input),
            Binding::Y | Binding::Dx => Some(output),
            // What goes into an activation is contiguous.
            Binding::Dy if matches!(self.kernel, Kernel::BackwardOutput { .. }) => None,
            Binding::Dy | Binding::OutputGradient => Some(gradient),
            _ => None,
        }
    }

    /// What the kernel does not read, since what it writes is in the same place.
    pub fn replaced(&self) -> Option<Binding> {
        let writes_dx = self.kernel.bindings().contains(&(Binding::Dx, true));
        let replaced = if writes_dx { Binding::Dy } else { Binding::X };
        (self.constant("IN_PLACE") == Some(1)).then_some(replaced)
    }

    /// The WGSL of its kernel for a runtime that passes no overrides: [`Kernel::bake`].
    pub fn bake(&self, target: Target) -> String {
        self.kernel.bake(target, &self.constants)
    }

    /// The value of an override.
    pub fn constant(&self, name: &str) -> Option<u32> {
        self.constants.iter().find(|(key, _)| *key == name).map(|&(_, value)| value)
    }

    /// Lanes of one team.
    pub fn lanes(&self) -> u32 {
        self.kernel.lanes(&self.constants)
    }

    /// The most loop iterations that one invocation runs, inner loops included and unrolled by nobody; a loop that is entered
    /// counts at least one.
    pub fn iterations(&self) -> u64 {
        self.kernel.iterations(&self.params, &self.constants)
    }

    /// Bytes of x and dy that all its invocations load before they wait for any: what a GPU hides memory's latency behind.
    pub fn bytes_under_way(&self) -> u64 {
        let [x, y] = self.workgroups.map(u64::from);
        let invocations = (x * y).saturating_mul(self.constant("WORKGROUP").unwrap_or(1).into());
        let all = self.kernel.inputs() * (self.bytes.end - self.bytes.start);
        invocations.saturating_mul(self.kernel.bytes_at_once()).min(all)
    }

    /// Teams of one workgroup.
    pub fn teams(&self) -> u32 {
        match self.kernel.team() {
            Team::Workgroup => 1,
            _ => self.constant("WORKGROUP").unwrap_or(1) / self.lanes(),
        }
    }

    pub(super) fn team_name(&self) -> String {
        match self.kernel.team() {
            Team::Workgroup => "workgroup".into(),
            Team::Subgroup => format!("team of {} lanes", self.lanes()),
            Team::Invocation => "invocation".into(),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let dispatches = if self.dispatches() == 1 { "dispatch" } else { "dispatches" };
        writeln!(f, "{} {dispatches}: {}", self.dispatches(), self.why)?;
        for (number, step) in self.steps.iter().enumerate() {
            if let Some(exchange) = self.exchange.as_ref().filter(|exchange| exchange.after == number) {
                let bytes = exchange.bytes.end - exchange.bytes.start;
                writeln!(f, "  the processes exchange {bytes} bytes of each")?;
            }
            let (kernel, [x, y]) = (step.kernel, step.workgroups);
            write!(f, "  {:18} {x}", kernel.name())?;
            if y > 1 {
                write!(f, " x {y}")?;
            }
            write!(f, " workgroups of {}, a row per {}", step.constant("WORKGROUP").unwrap_or(1), step.team_name())?;
            if let Some(element) = kernel.element() {
                write!(f, ", {} x {} per load", element.width, element.dtype)?;
            }
            if step.params.segments > 1 {
                write!(f, ", {} segments per row", step.params.segments)?;
            }
            if kernel.element().is_some() {
                let (size, unit) = match step.bytes_under_way() as f64 {
                    bytes if bytes < 1e6 => (bytes / 1e3, "kB"),
                    bytes => (bytes / 1e6, "MB"),
                };
                write!(f, ", {size:.1} {unit} under way")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
