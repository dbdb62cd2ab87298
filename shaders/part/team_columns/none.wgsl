// Columns have no parameters of their own.
fn keep_unit(chunk: u32, unit: u32, dy: Values, x: Values) {}
