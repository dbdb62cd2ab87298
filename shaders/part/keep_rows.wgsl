// A row has one weight: its sums are kept, for a combine.
fn keep_row(row: u32, sum: vec2<f32>) {
    sums[params.partial_first + row] = sum;
}

fn keep_unit(chunk: u32, unit: u32, dy: Values, x: Values) {}
