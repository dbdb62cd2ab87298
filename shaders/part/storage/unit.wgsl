// A unit is what a buffer holds.
alias Stored = Unit;

fn stored_index(i: u32) -> u32 {
    return i;
}

fn unit_from(stored: Stored, i: u32) -> Unit {
    return stored;
}
