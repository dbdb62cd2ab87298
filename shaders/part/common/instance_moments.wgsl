// The moments of instance row `row`, merged from its partial ones, in the estimator that switchable norm asks for.
override ONE_PART: bool = false; // params.parts is 1, and there is nothing to merge

fn instance_moments(row: u32) -> Moments {
    var m = moments[row * params.parts];
    if !ONE_PART {
        for (var part = 1u; part < params.parts; part++) {
            m = merge(m, moments[row * params.parts + part]);
        }
    }
    m.m2 *= params.instance_scale;
    return m;
}
