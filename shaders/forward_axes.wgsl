// Switchable norm's layer moments of each sample and batch moments of each channel, from the instance moments, so that
// x is read once for all three; and the shares that its weights give to each. Moves the running statistics.
//
// The first items are the samples, the next ones the channels (common/items.wgsl); team 0 writes the shares as well.
// The plan picks it between moments and apply.
// In bounds: `axes` has samples + channels + 2 entries, `moments` parts for each of samples * channels instances.

@group(0) @binding(10) var<storage, read_write> axes: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read> mean_weight: array<f32>;
@group(0) @binding(12) var<storage, read> var_weight: array<f32>;
override INSTANCE: bool = true;
override BATCH: bool = true;
override SOFTMAX: bool = true;
override BATCH_FROM_INPUT: bool = true;

// Shares in the order instance, layer, batch, and by how much their sum misses 1.
fn shares(given: vec3<f32>) -> vec4<f32> {
    if !SOFTMAX {
        return vec4(given, excess(given));
    }
    let on = vec3(select(0.0, 1.0, INSTANCE), 1.0, select(0.0, 1.0, BATCH));
    // A statistic that is off has the layer's logit, so that it cannot be the largest.
    let logits = select(vec3(given.y), given, on > vec3(0.5));
    let e = exp(logits - max(logits.x, max(logits.y, logits.z))) * on;
    return vec4(e / (e.x + e.y + e.z), 0.0);
}

// (x + y + z) - 1 without losing the digits that cancel: the rounding errors of each sum are added back (Knuth).
fn excess(w: vec3<f32>) -> f32 {
    let a = two_sum(-1.0, w.x);
    let b = two_sum(a.x, w.y);
    let c = two_sum(b.x, w.z);
    return c.x + ((a.y + b.y) + c.y);
}

@compute @workgroup_size(WORKGROUP)
fn forward_axes(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let item = item_of(team, lane, params.samples);
    let layer = !item.second;
    let live = item.number < select(params.rows - params.samples, params.samples, layer);
    let number = select(0u, item.number, live);
    let used = live && (layer || BATCH_FROM_INPUT);
    let end = select(0u, select(params.samples, params.channels, layer), used);

    var own = Moments(0.0, 0.0, 0.0, 0.0);
    for (var first = item.lane; first < end; first += CHAIN * item.stride) {
        var some = Moments(0.0, 0.0, 0.0, 0.0);
        for (var i = first; i < min(first + CHAIN * item.stride, end); i += item.stride) {
            let row = select(i * params.channels + number, number * params.channels + i, layer);
            some = merge(some, instance_moments(row));
        }
        own = merge(own, some);
    }
    let all = reduce_item(item, own, lane);
    if live && is_first_lane(item) {
        if layer {
            axes[number] = to_vec4(all);
        } else {
            track_running(number, all);
            axes[params.samples + number] = to_vec4(batch_moments(number, all));
        }
    }
    if team == 0u && lane == 0u {
        let layer_at = select(0u, 1u, INSTANCE);
        let batch_at = layer_at + select(0u, 1u, BATCH);
        let on = vec3(select(0.0, 1.0, INSTANCE), 1.0, select(0.0, 1.0, BATCH));
        let means = vec3(mean_weight[0], mean_weight[layer_at], mean_weight[batch_at]);
        let vars = vec3(var_weight[0], var_weight[layer_at], var_weight[batch_at]);
        axes[params.samples + params.channels] = shares(means * on);
        axes[params.samples + params.channels + 1u] = shares(vars * on);
    }
}
