// Moments of pieces of rows, written.
@group(0) @binding(5) var<storage, read_write> moments: array<Moments>;
