// Sums (sums.wgsl) of the neighbouring columns of a unit.

struct ColumnSums {
    dy: Values,
    x: Values,
    dy_rest: Values,
    x_rest: Values,
}

fn rest_of(a: Values, b: Values, sum: Values) -> Values {
    let b_part = sum - a;
    return (a - (sum - b_part)) + (b - b_part);
}

fn add_columns(a: ColumnSums, dy: Values, x: Values) -> ColumnSums {
    let by_dy = a.dy + dy;
    let by_x = a.x + x;
    return ColumnSums(by_dy, by_x, a.dy_rest + rest_of(a.dy, dy, by_dy), a.x_rest + rest_of(a.x, x, by_x));
}

fn save_columns(first: u32, dy: Values, x: Values) {
    for (var k = 0u; k < WIDTH; k++) {
        sums[first + k] = vec2(scalar(dy, k), scalar(x, k));
    }
}
