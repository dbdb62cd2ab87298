// Statistics, written for an apply.
@group(0) @binding(6) var<storage, read_write> statistics: array<Statistics>;
