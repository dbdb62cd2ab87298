// A slice of a tensor begins at element params.start of its binding: bindings begin at multiples of the device's alignment.
fn place(i: u32) -> u32 {
    return i + params.start / WIDTH;
}
