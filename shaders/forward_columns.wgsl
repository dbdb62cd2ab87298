// The moments of columns, where a row's values lie scattered: of batch norm the values of one channel and position over the
// samples, else those of a plane that interleaves with others (common/columns.wgsl).
//
// An invocation owns a block of columns in one chunk of lines. The plan picks it, before a combine that merges the chunks, of
// batch norm also the positions of each channel, of group norm the channels of each group.
// In bounds: columns stay below params.units, lines below those of the bound samples; the plan sizes `moments` to all columns
// times the chunks of all slices, of which this one's begin at params.partial_first.
override CENTERED: bool = true; // false for RMS norm, whose mean square is about 0

@compute @workgroup_size(WORKGROUP)
fn forward_columns(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var column = block.column; column < block.column_end; column++) {
        let addend = addend_of_column(block.line * params.units + column);
        // As common/moments.wgsl's merge, for a whole unit: the same counts, shifts that move to the mean.
        var count = 0.0;
        var shift = splat(0.0);
        if CENTERED {
            shift = opaque_each(unpack(load_x_of_column(block.line * params.units + column, addend)));
        }
        var mean = splat(0.0);
        var m2 = splat(0.0);
        for (var line = block.line; line < block.line_end; line += UNITS) {
            var held: array<Unit, UNITS>;
            var n = 0.0;
            var sum = splat(0.0);
            for (var k = 0u; k < UNITS; k++) {
                if FULL || line + k < block.line_end {
                    held[k] = load_x_of_column((line + k) * params.units + column, addend);
                    if CENTERED {
                        sum += from_shift(unpack(held[k]), shift);
                    }
                    n += 1.0;
                }
            }
            // As in a tile (common/tile.wgsl).
            let own = finite_or_zero(sum * (1.0 / n));
            let center = opaque_each(shift + own);
            let rest = opaque_each(shift - center) + own;
            var squares = splat(0.0);
            for (var k = 0u; k < UNITS; k++) {
                if FULL || line + k < block.line_end {
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
        // As common/tile.wgsl's propagate_nan.
        let stop = select(block.line_end, block.line, !CENTERED || is_finite(total(m2)));
        for (var line = block.line; line < stop; line++) {
            let v = unpack(load_x_of_column(line * params.units + column, addend));
            m2 += opaque_each(v) - v;
        }
        for (var k = 0u; k < WIDTH; k++) {
            let m = Moments(count, extract(shift, k), extract(mean, k), extract(m2, k));
            moments[partial_at(block, column * WIDTH + k)] = m;
        }
    }
}
