// What is normalized.
fn load_x(i: u32) -> Unit {
    return load_source(i);
}

fn addend_of_column(first: u32) -> Values {
    return splat(0.0);
}

fn load_x_of_column(i: u32, addend: Values) -> Unit {
    return load_source(i);
}
