// The gradients of the scale and the shift that modulate a layer, from those of the parameters that they were multiplied out
// into (forward_fold.wgsl):
//   dscale = weight * dfolded_weight + bias * dfolded_bias, dshift = dfolded_bias
//
// An invocation owns a parameter of a sample. The plan picks it when these are known.
// In bounds: `rows` are the parameters of all samples, sample_stride those of one.
@group(0) @binding(32) var<storage, read> folded_weight_gradient: array<f32>;
@group(0) @binding(33) var<storage, read> folded_bias_gradient: array<f32>;
@group(0) @binding(34) var<storage, read_write> scale_gradient: array<f32>;
@group(0) @binding(35) var<storage, read_write> shift_gradient: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn backward_modulation(builtins: Builtins) {
    let i = team_of(builtins);
    if i < params.rows {
        let own = parameter(i % params.sample_stride, i);
        scale_gradient[i] = weight_at(own) * folded_weight_gradient[i] + bias_at(own) * folded_bias_gradient[i];
        shift_gradient[i] = folded_bias_gradient[i];
    }
}
