// A unit is half of the word that a buffer holds.
alias Stored = u32;

fn stored_index(i: u32) -> u32 {
    return i / 2u;
}

fn unit_from(stored: Stored, i: u32) -> Unit {
    return decode(stored)[i % 2u];
}
