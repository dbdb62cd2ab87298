// Units of a row that each lane has in registers together, as many as there is room for or, of a short row, as it has.
override HELD: u32 = UNITS;
