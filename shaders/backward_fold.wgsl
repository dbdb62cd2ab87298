// The gradients of a modulated layer's weight and bias, from those of the parameters that they were multiplied out into
// (forward_fold.wgsl):
//   dweight = sum over samples of scale * dfolded_weight, dbias = sum of scale * dfolded_bias
//
// A team owns a parameter. The plan picks it when these are known.
// In bounds: `rows` are the parameters of the layer, which each of `samples` has.
@group(0) @binding(31) var<storage, read> folded_scale: array<f32>;
@group(0) @binding(32) var<storage, read> folded_weight_gradient: array<f32>;
@group(0) @binding(33) var<storage, read> folded_bias_gradient: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn backward_fold(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let live = team < params.rows;
    let own = select(0u, team, live);
    let end = select(0u, params.samples, live);

    var sums = Sums();
    for (var sample = lane; sample < end; sample += lanes()) {
        let i = sample * params.rows + own;
        sums = add(sums, folded_scale[i] * folded_bias_gradient[i], folded_scale[i] * folded_weight_gradient[i]);
    }
    let all = compensated(reduce(sums, lane));
    if live && lane == 0u {
        store_gradients(own, all);
    }
}
