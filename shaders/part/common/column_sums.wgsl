// Sums (common/sums.wgsl) of the neighbouring columns of a unit.

struct ColumnSums {
    dy: Values,
    dy_x: Values,
    dy_error: Values,
    dy_x_error: Values,
}

// What rounding takes from a sum of a and b. Where b is the larger it is off by a rounding of b (Dekker), so that the
// errors of a long sum stay below a rounding of each of its terms, at half of what common/two_sum.wgsl costs.
fn rounding_error(a: Values, b: Values, sum: Values) -> Values {
    return b - opaque_each(sum - a);
}

fn add_dy(a: ColumnSums, dy: Values) -> ColumnSums {
    let sum = opaque_each(a.dy + dy);
    return ColumnSums(sum, a.dy_x, a.dy_error + rounding_error(a.dy, dy, sum), a.dy_x_error);
}

fn add_dy_x(a: ColumnSums, dy_x: Values) -> ColumnSums {
    let sum = opaque_each(a.dy_x + dy_x);
    return ColumnSums(a.dy, sum, a.dy_error, a.dy_x_error + rounding_error(a.dy_x, dy_x, sum));
}

override PARTS_OF_SAMPLES: bool = false; // chunks are parts of samples, whose columns each have sums of their own

// Where those of a chunk of rows lie among others. Of parts of samples, the first ones of all samples come first: what belongs to
// a column lies evenly apart, of each sample as of all.
fn place_of(chunk: u32) -> u32 {
    if PARTS_OF_SAMPLES {
        let chunks = params.sample_rows / params.segment_units;
        return chunk % chunks * (params.samples / params.sample_rows) + chunk / chunks;
    }
    return chunk;
}

fn store_column_sums(place: u32, unit: u32, dy: Values, dy_xhat: Values) {
    let first = params.partial_first + (place * params.units + unit) * WIDTH;
    for (var k = 0u; k < WIDTH; k++) {
        sums[first + k] = vec2(extract(dy, k), extract(dy_xhat, k));
    }
}
