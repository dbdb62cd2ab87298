// Switchable norm: an instance's statistics mixed from its own, its sample's and its channel's (common/axes.wgsl).
fn statistics_for(row: u32) -> Statistics {
    let instance = instance_moments(row);
    let layer = axis(row / params.channels);
    let mean_share = axes[params.samples + params.channels];
    let var_share = axes[params.samples + params.channels + 1u];
    // Means relative to the instance's shift; .w is by how much the shares miss 1, times which the shift itself enters.
    var mean = mean_share.x * instance.mean
        + mean_share.y * (opaque(layer.shift - instance.shift) + layer.mean)
        + mean_share.w * instance.shift;
    var v = var_share.x * variance(instance) + var_share.y * (variance(layer) * params.layer_scale);
    // A share of what is infinite may be nothing of it; the sum of them tells.
    var sum = variance(instance) + variance(layer);
    if BATCH {
        let batch = axis(params.samples + row % params.channels);
        mean += mean_share.z * (opaque(batch.shift - instance.shift) + batch.mean);
        v += var_share.z * (variance(batch) * params.batch_scale);
        sum += variance(batch);
    }
    return statistics_around(opaque(instance.shift), mean, select(sum, v, is_finite(sum)));
}
