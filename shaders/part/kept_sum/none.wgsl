// What is normalized is not kept.
fn keep(i: u32, unit: Unit) {}
