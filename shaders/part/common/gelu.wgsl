// x * Phi(x), the Gaussian error linear unit of Hendrycks & Gimpel 2016, and what its derivative Phi(x) + x * phi(x) needs, for
// a Part that is a scalar or a vector of f32, whose bits are Bits. WGSL has no erf, and its exp is off by as much as
// 3 + 2|x| ulp. Here gelu is within 2 ulp, whether or not products are fused with sums, but that what is below the
// smallest normal number may be 0.
//
// With t = |x|, it is max(x, 0) - t * Phi(-t). Near 0, Phi(-t) = 1/2 - t * N(t*t). Further out t * Phi(-t) is
// exp(-t*t / 2) * F(t), and F hardly varies. The polynomials are minimax in the relative error of what they end up in (our
// own, by Remez' exchange and by linear programs as their coefficients were rounded): of N in t*t for t in [0, 7/8], of F in
// 1 / (t + 4) for t in [7/8, 13.3], of the exponential in r for r in [-0.87, 0.7].

// A value that no compiler may look into (common/opaque.wgsl).
fn opaque_part(v: Part) -> Part {
    return bitcast<Part>(bitcast<Bits>(v) ^ Bits(params.zero));
}

// The first 12 bits, so that the product of two such is exact.
fn head_of(v: Part) -> Part {
    return bitcast<Part>(bitcast<Bits>(v) & Bits(0xfffff000u));
}

// |x|, but no more than where exp(-t*t / 2) is 0.
fn bounded(x: Part) -> Part {
    return min(abs(x), Part(13.27));
}

// exp(-t*t / 2) = (1 + more) * scale, as one number would have lost digits of `more`; and t in two.
struct Gaussian {
    more: Part,
    scale: Part, // a power of 2, from 1 to the smallest normal one, and 0
    head: Part,
    rest: Part,
}

fn gaussian(t: Part) -> Gaussian {
    let head = head_of(t);
    let rest = t - head;
    let square = head * head;
    // 127 - k, k the nearest integer to square / (2 ln 2), as the last bits of a number whose last bit counts ones: moved to the
    // exponent's place it is 2^-k.
    let last_bits = opaque_part(12583039.0 - square * 0.7213475108);
    let scale = bitcast<Part>(bitcast<Bits>(last_bits) << Bits(23u));
    let k = 12583039.0 - last_bits;
    // r = 2 ln 2 * k - t*t is most + little. With 17 bits of 2 ln 2, most is exact.
    let most = opaque_part(k * 1.38629150390625 - square);
    let little = k * 2.857213531e-06 - rest * (t + head);
    let r = most + little;
    // exp(r / 2) - 1
    var p = r * 2.065300396e-05 + 2.615411940e-04;
    p = p * r + 2.604893409e-03;
    p = p * r + 2.083314024e-02;
    p = p * r + 1.249998957e-01;
    return Gaussian(0.5 * most + (0.5 * little + (r * r) * p), scale, head, rest);
}

// Phi(-t) for t below 7/8.
fn near_tail(t: Part, g: Gaussian) -> Part {
    let s = t * t;
    var p = s * 9.668104758e-05 - 1.172753749e-03;
    p = p * s + 9.968440048e-03;
    p = p * s - 6.648962200e-02;
    p = p * s + 2.394224703e-02;
    // N is 0.375 + p; the large part of 1/2 - t * N comes without a rounding.
    return opaque_part(0.5 - g.head * 0.375) - (g.rest * 0.375 + t * p);
}

// t * Phi(-t) for t from 7/8 on.
fn far_tail(t: Part, g: Gaussian) -> Part {
    // w = 1 / (t + 4), which may be 2.5 ulp off. Its head is corrected by what is left of 1 - head * (t + 4).
    let w = 1.0 / (t + 4.0);
    let head = head_of(w);
    let left = (opaque_part(1.0 - 4.0 * head) - g.head * head) - g.rest * head;
    let u = (head - 0.16064453125) + w * left;
    var p = u * 1.318115625e+04 + 5.764403809e+03;
    p = p * u - 4.672952881e+02;
    p = p * u - 1.086566284e+03;
    p = p * u - 4.354173584e+02;
    p = p * u - 1.003394775e+02;
    p = p * u - 1.494923019e+01;
    p = p * u - 1.343159318e+00;
    // F = c + d, times 1 + more: what is small is added up first.
    let c = 3.448573351e-01;
    let d = p * u;
    return (c + opaque_part(d + g.more * (c + d))) * g.scale;
}

// As torch's: of -infinity it is NaN, of infinity infinite (where torch, if it uses vectors, has NaN as well).
fn gelu(x: Part) -> Part {
    let t = bounded(x);
    let g = gaussian(t);
    let tail = select(far_tail(t, g), t * near_tail(t, g), t < Part(0.875));
    let zero = opaque_part(x) - x;
    return select(x, zero, x < Part(0.0)) - tail;
}

// Phi(x). Of NaN it may be any number, but x * phi(x) is NaN.
fn normal_distribution(x: Part) -> Part {
    let t = bounded(x);
    let g = gaussian(t);
    let tail = select(far_tail(t, g) / t, near_tail(t, g), t < Part(0.875));
    return select(tail, 1.0 - tail, x > Part(0.0));
}

// phi(x) = exp(-x*x / 2) / sqrt(2 pi)
fn normal_density(x: Part) -> Part {
    let g = gaussian(bounded(x));
    return (0.3989422804 + 0.3989422804 * g.more) * g.scale;
}
