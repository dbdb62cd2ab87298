//! Compiling ahead, so that the first pass is as fast as the next.

use super::norm::GpuNorm;
use super::training::SAVING;
use crate::device::{COMPILING, Gpu, bytes_of};
use crate::dtype::DType;
use crate::error::Result;
use crate::plan::{Pass, Plan, Strategy};
use crate::spec::geometry::Geometry;
use crate::spec::{Mode, NormSpec};

impl Gpu {
    /// Compiles ahead what forwards of f32 inputs need, in training and in evaluation: each layer for each of `shapes`
    /// that it takes. For other element types there is [`GpuNorm::warm_up`].
    ///
    /// # Errors
    /// For a layer that takes none of the shapes, what the last of them has against it;
    /// [`TooLarge`](crate::Error::TooLarge), [`DeviceLost`](crate::Error::DeviceLost).
    pub fn warm_up(&self, specs: &[NormSpec], shapes: &[&[usize]]) -> Result<()> {
        self.checked().check_alive(COMPILING)?;
        for spec in specs {
            let mut refused = None;
            let mut taken = false;
            for shape in shapes {
                for mode in [Mode::Training, Mode::Evaluation] {
                    match Geometry::new(spec, mode, shape) {
                        Ok(geometry) => {
                            taken = true;
                            bytes_of(self, shape, DType::F32)?;
                            let plan = Plan::forward(spec, &geometry, DType::F32, self.caps(), Strategy::default())?;
                            self.pipelines().compile(&plan)?;
                        }
                        Err(error) => refused = Some(error),
                    }
                }
            }
            if let Some(error) = refused.filter(|_| !taken) {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl GpuNorm {
    /// Compiles what a forward of a tensor of this shape and type needs in the current mode, so that the first one is as
    /// fast as the next.
    ///
    /// # Errors
    /// Those of [`encode_forward`](Self::encode_forward).
    pub fn warm_up(&self, shape: &[usize], dtype: DType) -> Result<()> {
        self.gpu.checked().check_alive(COMPILING)?;
        self.gpu.pipelines().compile(&self.plan_as(shape, dtype)?)
    }

    /// Compiles what [`forward_saved`](Self::forward_saved) and [`backward`](Self::backward) of a tensor of this shape and
    /// type need in the current mode, so that the first step is as fast as the next.
    ///
    /// # Errors
    /// Those of [`encode_forward`](Self::encode_forward).
    pub fn warm_up_backward(&self, shape: &[usize], dtype: DType) -> Result<()> {
        self.gpu.checked().check_alive(COMPILING)?;
        let geometry = self.geometry(shape, dtype)?;
        let forward = self.plan_pass(&geometry, dtype, SAVING)?;
        let backward = Pass::Backward { parts: forward.parts(&self.spec), accumulate: false };
        let backward = self.plan_pass(&geometry, dtype, backward)?;
        [forward, backward].iter().try_for_each(|plan| self.gpu.pipelines().compile(plan))
    }
}
