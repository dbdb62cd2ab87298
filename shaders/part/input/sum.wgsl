// What is normalized is a sum, rounded as it would be stored.
override BY_CHANNEL: bool = false; // one value of it for each plane of params.plane_len elements
override CHANNELS_LAST: bool = false; // params.interleaved planes lie in params.plane_len lines
override COLUMNS_OF_SAMPLES: bool = false; // BY_CHANNEL, and a column (common/columns.wgsl) is one plane
override WHOLE_UNITS: bool = true; // a unit is of one plane, or of neighbouring ones of one line; else it is of two elements, or of one

fn load_addend(i: u32) -> Values {
    return unpack(unit_from(add_before[stored_index(i)], i));
}

// n / params.plane_len, without a division, which is dear on software adapters: Granlund & Montgomery 1994, figure 4.1.
fn planes_before(n: u32) -> u32 {
    let high = high_product(n, params.plane_multiplier);
    return (high + ((n - high) >> min(params.plane_bits, 1u))) >> (max(params.plane_bits, 1u) - 1u);
}

// The upper half of a product.
fn high_product(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let first = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let second = (a & 0xffffu) * (b >> 16u) + (first & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u);
}

// The plane of an element.
fn plane_of(element: u32) -> u32 {
    if CHANNELS_LAST {
        let line = element / params.interleaved;
        return planes_before(line) * params.interleaved + element % params.interleaved;
    }
    return planes_before(element);
}

fn addend_at(i: u32) -> Values {
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
    return pack(unpack(load_source(i)) + addend_at(i));
}

// Of a column's elements, of which `first` is one: the same for all if a column is of one sample.
fn addend_of_column(first: u32) -> Values {
    if COLUMNS_OF_SAMPLES {
        return addend_at(first);
    }
    return splat(0.0);
}

fn load_x_of_column(i: u32, addend: Values) -> Unit {
    if COLUMNS_OF_SAMPLES {
        return pack(unpack(load_source(i)) + addend);
    }
    return load_x(i);
}
