// No unit lies in two rows.
fn across_rows(first: u32, end: u32) {}
