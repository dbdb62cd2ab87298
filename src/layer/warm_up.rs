//! Compiling ahead.

use crate::device::{COMPILING, Gpu, bytes_of};
use crate::dtype::DType;
use crate::error::Result;
use crate::plan::{Gradient, Pass, Plan, Strategy};
use crate::spec::geometry::Geometry;
use crate::spec::{Mode, NormSpec};

impl Gpu {
    /// Compiles ahead what layers of these `specs` need for inputs of this element type: each for each of `shapes` that it
    /// takes. For [`Mode::Evaluation`] forwards; for [`Mode::Training`] forwards, saved ones, and backwards, those that add to
    /// gradients too. What was compiled before, for any shape, is not compiled again.
    ///
    /// The first call for new tensors still binds them, and some drivers finish compiling only when a kernel first runs. What goes
    /// along with a [`Call`](crate::Call), runs in place or has rows that lie apart has kernels of its own, which its first call
    /// compiles. `warm_up(specs, shapes, dtype, mode)` blocks for all of it, outside of browsers.
    ///
    /// # Errors
    /// For a layer that takes none of the shapes, what the last of them has against it;
    /// [`TooLarge`](crate::Error::TooLarge), [`DeviceLost`](crate::Error::DeviceLost).
    pub async fn warm_up_async(&self, specs: &[NormSpec], shapes: &[&[usize]], dtype: DType, mode: Mode) -> Result<()> {
        self.checked().check_alive(COMPILING)?;
        for spec in specs {
            let mut refused = None;
            let mut taken = false;
            for shape in shapes {
                match Geometry::new(spec, mode, shape) {
                    Ok(geometry) => {
                        taken = true;
                        bytes_of(self, shape, dtype)?;
                        self.compile(spec, &geometry, dtype, mode)?;
                    }
                    Err(error) => refused = Some(error),
                }
            }
            if let Some(error) = refused.filter(|_| !taken) {
                return Err(error);
            }
        }
        // A browser compiles after this has returned.
        self.check().await
    }

    fn compile(&self, spec: &NormSpec, geometry: &Geometry, dtype: DType, mode: Mode) -> Result<()> {
        let compile = |pass| {
            let plan = Plan::new(spec, geometry, dtype, self.caps(), Strategy::default(), pass)?;
            self.pipelines().compile(&plan, self.caps().f16)?;
            Ok(plan)
        };
        compile(Pass::forward(false))?;
        if mode == Mode::Training {
            let parts = compile(Pass::forward(true))?.parts(spec);
            for parameters in [Gradient::Replaced, Gradient::Added] {
                compile(Pass::backward(parts, Gradient::Replaced, parameters))?;
            }
        }
        Ok(())
    }
}
