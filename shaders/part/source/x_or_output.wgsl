// What a kernel reads of the input is in x or, where that is also the output, there: no buffer can be bound twice. Each invocation
// reads and writes the same units.
@group(0) @binding(0) var<storage, read> x: array<Stored>;
override IN_PLACE: bool = false;

fn load_source(i: u32) -> Unit {
    if IN_PLACE {
        return load_output(i);
    }
    let at = input_index(i);
    return unit_from(x[stored_index(at)], at);
}
