// A tile: the HELD units per lane of a row that are in registers together.
override CENTERED: bool = true; // false for RMS norm, whose mean square is about 0

// As walk, past the edge that a row may have.
fn walk_whole(row: u32, i: u32) -> Walk {
    if SHARED_UNITS {
        return Walk(first_whole_unit(row), i);
    }
    return walk(row, i);
}

// Reads units first + lane, first + lane + LANES, .. below end into registers.
fn read_tile(held: ptr<function, array<Unit, UNITS>>, row: u32, first: u32, end: u32) {
    var at = walk_whole(row, first);
    for (var k = 0u; k < HELD; k++) {
        if FULL || first + k * lanes() < end {
            (*held)[k] = load_x(address(at));
            keep(address(at), (*held)[k]);
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
    for (var k = 0u; k < HELD; k++) {
        if FULL || first + k * lanes() < end {
            if CENTERED {
                sum += from_shift(unpack((*held)[k]), splat(shift));
            }
            count += WIDTH;
        }
    }
    let n = f32(count);
    let mean = mean_of(shift, total(sum), n);
    var squares = splat(0.0);
    for (var k = 0u; k < HELD; k++) {
        if FULL || first + k * lanes() < end {
            var from_mean = unpack((*held)[k]);
            if CENTERED {
                from_mean -= splat(mean.x);
            }
            squares += mul(from_mean, from_mean);
        }
    }
    return merge(own, moments_around(mean, n, total(squares)));
}

// From a sum of distances from the shift.
fn mean_of(shift: f32, sum: f32, n: f32) -> vec2<f32> {
    let average = sum / max(n, 1.0);
    // A sum that overflows has terms whose squares do: with any mean m2 is infinite.
    return recentered(shift, select(0.0, average, CENTERED && is_finite(average)));
}

// From squared distances from the mean. What rounding takes from it adds its square to each; all values are further from
// the mean than that, and if it is infinite, so are theirs.
fn moments_around(mean: vec2<f32>, n: f32, squares: f32) -> Moments {
    let extra = n * (mean.y * mean.y);
    return Moments(n, mean.x, mean.y, squares - select(0.0, extra, is_finite(extra)));
}

// The moments of a row's edges (common/edges.wgsl), as of a tile, with what propagate_nan adds.
fn edge_moments(edges: Edges) -> Moments {
    let first = unpack(load_x(edges.first));
    let last = unpack(load_x(edges.last));
    let own = select(extract_first(last), extract(first, WIDTH - 1u), edges.begin > 0u);
    let shift = opaque(select(0.0, own, CENTERED));
    let n = f32((WIDTH - edges.begin) % WIDTH + edges.end);
    let sum = first_edge(from_shift(first, splat(shift)), edges) + last_edge(from_shift(last, splat(shift)), edges);
    let mean = mean_of(shift, total(sum), n);
    let from_first = first - splat(mean.x);
    let from_last = last - splat(mean.x);
    let squares = first_edge(mul(from_first, from_first), edges) + last_edge(mul(from_last, from_last), edges);
    let nan = first_edge(opaque_each(first) - first, edges) + last_edge(opaque_each(last) - last, edges);
    return moments_around(mean, n, total(squares) + total(nan));
}

// Squares that f32 has no room for leave an infinite m2, which will be an output of `bias`; but it is NaN if an element
// is no number itself. This lane's units are read again to find out.
fn propagate_nan(own: Moments, row: u32, first: u32, end: u32) -> Moments {
    var m = own;
    let stop = select(end, first, !CENTERED || is_finite(own.m2));
    var at = walk_whole(row, first);
    for (var i = first; i < stop; i += lanes()) {
        let v = unpack(load_x(address(at)));
        m.m2 += total(opaque_each(v) - v);
        at = next(at);
    }
    return m;
}
