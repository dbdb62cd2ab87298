// The gradient of a value that was added to a whole plane: the sum of dx over it, from the moments of its segments.
//
// An invocation owns a plane. The plan picks it as last step, after the moments of dx.
// In bounds: `rows` planes have `parts` moments each.
@group(0) @binding(36) var<storage, read_write> add_before_gradient: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn backward_addend(builtins: Builtins) {
    let plane = team_of(builtins);
    let parts = select(0u, params.parts, plane < params.rows);
    var own = Sums();
    for (var part = 0u; part < parts; part++) {
        let m = moments[plane * params.parts + part];
        own = add(own, m.count * m.shift, m.count * m.mean);
    }
    if plane < params.rows {
        let all = compensated(own);
        add_before_gradient[plane] = all.x + all.y;
    }
}
