// The parameters of a unit's four elements where neighbours have neighbours.
fn weight_unit(i: u32) -> Values {
    return weight_quad(i);
}

fn bias_unit(i: u32) -> Values {
    return bias_quad(i);
}
