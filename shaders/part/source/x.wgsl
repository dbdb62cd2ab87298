// What a kernel reads of the input is in x.
@group(0) @binding(0) var<storage, read> x: array<Stored>;

fn load_source(i: u32) -> Unit {
    let at = input_index(i);
    return unit_from(x[stored_index(at)], at);
}
