// A unit is what a buffer holds.
alias Stored = Unit;

fn slot(i: u32) -> u32 {
    return i;
}

fn fetch(stored: Stored, i: u32) -> Unit {
    return stored;
}
