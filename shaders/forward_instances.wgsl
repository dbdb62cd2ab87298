// Instance norm with running statistics: mean and 1 / sqrt(var + eps) of each instance, and per channel the average
// over the batch of the instances' means and unbiased variances, which the running statistics follow.
//
// A team owns a channel. The plan picks it after row (whose statistics it only tracks) or between moments and apply.
// In bounds: the plan sizes `moments` and `statistics` to samples * channels instances.

@compute @workgroup_size(WORKGROUP)
fn forward_instances(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let live = team < params.channels;
    let channel = select(0u, team, live);
    let end = select(0u, params.samples, live);

    // Averages, as the means of single values: of the instances' means, and of their variances.
    var means = Moments(0.0, 0.0, 0.0, 0.0);
    var variances = Moments(0.0, 0.0, 0.0, 0.0);
    for (var sample = lane; sample < end; sample += lanes()) {
        let row = sample * params.channels + channel;
        let m = instance_moments(row);
        statistics[row] = statistics_of(m);
        means = merge(means, Moments(1.0, m.shift, m.mean, 0.0));
        // What f32 has no room for counts as the most that it has.
        let v = variance(m);
        variances = merge(variances, Moments(1.0, select(v, 3.4028234e38, v > 3.4028234e38), 0.0, 0.0));
    }
    let mean = reduce(means, lane);
    team_barrier();
    let unbiased = reduce(variances, lane);
    if live && lane == 0u {
        let v = (unbiased.shift + unbiased.mean) * params.unbias;
        update_running(channel, mean.shift + mean.mean, v, params.momentum);
    }
}
