//! What is drawn where no photo is given.

use example_kit::landscape::{self, Colour, mix};

/// The colour at `x` from the left and `y` from the top, both from 0 to 1.
type Scene = fn(f32, f32) -> Colour;

/// The content, then styles.
pub const ALL: [(&str, Scene); 5] =
    [("content", landscape::colour), ("sunset", sunset), ("aurora", aurora), ("autumn", autumn), ("glacier", glacier)];

/// A low sun over the sea.
fn sunset(x: f32, y: f32) -> Colour {
    const HORIZON: f32 = 0.62;
    let distance = ((x - 0.5).powi(2) + (y - 0.5).powi(2)).sqrt();
    let high = mix([0.99, 0.58, 0.22], [0.36, 0.16, 0.42], (1.5 * (HORIZON - y)).clamp(0.0, 1.0));
    if y < HORIZON {
        let cloud = ((14.0 * y + (5.0 * x).sin()).sin() - 0.6).max(0.0);
        let sky = mix(mix([1.0, 0.86, 0.5], high, (2.4 * distance).min(1.0)), [0.93, 0.36, 0.34], cloud);
        return if distance < 0.09 { [1.0, 0.95, 0.72] } else { sky };
    }
    let depth = (y - HORIZON) / (1.0 - HORIZON);
    let wave = (90.0 * depth.sqrt() + 6.0 * (9.0 * x + 20.0 * depth).sin()).sin();
    let glitter = (1.0 - (x - 0.5).abs() / (0.07 + 0.22 * depth)).max(0.0) * (0.55 + 0.45 * wave);
    let sea = mix([0.72, 0.34, 0.32], [0.16, 0.08, 0.24], depth.sqrt());
    mix(mix(sea, [0.9, 0.45, 0.3], 0.18 * (1.0 + wave) * (1.0 - depth)), [1.0, 0.82, 0.45], 0.9 * glitter)
}

/// Northern lights over mountains.
fn aurora(x: f32, y: f32) -> Colour {
    let ridge = 0.78 + 0.06 * (6.0 * x + 1.0).sin() + 0.03 * (19.0 * x).sin();
    if y > ridge {
        return mix([0.04, 0.08, 0.12], [0.01, 0.02, 0.05], 3.0 * (y - ridge));
    }
    let mut sky = mix([0.06, 0.06, 0.26], [0.12, 0.3, 0.36], y);
    for (height, phase, colour) in
        [(0.34, 0.4, [0.35, 1.0, 0.55]), (0.52, 2.2, [0.2, 0.9, 0.7]), (0.22, 4.0, [0.75, 0.35, 0.9])]
    {
        let below = height + 0.1 * (5.0 * x + phase).sin() + 0.03 * (13.0 * x + 2.0 * phase).sin() - y;
        let ray = 0.75 + 0.25 * (60.0 * x + 4.0 * phase + 3.0 * (7.0 * x).sin()).sin();
        let light = if below > 0.0 { (-6.0 * below).exp() } else { (60.0 * below).exp() };
        sky = mix(sky, colour, 0.8 * ray * light);
    }
    let [across, down] = [x, y].map(|at| (40.0 * at).floor());
    let [right, below] = [1.0, 2.0].map(|which| 0.3 + 0.4 * hash(across + 90.0 * which, down));
    let distance = (40.0 * x - across - right).hypot(40.0 * y - down - below);
    let star = if hash(across, down) > 0.96 { (1.0 - 4.0 * distance).max(0.0) } else { 0.0 };
    mix(sky, [1.0, 1.0, 0.95], star)
}

/// Leaves on leaves.
fn autumn(x: f32, y: f32) -> Colour {
    const LEAVES: [Colour; 6] = [
        [0.88, 0.36, 0.08],
        [0.97, 0.7, 0.2],
        [0.66, 0.13, 0.1],
        [0.5, 0.17, 0.3],
        [0.48, 0.46, 0.16],
        [0.98, 0.88, 0.62],
    ];
    let mut colour = mix([0.2, 0.12, 0.06], [0.42, 0.26, 0.1], y);
    for layer in 0..4 {
        let cells = 5.0 + 2.0 * layer as f32;
        let [cell_x, cell_y] = [x, y].map(|at| (cells * at).floor());
        for (across, down) in (-1..=1).flat_map(|down| (-1..=1).map(move |across| (across as f32, down as f32))) {
            let (at_x, at_y) = (cell_x + across, cell_y + down);
            let random = |which: f32| hash(at_x + 31.0 * which, at_y + 57.0 * layer as f32);
            let (dx, dy) = (cells * x - at_x - random(1.0), cells * y - at_y - random(2.0));
            // Ellipses in any direction.
            let (sin, cos) = (6.3 * random(3.0)).sin_cos();
            let (along, aside) = (dx * cos + dy * sin, dy * cos - dx * sin);
            let distance = (along / 0.62).hypot(aside / 0.3);
            if distance < 1.0 {
                let leaf = LEAVES[(LEAVES.len() as f32 * random(4.0)) as usize];
                let vein = if aside.abs() < 0.02 { 0.7 } else { 1.0 };
                colour = leaf.map(|value| value * vein * (1.1 - 0.45 * distance));
            }
        }
    }
    colour
}

/// Ice above its own reflection.
fn glacier(x: f32, y: f32) -> Colour {
    const SHORE: f32 = 0.66;
    let (height, water) = if y > SHORE { (2.0 * SHORE - y, 0.35) } else { (y, 0.0) };
    let ripple = if y > SHORE { 0.012 * (160.0 * (y - SHORE).sqrt()).sin() } else { 0.0 };
    let x = x + ripple;
    let edge = 0.34 + 0.07 * (4.0 * x + 0.5).sin() + 0.05 * (11.0 * x).sin().abs() + 0.02 * (37.0 * x).sin();
    let peak = 0.2 + 0.5 * (x - 0.3).abs() + 0.03 * (23.0 * x).sin();
    let colour = if height > edge {
        let crack = (70.0 * x + 5.0 * (9.0 * height).sin() + 3.0 * (31.0 * x).sin()).sin();
        let ice = mix([0.93, 0.98, 1.0], [0.42, 0.74, 0.9], (1.6 * (height - edge)).min(1.0));
        mix(ice, [0.16, 0.46, 0.72], (crack - 0.72).max(0.0) * 2.4)
    } else if height > peak {
        mix([0.5, 0.54, 0.62], [0.86, 0.9, 0.95], ((40.0 * x + 30.0 * height).sin() - 0.1).clamp(0.0, 1.0))
    } else {
        mix([0.5, 0.7, 0.88], [0.87, 0.93, 0.97], (2.0 * height).min(1.0))
    };
    mix(colour, [0.08, 0.26, 0.4], water)
}

/// From 0 to 1, the same for the same place.
fn hash(x: f32, y: f32) -> f32 {
    let mixed = (x as i32 as u32).wrapping_mul(0x9e37_79b9) ^ (y as i32 as u32).wrapping_mul(0x85eb_ca6b);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0xc2b2_ae35);
    (mixed >> 8) as f32 / (1 << 24) as f32
}
