// A gradient goes back through the activation of what is computed again, a tensor that is added among it.
@group(0) @binding(26) var<storage, read> add_after: array<Stored>;
@group(0) @binding(27) var<storage, read> output_gradient: array<Stored>;

fn finish(v: Values, i: u32) -> Values {
    let at = binding_index(i);
    let r = v + unpack(unit_from(add_after[stored_index(at)], at));
    let own = gradient_index(i);
    return mul(unpack(unit_from(output_gradient[stored_index(own)], own)), slopes(r));
}
