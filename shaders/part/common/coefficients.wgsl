// What a row's dx needs: dx = rstd * (weight * dy + (of_xhat * xhat + constant)), xhat = ((x - shift) - mean) * rstd.
struct Coefficients {
    shift: f32,
    mean: f32,
    rstd: f32,
    of_xhat: f32,
    constant: f32,
}

// Where elements share these statistics, from the means over them of dy * weight and of that times xhat:
// dx = rstd * (dy * weight - mean(dy * weight) - xhat * mean(dy * weight * xhat)).
fn coefficients_of(s: Statistics, means: vec2<f32>) -> Coefficients {
    return Coefficients(s.shift, s.mean, s.rstd, -means.y, -means.x);
}
