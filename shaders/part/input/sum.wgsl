// What is normalized is a sum, rounded as it would be stored.
@group(0) @binding(22) var<storage, read> add_before: array<Stored>;
override BY_CHANNEL: bool = false; // one value of it for each plane of params.plane_len elements
override CHANNELS_LAST: bool = false; // params.interleaved planes lie in params.plane_len lines
override WHOLE_UNITS: bool = true; // a unit is of one plane, or of neighbouring ones of one line; else it is of two elements, or of one

fn load_addend(i: u32) -> Values {
    return unpack(unit_from(add_before[stored_index(i)], i));
}

// The plane of an element.
fn plane_of(element: u32) -> u32 {
    if CHANNELS_LAST {
        let line = element / params.interleaved;
        return line / params.plane_len * params.interleaved + element % params.interleaved;
    }
    return element / params.plane_len;
}

fn of_plane(plane: u32) -> f32 {
    return extract(load_addend(plane / WIDTH), plane % WIDTH);
}

fn addend(i: u32) -> Values {
    if !BY_CHANNEL {
        return load_addend(binding_index(i));
    }
    let element = params.first_element + i * WIDTH;
    if WHOLE_UNITS {
        if CHANNELS_LAST {
            return load_addend(plane_of(element) / WIDTH);
        }
        return splat(of_plane(plane_of(element)));
    }
    var values: array<f32, WIDTH>;
    values[0] = of_plane(plane_of(element));
    values[WIDTH - 1u] = of_plane(plane_of(element + WIDTH - 1u));
    return from_array(values);
}

fn load_x(i: u32) -> Unit {
    return pack(unpack(load_source(i)) + addend(i));
}
