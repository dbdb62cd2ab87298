// How a switchable norm's loss changes with the mixed means and variances of the instances
// (common/instance_gradients.wgsl), summed over each sample and each channel; times the statistics that are mixed,
// which is how it changes with the shares; and the gradients of weight and bias.
//
// The first items are the samples, the next ones the channels (common/items.wgsl). The plan picks it between sums and
// mix.
// In bounds: `axis_gradients` has 3 * samples + channels entries; `sums` and `moments` parts for each of the instances.
@group(0) @binding(19) var<storage, read_write> axis_gradients: array<vec4<f32>>;
override SOFTMAX: bool = true;

@compute @workgroup_size(WORKGROUP)
fn backward_axes(builtins: Builtins) {
    let lane = lane_of(builtins);
    let item = item_of(team_of(builtins), lane, params.samples);
    let layer = !item.second;
    let live = item.number < select(params.channels, params.samples, layer);
    let number = select(0u, item.number, live);
    let end = select(0u, select(params.samples, params.channels, layer), live);

    var through = Sums();
    var parameters = Sums();
    var by_instance = Sums();
    var by_layer = Sums();
    var by_batch = Sums();
    for (var i = item.lane; i < end; i += item.stride) {
        let row = select(i * params.channels + number, number * params.channels + i, layer);
        let own = instance_gradients(row, statistics_for(row));
        through = add(through, own.x, own.y);
        if layer {
            let m = instance_moments(row);
            let sample = axis(number);
            // Through a softmax only differences of means count: relative to the instance's, so that a large one costs
            // no digits.
            let origin = select(0.0, m.shift, SOFTMAX);
            by_instance = add(
                by_instance,
                mul_or_zero(own.x, opaque(m.shift - origin) + m.mean),
                mul_or_zero(own.y, variance(m)),
            );
            let layer_mean = opaque(sample.shift - origin) + sample.mean;
            by_layer = add(
                by_layer,
                mul_or_zero(own.x, layer_mean),
                mul_or_zero(own.y, variance(sample) * params.layer_scale),
            );
            if BATCH {
                let batch = axis(params.samples + i);
                let batch_mean = opaque(batch.shift - origin) + batch.mean;
                by_batch = add(
                    by_batch,
                    mul_or_zero(own.x, batch_mean),
                    mul_or_zero(own.y, variance(batch) * params.batch_scale),
                );
            }
        } else {
            parameters = merge_partials(parameters, instance_sums(row));
        }
    }
    let sum = compensated(reduce_item(item, through, lane));
    team_barrier();
    let parameter = compensated(reduce_item(item, parameters, lane));
    team_barrier();
    let instance = compensated(reduce_item(item, by_instance, lane));
    team_barrier();
    let sample = compensated(reduce_item(item, by_layer, lane));
    team_barrier();
    let batch = compensated(reduce_item(item, by_batch, lane));
    if live && is_first_lane(item) {
        axis_gradients[select(params.samples, 0u, layer) + number] = vec4(sum, 0.0, 0.0);
        if layer {
            let shares = params.samples + params.channels + 2u * number;
            axis_gradients[shares] = vec4(instance.x, sample.x, batch.x, 0.0);
            axis_gradients[shares + 1u] = vec4(instance.y, sample.y, batch.y, 0.0);
        } else {
            store_gradients(number, parameter);
        }
    }
}
