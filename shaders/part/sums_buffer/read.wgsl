// Sums of pieces of rows, on their way from the kernel that read x and dy to the one that joins them.
@group(0) @binding(15) var<storage, read> sums: array<vec2<f32>>;
