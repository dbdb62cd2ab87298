//! Safetensors files that were damaged, cut or made to lie: an error or a state dict, never a panic or much memory.

use gpunorm::{Error, StateDict};
use half::f16;
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::{Dtype, TensorView};

use super::super::data::Random;
use super::super::settings;
use super::{isolated, memory};

const FILES: u32 = 20_000;

/// A layer's, one of every element type, one of odd names and shapes, one without anything.
fn good() -> Vec<Vec<u8>> {
    let mut layer = StateDict::new();
    for key in ["bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"] {
        layer.insert(key, ArrayD::from_elem(IxDyn(&[6]), 0.5));
    }
    layer.insert("bn1.num_batches_tracked", ArrayD::from_elem(IxDyn(&[]), 3.0));
    let mut odd = StateDict::new();
    for (key, shape) in [("", &[0, 3][..]), ("\u{1f600}\"\\", &[1, 1, 1, 2]), ("num_batches_tracked", &[2])] {
        odd.insert(key, ArrayD::from_elem(IxDyn(shape), -1.0));
    }
    let halves: Vec<u8> = [0.5f32, -2.0, 7.0].iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
    let view = |dtype, bytes| TensorView::new(dtype, vec![3], bytes).unwrap();
    let wide = [1u8; 24];
    let types = [
        ("f16", view(Dtype::F16, &halves)),
        ("bf16", view(Dtype::BF16, &halves)),
        ("f64", view(Dtype::F64, &wide)),
        ("i64", view(Dtype::I64, &wide)),
    ];
    let types = safetensors::serialize(types, None).unwrap();
    let [layer, odd, empty] = [layer, odd, StateDict::new()].map(|state| state.to_safetensors().unwrap());
    vec![layer, odd, types, empty]
}

fn below(random: &mut Random, end: usize) -> usize {
    (random.uniform() * end.max(1) as f64) as usize
}

fn bits(random: &mut Random) -> u64 {
    (random.uniform() * 2f64.powi(53)) as u64
}

/// Puts `new` in place of one of the header's `old`s, and says so in the header's length, or not.
fn lie(random: &mut Random, file: &mut Vec<u8>, old: &str, new: &str, honest: bool) {
    let places: Vec<usize> =
        file.windows(old.len()).enumerate().filter(|(_, w)| *w == old.as_bytes()).map(|(at, _)| at).collect();
    if places.is_empty() {
        return;
    }
    let at = places[below(random, places.len())];
    file.splice(at..at + old.len(), new.bytes());
    if honest {
        let len = u64::from_le_bytes(file[..8].try_into().unwrap());
        let len = len.wrapping_add(new.len() as u64).wrapping_sub(old.len() as u64);
        file[..8].copy_from_slice(&len.to_le_bytes());
    }
}

fn damage(random: &mut Random, file: &mut Vec<u8>) {
    const LIES: [(&str, &str); 14] = [
        ("F32", "F64"),
        ("F32", "U8"),
        ("F32", "I64"),
        ("F32", "F128"),
        ("[6]", "[3,2]"),
        ("[6]", "[18446744073709551615]"),
        ("[6]", "[4611686018427387904,4]"),
        ("[6]", "[0,9223372036854775807]"),
        ("[6]", "[-1]"),
        ("[3]", "[1099511627776]"),
        ("[6]", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,6]"),
        ("bias", "weight"),
        ("data_offsets", "data_offset"),
        ("shape", "shapes"),
    ];
    match below(random, 8) {
        0 => (0..1 + below(random, 4)).for_each(|_| {
            let at = below(random, file.len());
            file.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << below(random, 8));
        }),
        1 => file.truncate(below(random, file.len())),
        2 => file.extend((0..below(random, 100)).map(|_| 0)),
        // The header's length.
        3 => {
            let any = [bits(random), u64::MAX, 1 << below(random, 64), file.len() as u64 / 2, 0][below(random, 5)];
            file.iter_mut().zip(any.to_le_bytes()).for_each(|(byte, new)| *byte = new);
        }
        // Offsets, counts and sizes: any digit.
        4 => {
            let digits: Vec<usize> = (8..file.len()).filter(|&at| file[at].is_ascii_digit()).collect();
            if !digits.is_empty() {
                file[digits[below(random, digits.len())]] = b"0123456789-.e]"[below(random, 14)];
            }
        }
        5 => {
            let (from, to) = (below(random, file.len()), below(random, file.len()));
            let piece = file[from.min(to)..from.max(to)].to_vec();
            file.splice(from..from, piece);
        }
        _ => {
            let (old, new) = LIES[below(random, LIES.len())];
            let honest = below(random, 4) > 0;
            lie(random, file, old, new, honest);
        }
    }
}

/// Written and read again it is the same, but for counters, which are whole then.
fn check_round_trip(state: &StateDict) {
    let again = StateDict::from_safetensors(&state.to_safetensors().unwrap()).unwrap();
    assert_eq!(state.len(), again.len());
    for ((key, before), (other, after)) in state.iter().zip(again.iter()) {
        assert_eq!((key, before.shape()), (other, after.shape()));
        let counter = key.rsplit('.').next() == Some("num_batches_tracked");
        let kept = |value: f32| if counter { value as i64 as f32 } else { value };
        let same = match (before.array(), after.array()) {
            (None, None) => before == after,
            (Some(before), Some(after)) => before.iter().zip(after).all(|(&b, a)| kept(b).to_bits() == a.to_bits()),
            _ => false,
        };
        assert!(same, "{key}");
    }
}

#[test]
fn damaged_files() {
    isolated("files::damaged_files", &[], || {
        let path = std::env::temp_dir().join(format!("damaged_{}.safetensors", std::process::id()));
        let (mut random, good, mut read) = (Random::new(settings::seed()), good(), 0);
        let most = memory::most_of(|| {
            for number in 0..FILES {
                let mut file = good[number as usize % good.len()].clone();
                (0..1 + below(&mut random, 3)).for_each(|_| damage(&mut random, &mut file));
                let found = StateDict::from_safetensors(&file);
                if number % 20 == 0 {
                    std::fs::write(&path, &file).unwrap();
                    let loaded = StateDict::load(&path);
                    assert_eq!(loaded.is_ok(), found.is_ok(), "file {number}: {loaded:?}, {found:?}");
                }
                match found {
                    Ok(state) => {
                        read += 1;
                        check_round_trip(&state);
                    }
                    Err(Error::Safetensors { .. }) => {}
                    Err(other) => panic!("file {number}: {other:?}"),
                }
            }
        });
        std::fs::remove_file(&path).unwrap();
        assert!(most < 4 << 20, "{most} bytes for files of hundreds");
        assert!((FILES / 50..FILES / 2).contains(&read), "{read} of {FILES} could be read");
    });
}
