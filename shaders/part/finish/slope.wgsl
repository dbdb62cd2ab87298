// A gradient goes back through the activation of what is computed again.
@group(0) @binding(27) var<storage, read> output_gradient: array<Stored>;

fn finish(v: Values, i: u32) -> Values {
    let at = gradient_index(i);
    return mul(unpack(unit_from(output_gradient[stored_index(at)], at)), slopes(v));
}
