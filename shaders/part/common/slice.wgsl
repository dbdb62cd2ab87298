// A slice of a contiguous tensor begins at element params.start of its binding: bindings begin at multiples of the device's
// alignment.
override SLICED: bool = false; // params.start may be other than 0

fn binding_index(i: u32) -> u32 {
    if SLICED {
        return i + params.start / WIDTH;
    }
    return i;
}
