// Lanes hold the units of a row in turn: which one is a lane's `k`th.
fn unit_at(lane: u32, k: u32) -> u32 {
    return lane + k * lanes();
}
