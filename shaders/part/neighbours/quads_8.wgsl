// The parameters of a unit's eight elements where neighbours have neighbours.
fn weight_unit(i: Parameter) -> Values {
    return Values(weight_quad(i), weight_quad(i + Parameter(4u)));
}

fn bias_unit(i: Parameter) -> Values {
    return Values(bias_quad(i), bias_quad(i + Parameter(4u)));
}
