// A tile: the UNITS units per lane of a row that are in registers together.
override CENTERED: bool = true; // false for RMS norm, whose mean square is about 0

// Reads units first + lane, first + lane + LANES, .. below end into registers.
fn read_tile(held: ptr<function, array<Unit, UNITS>>, row: u32, first: u32, end: u32) {
    var at = walk(row, first);
    for (var k = 0u; k < UNITS; k++) {
        if FULL || first + k * lanes() < end {
            (*held)[k] = load_x(address(at));
        }
        at = next(at);
    }
}

// This lane's moments with those of a tile, from two passes over registers: the mean, then the squared distances from
// it.
fn merge_tile(own: Moments, held: ptr<function, array<Unit, UNITS>>, first: u32, end: u32) -> Moments {
    // The first shift is the first element.
    let fresh = CENTERED && own.count == 0.0;
    let shift = opaque(select(own.shift, extract_first(unpack((*held)[0])), fresh));
    var count = 0u;
    var sum = splat(0.0);
    for (var k = 0u; k < UNITS; k++) {
        if FULL || first + k * lanes() < end {
            if CENTERED {
                sum += from_shift(unpack((*held)[k]), splat(shift));
            }
            count += WIDTH;
        }
    }
    let n = f32(count);
    let average = total(sum) / max(n, 1.0);
    // A sum that overflows has terms whose squares do: with any mean m2 is infinite.
    let mean = recentered(shift, select(0.0, average, CENTERED && is_finite(average)));
    var squares = splat(0.0);
    for (var k = 0u; k < UNITS; k++) {
        if FULL || first + k * lanes() < end {
            var from_mean = unpack((*held)[k]);
            if CENTERED {
                from_mean -= splat(mean.x);
            }
            squares += mul(from_mean, from_mean);
        }
    }
    // What rounding takes from the mean adds its square to each; all values are further from the mean than that, and if
    // it is infinite, so are theirs.
    let extra = n * (mean.y * mean.y);
    return merge(own, Moments(n, mean.x, mean.y, total(squares) - select(0.0, extra, is_finite(extra))));
}

// Squares that f32 has no room for leave an infinite m2, which will be an output of `bias`; but it is NaN if an element
// is no number itself. This lane's units are read again to find out.
fn propagate_nan(own: Moments, row: u32, first: u32, end: u32) -> Moments {
    var m = own;
    let stop = select(end, first, !CENTERED || is_finite(own.m2));
    var at = walk(row, first);
    for (var i = first; i < stop; i += lanes()) {
        let v = unpack(load_x(address(at)));
        m.m2 += total(opaque_each(v) - v);
        at = next(at);
    }
    return m;
}
