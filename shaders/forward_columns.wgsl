// The moments of batch norm's columns, the values of one channel and position over the samples, where the spatial sizes
// are too small for a channel's own rows to be read in whole units.
//
// An invocation owns a block of columns in one chunk of samples (common/columns.wgsl). The plan picks it, before a
// combine that merges the chunks and positions of each channel.
// In bounds: columns stay below params.units, samples below params.samples; the plan sizes `moments` to all columns
// times the chunks of all slices, of which this one's begin at params.partial_first.

@compute @workgroup_size(WORKGROUP)
fn forward_columns(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var column = block.column; column < block.column_end; column++) {
        // As common/moments.wgsl's merge, for a whole unit: the same counts, shifts that move to the mean.
        var count = 0.0;
        var shift = opaque_each(unpack(load_x(block.sample * params.units + column)));
        var mean = splat(0.0);
        var m2 = splat(0.0);
        for (var sample = block.sample; sample < block.sample_end; sample += UNITS) {
            var held: array<Unit, UNITS>;
            var n = 0.0;
            var sum = splat(0.0);
            for (var k = 0u; k < UNITS; k++) {
                if FULL || sample + k < block.sample_end {
                    held[k] = load_x((sample + k) * params.units + column);
                    sum += from_shift(unpack(held[k]), shift);
                    n += 1.0;
                }
            }
            // As in a tile (common/tile.wgsl).
            let own = finite_or_zero(sum * (1.0 / n));
            let center = opaque_each(shift + own);
            let rest = opaque_each(shift - center) + own;
            var squares = splat(0.0);
            for (var k = 0u; k < UNITS; k++) {
                if FULL || sample + k < block.sample_end {
                    let from_mean = unpack(held[k]) - center;
                    squares += mul(from_mean, from_mean);
                }
            }
            squares -= finite_or_zero(mul(rest, rest) * n);
            let share = n / (count + n);
            let delta = own - mean;
            m2 += squares + mul(opaque_each(delta * (count * share)), delta); // 0 before there is a count, whatever delta
            let merged = mean + delta * share;
            let moved = opaque_each(shift + merged);
            mean = opaque_each(shift - moved) + merged;
            shift = moved;
            count += n;
        }
        // As common/tile.wgsl's checked.
        let stop = select(block.sample_end, block.sample, is_finite(total(m2)));
        for (var sample = block.sample; sample < stop; sample++) {
            let v = unpack(load_x(sample * params.units + column));
            m2 += opaque_each(v) - v;
        }
        for (var k = 0u; k < WIDTH; k++) {
            let m = Moments(count, extract(shift, k), extract(mean, k), extract(m2, k));
            moments[params.partial_first + (block.chunk * params.units + column) * WIDTH + k] = m;
        }
    }
}
