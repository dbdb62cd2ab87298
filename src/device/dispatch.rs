//! Dispatches that are ready, and where they are recorded.

use std::sync::Arc;

use super::memory::Shared;
use super::pipeline::Pipeline;

/// A dispatch, ready to be recorded.
#[derive(Debug)]
pub struct Dispatch {
    pub(crate) name: &'static str,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) group: wgpu::BindGroup,
    pub(crate) workgroups: [u32; 2],
    /// What of the GPU's own the group binds, which is in use as long as this can be recorded.
    pub(crate) held: Vec<Arc<Shared>>,
}

impl Dispatch {
    /// Not where something of the GPU's own could not be made, as a browser tells later.
    pub(crate) fn can_run(&self) -> bool {
        !self.held.iter().any(|shared| shared.has_failed())
    }
}

/// Where work can be recorded: a `wgpu::CommandEncoder`, in which each dispatch gets a pass of its name, or an open
/// `wgpu::ComputePass` of the app's. What an app records there before and after runs before and after; the pipeline and the
/// bind group at 0 that it had set in its pass are not set any more.
pub trait Recorder: sealed::Record {}

impl Recorder for wgpu::CommandEncoder {}

impl Recorder for wgpu::ComputePass<'_> {}

/// Nothing in it can fail.
pub(crate) fn record(to: &mut impl Recorder, dispatches: &[Dispatch]) {
    dispatches.iter().for_each(|dispatch| to.record(dispatch));
}

mod sealed {
    use super::Dispatch;

    pub trait Record {
        fn record(&mut self, dispatch: &Dispatch);
    }

    impl Record for wgpu::CommandEncoder {
        fn record(&mut self, dispatch: &Dispatch) {
            let label = Some(dispatch.name);
            let descriptor = wgpu::ComputePassDescriptor { label, timestamp_writes: None };
            self.begin_compute_pass(&descriptor).record(dispatch);
        }
    }

    impl Record for wgpu::ComputePass<'_> {
        fn record(&mut self, dispatch: &Dispatch) {
            self.set_pipeline(&dispatch.pipeline.compute);
            self.set_bind_group(0, &dispatch.group, &[]);
            let [x, y] = dispatch.workgroups;
            self.dispatch_workgroups(x, y, 1);
        }
    }
}
