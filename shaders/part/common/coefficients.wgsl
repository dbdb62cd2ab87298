// What a row's dx needs: dx = scale * (weight * dy + (of_x * xhat + constant)), xhat = ((x - shift) - mean) * scale.
struct Coefficients {
    shift: f32,
    mean: f32,
    scale: f32,
    of_x: f32,
    constant: f32,
}

// Where elements share these statistics, from the means over them of dy * weight and of that times xhat:
// dx = scale * (dy * weight - mean(dy * weight) - xhat * mean(dy * weight * xhat)).
fn coefficients_of(s: Statistics, means: vec2<f32>) -> Coefficients {
    return Coefficients(s.shift, s.mean, s.scale, -means.y, -means.x);
}
