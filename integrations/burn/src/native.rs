//! The operations on CubeCL: plans launched step by step.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::ir::attributes::BufferIOAttr;
use burn_cubecl::cubecl::prelude::CubeCount;
use burn_cubecl::cubecl::server::{Handle, KernelArguments, MetadataBindingInfo};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};
use gpunorm::unstable::{Binding, Scratch};

use crate::call::Planned;
use crate::kernel::Launch;
use crate::ops::{Arrays, Backward, Forward, Given, Gradients, NormOps, Outputs, Saved};

impl NormOps for CubeBackend {
    fn norm_forward(input: FloatTensor<Self>, arrays: Arrays<Self>, forward: Forward) -> Outputs<Self> {
        let mut bound = Bound::new(input);
        let output = bound.output(Binding::Y);
        let [statistics, axes] = forward.saved().map(|saved| match saved {
            Some((binding, len)) => Given::Tensor(bound.new_tensor(binding, [len].into(), DType::F32)),
            None => Given::Nothing,
        });
        bound.arrays(&arrays);
        let (mut running_mean, mut running_var) = (Given::Nothing, Given::Nothing);
        if forward.call.updates() {
            // Kernels move them in place, and burn may have others look at the old ones.
            running_mean = bound.copied(Binding::RunningMean, &arrays.running_mean);
            running_var = bound.copied(Binding::RunningVar, &arrays.running_var);
            // A count of each channel's batches, which a fixed momentum does not go by.
            bound.scratch(Binding::NumBatchesTracked, 4 * forward.call.channels() as u64);
        }
        bound.run(&forward.planned());
        Outputs { output, saved: Saved { statistics, axes }, running_mean, running_var }
    }

    fn norm_backward(
        gradient: FloatTensor<Self>,
        input: FloatTensor<Self>,
        arrays: Arrays<Self>,
        saved: Saved<Self>,
        backward: Backward,
    ) -> Gradients<Self> {
        let mut bound = Bound::new(input);
        bound.put(Binding::Dy, gradient);
        bound.arrays(&arrays);
        for (&binding, kept) in backward.call.saved().iter().zip([saved.statistics, saved.axes]) {
            bound.put_given(binding, &kept);
        }
        let wanted = backward.wanted;
        let dx = if wanted.input { Given::Tensor(bound.output(Binding::Dx)) } else { Given::Nothing };
        let mut of = |binding, array: &Given<Self>| match array {
            Given::Tensor(array) if wanted.parameters => {
                Given::Tensor(bound.new_tensor(binding, array.shape(), DType::F32))
            }
            _ => Given::Nothing,
        };
        let weight = of(Binding::WeightGradient, &arrays.weight);
        let bias = of(Binding::BiasGradient, &arrays.bias);
        let mean_weight = of(Binding::MeanWeightGradient, &arrays.mean_weight);
        let var_weight = of(Binding::VarWeightGradient, &arrays.var_weight);
        bound.run(&backward.planned());
        Gradients { input: dx, weight, bias, mean_weight, var_weight }
    }
}

/// What steps bind.
struct Bound {
    client: Client,
    device: CubeDevice,
    shape: Shape,
    dtype: DType,
    handles: Vec<(Binding, Handle)>,
}

impl Bound {
    fn new(input: CubeTensor) -> Bound {
        let input = into_contiguous(input);
        let (client, device) = (input.client.clone(), input.device.clone());
        let handles = vec![(Binding::X, input.handle.clone())];
        Bound { client, device, shape: input.shape(), dtype: input.dtype, handles }
    }

    fn put(&mut self, binding: Binding, tensor: CubeTensor) {
        self.handles.push((binding, into_contiguous(tensor).handle));
    }

    fn put_given(&mut self, binding: Binding, given: &Given<CubeBackend>) {
        if let Given::Tensor(tensor) = given {
            self.put(binding, tensor.clone());
        }
    }

    fn arrays(&mut self, arrays: &Arrays<CubeBackend>) {
        self.put_given(Binding::Weight, &arrays.weight);
        self.put_given(Binding::Bias, &arrays.bias);
        self.put_given(Binding::MeanWeight, &arrays.mean_weight);
        self.put_given(Binding::VarWeight, &arrays.var_weight);
        self.put_given(Binding::RunningMean, &arrays.running_mean);
        self.put_given(Binding::RunningVar, &arrays.running_var);
    }

    fn new_tensor(&mut self, binding: Binding, shape: Shape, dtype: DType) -> CubeTensor {
        let tensor = empty_device_contiguous_dtype(self.client.clone(), self.device.clone(), shape, dtype);
        self.handles.push((binding, tensor.handle.clone()));
        tensor
    }

    /// A tensor like the input.
    fn output(&mut self, binding: Binding) -> CubeTensor {
        self.new_tensor(binding, self.shape.clone(), self.dtype)
    }

    /// A copy of `given`, bound in its place.
    fn copied(&mut self, binding: Binding, given: &Given<CubeBackend>) -> Given<CubeBackend> {
        let Given::Tensor(tensor) = given else { return Given::Nothing };
        let copy = into_contiguous(tensor.clone()).copy();
        self.handles.retain(|(bound, _)| *bound != binding);
        self.handles.push((binding, copy.handle.clone()));
        Given::Tensor(copy)
    }

    fn scratch(&mut self, binding: Binding, bytes: u64) {
        self.handles.push((binding, self.client.empty(bytes as usize)));
    }

    fn handle(&self, binding: Binding) -> Option<&Handle> {
        self.handles.iter().find(|(bound, _)| *bound == binding).map(|(_, handle)| handle)
    }

    fn run(mut self, planned: &Planned) {
        for launch in &planned.launches {
            for &(binding, _) in &launch.arguments {
                if self.handle(binding).is_none() && Scratch::BINDINGS.contains(&binding) {
                    self.scratch(binding, planned.scratch.bytes(binding));
                }
            }
            self.launch(launch);
        }
    }

    fn launch(&self, launch: &Launch) {
        let Launch { kernel, arguments, uniform, workgroups: [x, y], bytes } = launch;
        let mut bound = KernelArguments::new().with_info(MetadataBindingInfo::custom(uniform.clone()));
        for &(binding, writes) in arguments {
            let handle = self.handle(binding).unwrap_or_else(|| panic!("{kernel:?} binds {binding:?}")).clone();
            let handle = match binding {
                Binding::X | Binding::Y | Binding::Dy | Binding::Dx => {
                    // Bindings end on a word, and tensors of 16-bit elements may not.
                    let after = handle.size_in_used().saturating_sub(bytes.end);
                    handle.offset_start(bytes.start).offset_end(after)
                }
                _ => handle,
            };
            let io = if writes { BufferIOAttr::ReadWrite } else { BufferIOAttr::ReadOnly };
            bound = bound.with_buffer_io(handle.binding(), io);
        }
        self.client.launch(Box::new(kernel.clone()), CubeCount::Static(*x, *y, 1), bound);
    }
}
