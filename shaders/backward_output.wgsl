// dr = dy * activation'(r), the gradient of what goes into the activation: r is the layer's output with all that follows it, and
// computed again. It is the gradient of a tensor that was added after the layer, too.
//
// A team owns a stretch of neighbouring units (common/for_each_unit.wgsl). The plan picks it as the first step of a
// backward, whose other kernels take dr as dy.
// In bounds: as forward_apply.

@compute @workgroup_size(WORKGROUP)
fn backward_output(builtins: Builtins) {
    for_each_unit(builtins);
}
