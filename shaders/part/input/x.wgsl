// What is normalized.
fn load_x(i: u32) -> Unit {
    return load_source(i);
}
