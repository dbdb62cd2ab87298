// Elements have weights of their own: the sums of a team's rows over each column are kept, for a combine.
fn keep_unit(chunk: u32, unit: u32, dy: Values, x: Values) {
    save_columns(params.partial_first + (chunk * params.units + unit) * WIDTH, dy, x);
}
