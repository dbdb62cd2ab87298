// No weight, no bias.
fn own_weight(i: u32) -> f32 {
    return 1.0;
}

fn own_bias(i: u32) -> f32 {
    return 0.0;
}
