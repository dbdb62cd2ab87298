// A row that a team holds in registers.
struct HeldRow {
    number: u32,
    base: Parameter, // its first parameter
    end: u32,  // its units
    lane: u32, // of the team, the one that asks
    live: bool,
}
