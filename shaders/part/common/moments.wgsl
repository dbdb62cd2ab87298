// Count, mean and squared deviations of a set of values. The mean is `shift + mean`, two numbers, so that a large
// mean costs no digits: `shift` is one of the values (or near them) and `mean` is taken of `x - shift`.
struct Moments {
    count: f32,
    shift: f32,
    mean: f32,
    m2: f32,
}

// What an output needs: y = ((x - shift) - mean) * rstd * weight + bias.
struct Statistics {
    shift: f32,
    mean: f32,
    rstd: f32, // 1 / sqrt(var + eps)
}

// A shift that has moved to the mean, and what rounding takes from it.
fn recentered(shift: f32, mean: f32) -> vec2<f32> {
    let sum = opaque(shift + mean);
    return vec2(sum, opaque(shift - sum) + mean);
}

// Of two disjoint sets (Chan, Golub & LeVeque 1983). The shift moves to the new mean, so that neither an outlier among
// the first values nor a long chain of merges costs digits.
fn merge(a: Moments, b: Moments) -> Moments {
    if a.count == 0.0 {
        return b;
    }
    let share = b.count / (a.count + b.count);
    // An empty b has no delta to speak of, and its shift may be anything.
    let delta = select(opaque(b.shift - a.shift) + (b.mean - a.mean), 0.0, b.count == 0.0);
    // Means too far apart for a difference: m2 is infinite, and any of them will do.
    let mean = recentered(a.shift, a.mean + select(0.0, delta, is_finite(delta)) * share);
    return Moments(a.count + b.count, mean.x, mean.y, a.m2 + b.m2 + delta * delta * (a.count * share));
}

// So many sets are merged one after the other, and then what they give: the roundings of a long chain add up in m2.
const CHAIN = 32u;

// a * b, and 0 where a is, even if b is infinite.
fn mul_or_zero(a: f32, b: f32) -> f32 {
    return select(a * b, 0.0, a == 0.0);
}

fn variance(m: Moments) -> f32 {
    return m.m2 / m.count;
}

// 1 / sqrt(v + eps), and 0 where that is 1 / 0: a constant row is its bias even without eps.
fn rstd_of(v: f32) -> f32 {
    let radicand = v + params.eps;
    return select(inverseSqrt(radicand), 0.0, radicand == 0.0);
}

// Where f32 has no room for the variance, rstd is 0 and what it multiplies must not be infinite.
fn statistics_around(shift: f32, mean: f32, v: f32) -> Statistics {
    let fits = is_finite(v);
    return Statistics(select(0.0, shift, fits), select(0.0, mean, fits), rstd_of(v));
}

fn statistics_of(m: Moments) -> Statistics {
    return statistics_around(m.shift, m.mean, variance(m));
}
