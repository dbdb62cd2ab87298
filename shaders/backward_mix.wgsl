// What dx needs of each instance of a switchable norm, from how the loss changes with the statistics of the instance,
// its sample and its channel; and the gradients of the mixing weights, through the softmax.
//
// With w and u the shares of means and variances, S, C and N the sizes, and M, V = -dL/dmean, -2 dL/dvar:
//   rstd * rstd * of_xhat = -(u0 V + u1 sum_c V / C + u2 sum_n V / N) / S
//   rstd * constant = -(w0 M + w1 sum_c M / C + w2 sum_n M / N
//                + u1 sum_c V / C (mean - mean_layer) + u2 sum_n V / N (mean - mean_batch)) / S
//
// The first items are the instances, a lane's each; the last one is the weights (common/items.wgsl). The plan picks it
// between axes and apply.
// In bounds: `coefficients` has an entry for each of params.rows instances; the rest as backward_axes.
@group(0) @binding(16) var<storage, read_write> coefficients: array<Coefficients>;
@group(0) @binding(19) var<storage, read> axis_gradients: array<vec4<f32>>;
@group(0) @binding(20) var<storage, read_write> mean_weight_gradient: array<f32>;
@group(0) @binding(21) var<storage, read_write> var_weight_gradient: array<f32>;
override INSTANCE: bool = true;
override SOFTMAX: bool = true;
override BATCH_FROM_INPUT: bool = true;
override ACCUMULATE: bool = false; // add to what is there

fn instance_coefficients(row: u32) -> Coefficients {
    let s = statistics_for(row);
    let sample = row / params.channels;
    let channel = row % params.channels;
    let own = instance_gradients(row, s);
    let mean_share = axes[params.samples + params.channels];
    let var_share = axes[params.samples + params.channels + 1u];
    let m = instance_moments(row);

    let layer = axis(sample);
    let by_layer = axis_gradients[sample] / f32(params.channels);
    let layer_var = var_share.y * by_layer.y * params.layer_scale;
    var by_mean = mean_share.x * own.x + mean_share.y * by_layer.x
        + mul_or_zero(layer_var, opaque(m.shift - layer.shift) + (m.mean - layer.mean));
    var by_var = var_share.x * own.y + layer_var;
    if BATCH && BATCH_FROM_INPUT {
        let batch = axis(params.samples + channel);
        let by_batch = axis_gradients[params.samples + channel] / f32(params.samples);
        let batch_var = var_share.z * by_batch.y * params.batch_scale;
        by_mean += mean_share.z * by_batch.x
            + mul_or_zero(batch_var, opaque(m.shift - batch.shift) + (m.mean - batch.mean));
        by_var += batch_var;
    }
    if s.rstd == 0.0 {
        return Coefficients(s.shift, s.mean, 0.0, 0.0, 0.0);
    }
    let share = 1.0 / (s.rstd * f32(params.row_len));
    return Coefficients(m.shift, m.mean, s.rstd, -by_var * params.instance_scale * share / s.rstd, -by_mean * share);
}

fn differences(one: f32, all: vec3<f32>) -> vec3<f32> {
    return vec3(opaque(one - all.x), opaque(one - all.y), opaque(one - all.z));
}

// From the loss's change with each share to its change with each weight.
fn weight_gradients(raw: vec3<f32>, share: vec4<f32>) -> vec3<f32> {
    if !SOFTMAX {
        return raw;
    }
    // Pair by pair: of a share close to 1, all but little cancels.
    let w = share.xyz;
    return w * vec3(dot(w, differences(raw.x, raw)), dot(w, differences(raw.y, raw)), dot(w, differences(raw.z, raw)));
}

fn store_weight_gradients(by_mean: vec3<f32>, by_var: vec3<f32>) {
    var place = 0u;
    for (var k = 0u; k < 3u; k++) {
        if (k == 0u && !INSTANCE) || (k == 2u && !BATCH) {
            continue;
        }
        if ACCUMULATE {
            mean_weight_gradient[place] += by_mean[k];
            var_weight_gradient[place] += by_var[k];
        } else {
            mean_weight_gradient[place] = by_mean[k];
            var_weight_gradient[place] = by_var[k];
        }
        place++;
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward_mix(builtins: Builtins) {
    let lane = lane_of(builtins);
    let item = item_of(team_of(builtins), lane, params.rows);
    if !item.second && item.number < params.rows {
        coefficients[item.number] = instance_coefficients(item.number);
    }

    let of_weights = item.second && item.number == 0u;
    let end = select(0u, params.samples, of_weights);
    var by_instance = Sums();
    var by_layer = Sums();
    var by_batch = Sums();
    for (var i = lane; i < end; i += lanes()) {
        let at = params.samples + params.channels + 2u * i;
        let mean = axis_gradients[at];
        let v = axis_gradients[at + 1u];
        by_instance = add(by_instance, mean.x, v.x);
        by_layer = add(by_layer, mean.y, v.y);
        by_batch = add(by_batch, mean.z, v.z);
    }
    let instance = compensated(reduce(by_instance, lane));
    team_barrier();
    let layer = compensated(reduce(by_layer, lane));
    team_barrier();
    let batch = compensated(reduce(by_batch, lane));
    if of_weights && lane == 0u {
        let mean_share = axes[params.samples + params.channels];
        let var_share = axes[params.samples + params.channels + 1u];
        let by_mean = -vec3(instance.x, layer.x, batch.x);
        let by_var = -0.5 * vec3(instance.y, layer.y, batch.y);
        store_weight_gradients(weight_gradients(by_mean, mean_share), weight_gradients(by_var, var_share));
    }
}
