// Sums (sums.wgsl) of the neighbouring columns of a unit.

struct ColumnSums {
    dy: Values,
    x: Values,
    dy_rest: Values,
    x_rest: Values,
}

// What rounding takes from a sum of a and b. Where b is the larger it is off by a rounding of b (Dekker), so that the errors
// of a long sum stay below a rounding of each of its terms, at half of what two_sum.wgsl costs.
fn rest_of(a: Values, b: Values, sum: Values) -> Values {
    return b - opaque_each(sum - a);
}

fn add_dy(a: ColumnSums, dy: Values) -> ColumnSums {
    let sum = opaque_each(a.dy + dy);
    return ColumnSums(sum, a.x, a.dy_rest + rest_of(a.dy, dy, sum), a.x_rest);
}

fn add_x(a: ColumnSums, x: Values) -> ColumnSums {
    let sum = opaque_each(a.x + x);
    return ColumnSums(a.dy, sum, a.dy_rest, a.x_rest + rest_of(a.x, x, sum));
}

fn save_columns(first: u32, dy: Values, x: Values) {
    for (var k = 0u; k < WIDTH; k++) {
        sums[first + k] = vec2(scalar(dy, k), scalar(x, k));
    }
}
