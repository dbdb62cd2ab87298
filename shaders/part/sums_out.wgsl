// Sums of pieces of rows, written.
@group(0) @binding(15) var<storage, read_write> sums: array<Sums>;
