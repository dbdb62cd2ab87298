// No unit lies in two rows.
fn for_each_straddling_unit(first: u32, end: u32) {}
