// A tensor is added to a result, and the sum goes through the activation.
@group(0) @binding(26) var<storage, read> add_after: array<Stored>;

fn finish(v: Values, i: u32) -> Values {
    let at = binding_index(i);
    return activate(v + unpack(unit_from(add_after[stored_index(at)], at)));
}
