// A layer's parameters, multiplied out with each sample's scale and shift: what a modulated layer's backward takes for its
// parameters.
//   folded_weight = weight * scale, folded_bias = bias * scale + shift
//
// An invocation owns a parameter of a sample. The plan picks it as the last step of a modulated forward that saves.
// In bounds: `rows` are the parameters of all samples, sample_stride those of one.
@group(0) @binding(29) var<storage, read_write> folded_weight: array<f32>;
@group(0) @binding(30) var<storage, read_write> folded_bias: array<f32>;
@group(0) @binding(31) var<storage, read_write> folded_scale: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward_fold(builtins: Builtins) {
    let i = team_of(builtins);
    if i < params.rows {
        let own = parameter(i % params.sample_stride, i);
        folded_weight[i] = weight_at(own);
        folded_bias[i] = bias_at(own);
        folded_scale[i] = scale_at(i);
    }
}
