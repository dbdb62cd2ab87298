// Sums of pieces of rows, written: of dy, and of dy times the normalized x. Their errors are lost, which costs a
// rounding for each piece.
@group(0) @binding(15) var<storage, read_write> sums: array<vec2<f32>>;
