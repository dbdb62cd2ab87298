//! The gradients of the operations.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients as AllGradients;
use burn_autodiff::ops::{Backward as BackwardStep, NodeGuard, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};

use crate::call::Wanted;
use crate::ops::{Arrays, Backward, Forward, Given, Gradients, NormOps, Outputs, Saved};

/// What has a gradient, in the order of a step's parents; each layer has some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parent {
    Input,
    Weight,
    Bias,
    MeanWeight,
    VarWeight,
}

#[derive(Debug)]
struct Norm;

#[derive(Debug, Clone)]
struct State<B: Backend, const N: usize> {
    parents: [Parent; N],
    input: NodeId,
    arrays: Arrays<B>,
    saved: Saved<B>,
    forward: Forward,
}

impl<B: Backend + NormOps, const N: usize> BackwardStep<B, N> for Norm {
    type State = State<B, N>;

    fn backward(self, ops: Ops<State<B, N>, N>, gradients: &mut AllGradients, checkpointer: &mut Checkpointer) {
        let State { parents, input, arrays, saved, forward } = ops.state;
        let dy = gradients.consume::<B>(&ops.node);
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(input);
        let is_wanted = |of: &dyn Fn(Parent) -> bool| {
            parents.iter().zip(&ops.parents).any(|(parent, node)| node.is_some() && of(*parent))
        };
        let wanted = Wanted {
            input: is_wanted(&|parent| parent == Parent::Input),
            parameters: is_wanted(&|parent| parent != Parent::Input),
        };
        let found = B::norm_backward(dy, x, arrays, saved, Backward { call: forward.call, wanted });
        let mut found = [
            (Parent::Input, found.input),
            (Parent::Weight, found.weight),
            (Parent::Bias, found.bias),
            (Parent::MeanWeight, found.mean_weight),
            (Parent::VarWeight, found.var_weight),
        ];
        for (parent, node) in parents.into_iter().zip(ops.parents) {
            let gradient = found.iter_mut().find(|(of, _)| *of == parent).map(|(_, gradient)| gradient);
            if let (Some(node), Some(gradient)) = (node, gradient)
                && let Given::Tensor(gradient) = std::mem::replace(gradient, Given::Nothing)
            {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Backend + NormOps, C: CheckpointStrategy> NormOps for Autodiff<B, C> {
    fn norm_forward(input: FloatTensor<Self>, arrays: Arrays<Self>, forward: Forward) -> Outputs<Self> {
        let has = |given: &Given<Self>| matches!(given, Given::Tensor(_));
        let mixes = has(&arrays.mean_weight);
        use Parent::{Bias, Input, MeanWeight, VarWeight, Weight};
        match (has(&arrays.weight), has(&arrays.bias), mixes) {
            (false, false, false) => step([Input], input, arrays, forward),
            (true, false, false) => step([Input, Weight], input, arrays, forward),
            (false, true, false) => step([Input, Bias], input, arrays, forward),
            (true, true, false) => step([Input, Weight, Bias], input, arrays, forward),
            (false, false, true) => step([Input, MeanWeight, VarWeight], input, arrays, forward),
            (true, false, true) => step([Input, Weight, MeanWeight, VarWeight], input, arrays, forward),
            (false, true, true) => step([Input, Bias, MeanWeight, VarWeight], input, arrays, forward),
            (true, true, true) => step([Input, Weight, Bias, MeanWeight, VarWeight], input, arrays, forward),
        }
    }

    fn norm_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Arrays<Self>,
        _: Saved<Self>,
        _: Backward,
    ) -> Gradients<Self> {
        panic!("normalization layers have no second derivatives");
    }
}

fn step<B: Backend + NormOps, C: CheckpointStrategy, const N: usize>(
    parents: [Parent; N],
    input: FloatTensor<Autodiff<B, C>>,
    arrays: Arrays<Autodiff<B, C>>,
    forward: Forward,
) -> Outputs<Autodiff<B, C>> {
    let node = |given: &Given<Autodiff<B, C>>| match given {
        Given::Tensor(tensor) => tensor.node(),
        Given::Nothing => unreachable!("a layer's parents are what it has"),
    };
    let nodes: [NodeGuard; N] = parents.map(|parent| match parent {
        Parent::Input => input.node(),
        Parent::Weight => node(&arrays.weight),
        Parent::Bias => node(&arrays.bias),
        Parent::MeanWeight => node(&arrays.mean_weight),
        Parent::VarWeight => node(&arrays.var_weight),
    });
    let arrays = Arrays {
        weight: inner(arrays.weight),
        bias: inner(arrays.bias),
        mean_weight: inner(arrays.mean_weight),
        var_weight: inner(arrays.var_weight),
        running_mean: inner(arrays.running_mean),
        running_var: inner(arrays.running_var),
    };
    match Norm.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(mut prepared) => {
            let checkpoint = prepared.checkpoint(&input);
            let forward = Forward { saves: true, ..forward };
            let outputs = B::norm_forward(input.into_primitive(), arrays.clone(), forward.clone());
            let saved = outputs.saved;
            let state = State { parents, input: checkpoint, arrays, saved, forward };
            let output = prepared.finish(state, outputs.output);
            finished(output, outputs.running_mean, outputs.running_var)
        }
        OpsKind::UnTracked(prepared) => {
            let outputs = B::norm_forward(input.into_primitive(), arrays, forward);
            finished(prepared.finish(outputs.output), outputs.running_mean, outputs.running_var)
        }
    }
}

fn inner<B: Backend, C: CheckpointStrategy>(given: Given<Autodiff<B, C>>) -> Given<B> {
    match given {
        Given::Tensor(tensor) => Given::Tensor(tensor.into_primitive()),
        Given::Nothing => Given::Nothing,
    }
}

/// Running statistics are of no graph.
fn finished<B: Backend, C: CheckpointStrategy>(
    output: FloatTensor<Autodiff<B, C>>,
    running_mean: Given<B>,
    running_var: Given<B>,
) -> Outputs<Autodiff<B, C>> {
    let outside = |given| match given {
        Given::Tensor(tensor) => Given::Tensor(<FloatTensor<Autodiff<B, C>>>::new(tensor)),
        Given::Nothing => Given::Nothing,
    };
    let saved = Saved { statistics: Given::Nothing, axes: Given::Nothing };
    Outputs { output, saved, running_mean: outside(running_mean), running_var: outside(running_var) }
}
