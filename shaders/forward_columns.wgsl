// The moments of batch norm's columns, the values of one channel and position over the samples, where the spatial sizes
// are too small for a channel's own rows to be read in whole units.
//
// An invocation owns a unit of neighbouring columns in one chunk of samples. The plan picks it, before a combine that
// merges the chunks and positions of each channel.
// In bounds: columns stay below params.units, samples below params.samples; the plan sizes `moments` to all columns
// times params.segments chunks.

@compute @workgroup_size(WORKGROUP)
fn forward_columns(builtins: Builtins) {
    let team = team_of(builtins);
    let live = team < params.rows * params.segments;
    let column = select(0u, team % params.rows, live);
    let chunk = select(0u, team / params.rows, live);
    let begin = chunk * params.segment_units;
    let end = select(0u, min(begin + params.segment_units, params.samples), live);

    // As moments.wgsl's merge, for a whole unit: the same counts, shifts that move to the mean.
    var count = 0.0;
    var shift = unpack(load(column));
    var mean = splat(0.0);
    var m2 = splat(0.0);
    for (var t = 0u; t < params.tiles; t++) {
        let first = begin + t * UNITS;
        var held: array<Unit, UNITS>;
        var n = 0.0;
        var sum = splat(0.0);
        for (var k = 0u; k < UNITS; k++) {
            if first + k < end {
                held[k] = load((first + k) * params.rows + column);
                sum += unpack(held[k]) - shift;
                n += 1.0;
            }
        }
        let own = sum * (1.0 / max(n, 1.0));
        var squares = splat(0.0);
        for (var k = 0u; k < UNITS; k++) {
            if first + k < end {
                let deviation = (unpack(held[k]) - shift) - own;
                squares += mul(deviation, deviation);
            }
        }
        let share = n / max(count + n, 1.0);
        let delta = own - mean;
        m2 += squares + mul(delta, delta) * (count * share);
        let merged = mean + delta * share;
        let moved = shift + merged;
        mean = (shift - moved) + merged;
        shift = moved;
        count += n;
    }
    if live {
        for (var k = 0u; k < WIDTH; k++) {
            let m = Moments(count, scalar(shift, k), scalar(mean, k), scalar(m2, k));
            moments[(chunk * params.rows + column) * WIDTH + k] = m;
        }
    }
}
