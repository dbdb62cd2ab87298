// The parameters of a unit's four elements where neighbours have neighbours.
fn weight_unit(i: Parameter) -> Values {
    return weight_quad(i);
}

fn bias_unit(i: Parameter) -> Values {
    return bias_quad(i);
}
