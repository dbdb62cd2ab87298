// Elements have weights of their own: the sums of a team's rows over each column are kept, for a combine.
fn store_team_columns(team: u32, unit: u32, dy: Values, dy_xhat: Values) {
    store_column_sums(place_of(team), unit, dy, dy_xhat);
}
