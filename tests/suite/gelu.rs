//! gelu, Phi and phi of f32 as the shaders compute them: beside f64, at every exponent and around the borders of what they use.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI};

use gpunorm::Gpu;

use super::compute::Compute;
use super::{adapters, data};

macro_rules! piece {
    ($file:literal) => {
        include_str!(concat!("../../shaders/part/", $file, ".wgsl"))
    };
}

const ENTRY: &str = "
@group(0) @binding(0) var<storage, read> given: array<Part>;
@group(0) @binding(1) var<storage, read_write> found: array<Part>;
@compute @workgroup_size(64)
fn each(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    let count = arrayLength(&given);
    if i < count {
        found[i] = gelu(given[i]);
        found[count + i] = normal_distribution(given[i]);
        found[2u * count + i] = normal_density(given[i]);
    }
}
";

/// What a Part may be, and how many f32 it has.
const PARTS: [(&str, usize); 3] = [
    ("alias Part = f32; alias Bits = u32;\n", 1),
    ("alias Part = vec2<f32>; alias Bits = vec2<u32>;\n", 2),
    ("alias Part = vec4<f32>; alias Bits = vec4<u32>;\n", 4),
];

/// gelu, Phi and phi of each.
fn run(gpu: &Gpu, (aliases, width): (&str, usize), given: &[f32]) -> [Vec<f32>; 3] {
    let source = [aliases, piece!("common/params"), piece!("common/gelu"), ENTRY].concat();
    let job = Compute { source, entry: "each", invocations: given.len() / width, has_params: true };
    let found = job.run(gpu, bytemuck::cast_slice(given), 3 * size_of_val(given));
    let found: Vec<f32> = bytemuck::pod_collect_to_vec(&found);
    [0, 1, 2].map(|which| found[which * given.len()..][..given.len()].to_vec())
}

/// Phi(x). libm's erfc is within an f64 ulp.
fn distribution(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// The step of f32 at `y`, which is no smaller than the least normal number.
fn ulp(y: f64) -> f64 {
    y.abs().log2().floor().exp2() * f64::from(f32::EPSILON)
}

/// Every exponent with some hundreds of mantissas, what lies around the borders, and what is random where gelu bends.
fn values() -> Vec<f32> {
    let mut random = data::Random::new(11);
    let mut values = vec![0.0, f32::MIN_POSITIVE, f32::MAX];
    for exponent in 0..255u32 {
        values.extend([0, 1, 0x7f_fffe, 0x7f_ffff].map(|mantissa| f32::from_bits(exponent << 23 | mantissa)));
        values.extend((0..300).map(|_| f32::from_bits(exponent << 23 | random.below(1 << 23) as u32)));
    }
    // Near and far; where the result is no longer normal; where the power of 2 ends; what is the most.
    let borders = [0.875, 13.15, 13.2425, 13.27].into_iter();
    // Where another power of 2 is taken.
    let powers = (0..127).map(|k| (f64::from(2 * k + 1) * LN_2).sqrt());
    for border in borders.chain(powers) {
        let middle = (border as f32).to_bits();
        values.extend((middle - 200..middle + 200).map(f32::from_bits));
    }
    values.extend((0..300_000).map(|_| (13.5 * random.uniform()) as f32));
    // The worst of all f32, with products fused and not.
    values.extend([0x39fa_bd9e, 0x3fb4_77fc, 0x3fb3_6c3f].map(f32::from_bits));
    values.extend(values.clone().into_iter().map(|x| -x));
    values.resize(values.len().next_multiple_of(4), 0.0);
    values
}

#[test]
fn gelu_is_within_two_steps_of_f64() {
    let values = values();
    for (name, gpu) in adapters::all() {
        for part in PARTS {
            let [gelu, phi, slope] = run(gpu, part, &values);
            // What is furthest off, and where.
            let mut worst = [(0.0, 0.0); 3];
            for (at, &x) in values.iter().enumerate() {
                let wide = f64::from(x);
                let least = f64::from(f32::MIN_POSITIVE);
                let y = wide * distribution(wide);
                let offs = [
                    (gelu[at], y, ulp(y.abs().max(least))),
                    // In halves of the largest step for its size.
                    (phi[at], distribution(wide), distribution(wide).max(least) * f64::from(f32::EPSILON) / 2.0),
                    (slope[at], density(wide), density(wide).max(least) * f64::from(f32::EPSILON) / 2.0),
                ];
                for ((found, expected, unit), worst) in offs.into_iter().zip(&mut worst) {
                    let off = (f64::from(found) - expected).abs();
                    // What is below the least normal number may be 0, also what is taken off twice as much.
                    let flushed = expected.abs() < 2.0 * least && off <= least;
                    let off = if flushed { 0.0 } else { off / unit };
                    // NaN is the worst.
                    if off.is_nan() || off > worst.0 {
                        *worst = (off, x);
                    }
                }
            }
            println!("{name}, {} wide: gelu, Phi, phi are off by {worst:?}", part.1);
            for ((off, x), most) in worst.into_iter().zip([2.0, 4.0, 4.0]) {
                assert!(off <= most, "{name}, {} wide: off by {worst:?}, here at {x:e}", part.1);
            }
        }
    }
}

/// As PyTorch 2's gelu of one number: x * 0.5 * (1 + erf(x / sqrt(2))).
#[test]
fn gelu_of_what_is_no_finite_number() {
    let given = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN];
    for (name, gpu) in adapters::all() {
        for part in PARTS {
            let [gelu, phi, density] = run(gpu, part, &given);
            let what = format!("{name}, {} wide: {gelu:?} {phi:?} {density:?}", part.1);
            assert!(gelu[0] == f32::INFINITY && gelu[1..].iter().all(|y| y.is_nan()), "{what}");
            assert!(phi[..2] == [1.0, 0.0] && density[..2] == [0.0, 0.0], "{what}");
        }
    }
}
