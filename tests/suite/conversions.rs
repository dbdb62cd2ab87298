//! 16-bit elements come in and go out exactly as promised, in every way that an adapter may convert them: each pattern of bits,
//! and each tie between two of them.

use gpunorm::Gpu;
use gpunorm::unstable::F16;
use half::{bf16, f16};
use wgpu::Features;

use super::adapters;
use super::compute::Compute;

macro_rules! piece {
    ($file:literal) => {
        include_str!(concat!("../../shaders/part/", $file, ".wgsl"))
    };
}

const DECODE: &str = "
@group(0) @binding(0) var<storage, read> given: array<u32>;
@group(0) @binding(1) var<storage, read_write> found: array<vec2<f32>>;
@compute @workgroup_size(64)
fn each(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&given) {
        found[id.x] = decode(given[id.x]);
    }
}
";

const ENCODE: &str = "
@group(0) @binding(0) var<storage, read> given: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read_write> found: array<u32>;
@compute @workgroup_size(64)
fn each(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&given) {
        found[id.x] = encode(given[id.x]);
    }
}
";

/// What runs on an adapter: texts that decode, and that encode after their directives.
fn ways(gpu: &Gpu) -> Vec<(&'static str, &'static str, [&'static str; 2])> {
    let integer = ("f16", piece!("decode/f16"), ["", piece!("encode/f16")]);
    let native = piece!("decode/f16_native");
    let mut ways = vec![integer, ("bf16", piece!("decode/bf16"), ["", piece!("encode/bf16")])];
    if gpu.caps().f16 != F16::Integer {
        ways.push(("f16", native, integer.2));
    }
    // Software drivers have it too, and it is not taken there only because it is slow.
    if gpu.device().features().contains(Features::SHADER_F16) {
        ways.push(("f16", native, ["enable f16;\n", piece!("encode/f16_native")]));
    }
    ways
}

fn run(gpu: &Gpu, source: String, given: &[u8], size: usize, pairs: usize) -> Vec<u8> {
    Compute { source, entry: "each", invocations: pairs, has_params: false }.run(gpu, given, size)
}

/// Of a 16-bit pattern.
fn wide(of: &str, bits: u16) -> f32 {
    if of == "f16" { f16::from_bits(bits).to_f32() } else { bf16::from_bits(bits).to_f32() }
}

fn narrow(of: &str, value: f32) -> u16 {
    if of == "f16" { f16::from_f32(value).to_bits() } else { bf16::from_f32(value).to_bits() }
}

/// Whether drivers may take it for 0.
fn is_subnormal(value: f32) -> bool {
    value != 0.0 && value.abs() < f32::MIN_POSITIVE
}

#[test]
fn every_pattern_is_decoded_exactly() {
    let words: Vec<u32> = (0..1u32 << 15).map(|word| (2 * word) | ((2 * word + 1) << 16)).collect();
    for (name, gpu) in adapters::all() {
        for (of, decode, _) in ways(gpu) {
            let source = [decode, DECODE].concat();
            let found = run(gpu, source, bytemuck::cast_slice(&words), 8 * words.len(), words.len());
            let found: Vec<f32> = bytemuck::pod_collect_to_vec(&found);
            for (bits, found) in (0..=u16::MAX).zip(found) {
                let expected = wide(of, bits);
                let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
                let flushed = is_subnormal(expected) && found == 0.0;
                assert!(same || flushed, "{name}, {of} {bits:#06x}: {found:e}, not {expected:e}\n{decode}");
            }
        }
    }
}

/// Numbers that round to each pattern or lie between two: the pattern itself, the tie with the next one and its neighbours.
fn values(of: &str) -> Vec<f32> {
    let each = (0..=u16::MAX).flat_map(|bits| {
        let (own, next) = (wide(of, bits), wide(of, bits.wrapping_add(1)));
        let tie = if next.is_infinite() {
            // Where the next one would be, had it an exponent more.
            (f64::from(own) + f64::from(own) - f64::from(wide(of, bits - 1)) + f64::from(own)) / 2.0
        } else {
            (f64::from(own) + f64::from(next)) / 2.0
        };
        let tie = tie as f32;
        [own, tie, f32::from_bits(tie.to_bits().wrapping_sub(1)), f32::from_bits(tie.to_bits().wrapping_add(1))]
    });
    each.chain([f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0, 1e-30, -1e30]).collect()
}

#[test]
fn every_number_is_encoded_to_the_nearest() {
    for (name, gpu) in adapters::all() {
        for (of, _, [directives, encode]) in ways(gpu) {
            let values = values(of);
            let source = [directives, encode, ENCODE].concat();
            let found = run(gpu, source, bytemuck::cast_slice(&values), 2 * values.len(), values.len() / 2);
            let found: Vec<u16> = bytemuck::pod_collect_to_vec(&found);
            for (value, found) in values.into_iter().zip(found) {
                let expected = narrow(of, value);
                let same = found == expected || value.is_nan() && wide(of, found).is_nan();
                let flushed = is_subnormal(value) && found & 0x7fff == 0;
                assert!(same || flushed, "{name}, {of} of {value:e}: {found:#06x}, not {expected:#06x}\n{encode}");
            }
        }
    }
}
