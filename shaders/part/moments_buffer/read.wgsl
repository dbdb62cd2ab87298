// Moments of pieces of rows, on their way from the kernel that read x to the one that merges them.
@group(0) @binding(5) var<storage, read> moments: array<Moments>;
