// Columns have no parameters of their own.
fn store_team_columns(team: u32, unit: u32, dy: Values, dy_xhat: Values) {}
