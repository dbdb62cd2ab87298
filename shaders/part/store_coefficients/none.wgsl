// Running statistics are constants, and what they need of a set is nothing.
const SETS = false;

fn put_set(row: u32, sums: vec2<f32>) {}
