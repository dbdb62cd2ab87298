// The moments of instance row `row`, merged from its partial ones, in the estimator that switchable norm asks for.
fn instance_moments(row: u32) -> Moments {
    var m = moments[row * params.parts];
    for (var part = 1u; part < params.parts; part++) {
        m = merge(m, moments[row * params.parts + part]);
    }
    m.m2 *= params.instance_scale;
    return m;
}
