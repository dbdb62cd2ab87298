// Which team an invocation belongs to, and which of its lanes it is, from its position in the workgroup.
fn team_of(b: Builtins) -> u32 {
    return (b.workgroup.x + b.workgroup.y * b.workgroups.x) * (WORKGROUP / lanes()) + local_index(b) / lanes();
}

fn lane_of(b: Builtins) -> u32 {
    return local_index(b) % lanes();
}
