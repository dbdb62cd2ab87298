// What is normalized is a sum, rounded as it would be stored.
@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(22) var<storage, read> add_before: array<Stored>;
override BY_CHANNEL: bool = false; // one value of it for each plane of params.plane_len elements
override ONE_PLANE: bool = true; // a unit lies in one; else it is of two elements, or of one

// What is added to all elements of the plane of element `i`.
fn of_plane(i: u32) -> f32 {
    let plane = (params.first_element + i) / params.plane_len;
    return extract(unpack(unit_from(add_before[stored_index(plane / WIDTH)], plane / WIDTH)), plane % WIDTH);
}

fn addend(i: u32) -> Values {
    if BY_CHANNEL {
        if ONE_PLANE {
            return splat(of_plane(i * WIDTH));
        }
        var values: array<f32, WIDTH>;
        values[0] = of_plane(i * WIDTH);
        values[WIDTH - 1u] = of_plane(i * WIDTH + WIDTH - 1u);
        return from_array(values);
    }
    let at = binding_index(i);
    return unpack(unit_from(add_before[stored_index(at)], at));
}

fn load_x(i: u32) -> Unit {
    let at = binding_index(i);
    return pack(unpack(unit_from(x[stored_index(at)], at)) + addend(i));
}
