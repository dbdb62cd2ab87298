// Which parameter belongs to element `i` of `row`: (row mod period) * step + i / inner.
const PER_ROW = 0u;     // one for the whole row
const PER_UNIT = 1u;    // one for each unit
const PER_ELEMENT = 2u; // inner is 1: neighbours have neighbours
const MIXED = 3u;       // a unit may cross from one to the next
override AFFINE: u32 = 3u;

fn parameter_of(row: u32, i: u32) -> u32 {
    let base = (row % params.period) * params.step;
    if AFFINE == PER_ROW {
        return base;
    }
    if AFFINE == PER_ELEMENT {
        return base + i;
    }
    return base + i / params.inner;
}

fn normalize(value: f32, s: Statistics, row: u32, i: u32) -> f32 {
    let parameter = parameter_of(row, i);
    return ((value - s.shift) - s.mean) * (s.scale * weight_at(parameter)) + bias_at(parameter);
}

// The same for a unit whose first element is `i` of `row`, and which lies in that row whole.
fn normalize_unit(values: Values, s: Statistics, row: u32, i: u32) -> Values {
    let deviation = (values - splat(s.shift)) - splat(s.mean);
    if AFFINE == PER_ROW || AFFINE == PER_UNIT {
        let parameter = parameter_of(row, i);
        return mul(deviation, splat(s.scale * weight_at(parameter))) + splat(bias_at(parameter));
    }
    if AFFINE == PER_ELEMENT {
        let parameter = parameter_of(row, i);
        return mul(deviation, mul(splat(s.scale), weight_unit(parameter))) + bias_unit(parameter);
    }
    var weights: array<f32, WIDTH>;
    var biases: array<f32, WIDTH>;
    for (var k = 0u; k < WIDTH; k++) {
        let parameter = parameter_of(row, i + k);
        weights[k] = s.scale * weight_at(parameter);
        biases[k] = bias_at(parameter);
    }
    return mul(deviation, gather(weights)) + gather(biases);
}
