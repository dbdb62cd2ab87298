//! What is not a tensor's stays as it is, to the bit: the half word behind an odd number of 16-bit elements, and the rest of
//! the app's buffer. And with wgpu's checks of the shaders or without, the same bytes come out, those included.

use gpunorm::unstable::{Caps, Geometry, Strategy};
use gpunorm::{
    BatchNorm, DType, Error, Gpu, GpuNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, SwitchableNorm, Tensor,
};
use ndarray::ArrayD;
use wgpu::BufferUsages;

use super::{adapters, case, compare, data, variants};

/// Words around a tensor.
const GUARD: usize = 64;

/// A pattern that has no zeros and, as 16-bit floats, NaNs of several payloads.
fn pattern(index: usize) -> u32 {
    0x7e01_fd55 ^ (index as u32).wrapping_mul(0x0101_0003)
}

/// A tensor in the midst of a buffer that is filled with [`pattern`].
pub struct Guarded {
    pub tensor: Tensor,
    first: usize,
}

impl Guarded {
    pub fn new(gpu: &Gpu, shape: &[usize], dtype: DType) -> Guarded {
        let first = GUARD.max(gpu.caps().alignment as usize / 4);
        let words = (shape.iter().product::<usize>() * dtype.size()).div_ceil(4);
        let descriptor = wgpu::BufferDescriptor {
            label: None,
            size: 4 * (first + words + GUARD) as u64,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let buffer = gpu.device().create_buffer(&descriptor);
        let filled: Vec<u32> = (0..descriptor.size as usize / 4).map(pattern).collect();
        gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&filled));
        Guarded { tensor: Tensor::wrap(gpu, buffer, 4 * first as u64, shape, dtype).unwrap(), first }
    }

    /// The bytes of the tensor; fails if others have changed.
    pub fn bytes(&self, gpu: &Gpu) -> Result<Vec<u8>, String> {
        let words = self.tensor.buffer().size() as usize / 4;
        let whole = Tensor::wrap(gpu, self.tensor.buffer().clone(), 0, &[words], DType::F32).unwrap();
        let found: Vec<u32> = whole.to_array().unwrap().iter().map(|value| value.to_bits()).collect();
        let before: Vec<u32> = (0..words).map(pattern).collect();
        let (found, before): (&[u8], &[u8]) = (bytemuck::cast_slice(&found), bytemuck::cast_slice(&before));
        let begin = 4 * self.first;
        let end = begin + self.tensor.len() * self.tensor.dtype().size();
        match (0..found.len()).find(|&at| !(begin..end).contains(&at) && found[at] != before[at]) {
            Some(at) => Err(format!("byte {at} of {begin}..{end} has changed from {} to {}", before[at], found[at])),
            None => Ok(found[begin..end].to_vec()),
        }
    }
}

/// The bytes of a forward's output and of a backward's gradient of the input. Nothing if it is refused.
fn run(gpu: &Gpu, spec: &NormSpec, mode: Mode, shape: &[usize], dtype: DType) -> Option<Result<[Vec<u8>; 2], String>> {
    let mut norm = GpuNorm::new(gpu, spec.clone()).unwrap();
    norm.load_state_dict(&compare::state_dict(&data::state(spec)), "").unwrap();
    if mode == Mode::Evaluation {
        norm.eval();
    }
    let x = Tensor::from_array_as(gpu, &data::values("normal", shape, 1), dtype).unwrap();
    let dy = Tensor::from_array_as(gpu, &data::values("uniform", shape, 1), dtype).unwrap();
    let [y, dx] = [(); 2].map(|()| Guarded::new(gpu, shape, dtype));
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let saved = match norm.encode_forward_saved(&mut encoder, &x, &y.tensor) {
        Err(Error::TooLarge { .. }) => return None,
        saved => saved.unwrap(),
    };
    let mut gradients = norm.zero_gradients(&saved).unwrap();
    gradients.input = Some(dx.tensor.clone());
    match norm.encode_backward(&mut encoder, &dy, &saved, &gradients) {
        Err(Error::TooLarge { .. }) => return None,
        recorded => recorded.unwrap(),
    }
    gpu.queue().submit([encoder.finish()]);
    let bytes = |guarded: &Guarded, what| guarded.bytes(gpu).map_err(|changed| format!("{what}: {changed}"));
    Some(bytes(&y, "y").and_then(|y| Ok([y, bytes(&dx, "dx")?])))
}

/// As the planner would for this adapter, for a GPU, and where a tensor is bound in many slices.
fn plans(gpu: &Gpu) -> [Caps; 3] {
    let own = *gpu.caps();
    [own, Caps { software: false, ..own }, Caps { max_binding: 2 << 10, ..own }]
}

#[test]
fn what_is_not_the_tensors_stays() {
    let shapes: [&[usize]; 6] = [&[3, 1], &[1, 3, 5, 5], &[3, 5, 7], &[5, 3, 33], &[7, 1, 301], &[2, 2, 3]];
    let mut runs = 0;
    for (name, gpu) in adapters::all() {
        for caps in plans(gpu) {
            let gpu = gpu.with_caps(caps);
            for shape in shapes {
                let mut specs = data::channel_specs(shape[1]);
                specs.extend(data::trailing_specs(shape, 1));
                specs.extend(data::layout_specs(shape));
                for (index, spec) in specs.iter().enumerate() {
                    for mode in [Mode::Training, Mode::Evaluation] {
                        let dtype = [DType::F16, DType::BF16][index % 2];
                        if Geometry::new(spec, mode, shape).is_err() {
                            continue;
                        }
                        if let Some(result) = run(&gpu, spec, mode, shape, dtype) {
                            let place = || format!("{name}, {spec:?}, {mode:?}, {shape:?}, {dtype}, {caps:?}");
                            result.unwrap_or_else(|changed| panic!("{}: {changed}", place()));
                            runs += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(runs > 450 * adapters::count(), "only {runs} runs");
}

/// An index that a check would clamp shows in what comes out, be it in what is nobody's.
#[test]
fn checks_change_nothing() {
    let shapes: [&[usize]; 3] = [&[1, 3, 5, 5], &[5, 6, 7], &[3, 6, 40]];
    for (name, gpu) in adapters::all() {
        for caps in plans(gpu) {
            let both = [true, false].map(|checks| gpu.with_shader_checks(checks).with_caps(caps));
            for (number, shape) in shapes.into_iter().enumerate() {
                let specs = [
                    data::channel_specs(shape[1]).swap_remove(0),
                    GroupNorm::new(3, shape[1]).into(),
                    SwitchableNorm::new(shape[1]).into(),
                    LayerNorm::new(&shape[1..]).into(),
                    LayerNorm::new(shape[1]).channels_first().into(),
                ];
                for (spec, dtype) in specs.iter().zip([DType::F32, DType::F16].into_iter().cycle().skip(number)) {
                    let [checked, unchecked] = both.each_ref().map(|gpu| run(gpu, spec, Mode::Training, shape, dtype));
                    assert_eq!(checked, unchecked, "{name}, {spec:?}, {shape:?}, {dtype}, {caps:?}");
                }
            }
        }
    }
}

/// Rows of odd lengths beyond a binding: slices begin between the places where bindings may.
#[test]
fn slices_begin_anywhere() {
    let cases: [(NormSpec, &[usize]); 5] = [
        (InstanceNorm::new(5).into(), &[1, 5, 95, 95]),
        (BatchNorm::new(5).into(), &[2, 5, 95, 95]),
        (GroupNorm::new(2, 6).into(), &[3, 6, 55, 55]),
        (LayerNorm::new([9001]).affine(false).into(), &[9, 9001]),
        (SwitchableNorm::new(3).into(), &[3, 3, 9001]),
    ];
    for (name, gpu) in adapters::all() {
        for (spec, shape) in &cases {
            for dtype in [DType::F32, DType::F16, DType::BF16] {
                let alignment = gpu.caps().alignment;
                let geometry = Geometry::new(spec, Mode::Training, shape).unwrap();
                let row = (geometry.row_len / geometry.runs) as u64;
                // No two rows of a slice begin where a binding may, and a binding is not much more than a row.
                let max_binding = (row * dtype.size() as u64 + 2 * alignment) / 4 * 4;
                let small = gpu.with_caps(Caps { max_binding, software: false, ..*gpu.caps() });
                let x = data::values("normal", shape, 1);
                let place = format!("{name}, {spec:?}, {shape:?}, {dtype}, bindings of {max_binding} bytes");
                let case = case::Output::new(spec, Mode::Training, data::state(spec), &x, dtype);
                case.check(&small, Strategy::default()).unwrap_or_else(|reason| panic!("{place}: {reason}"));
                run(&small, spec, Mode::Training, shape, dtype)
                    .unwrap_or_else(|| panic!("{place}: refused"))
                    .unwrap_or_else(|changed| panic!("{place}: {changed}"));
            }
        }
    }
}

/// Rows of odd length share words and units of 16 bytes with the next ones, whatever these are.
#[test]
fn a_row_does_not_notice_its_neighbours() {
    let shape = [2, 4, 7, 7];
    let spec = NormSpec::from(InstanceNorm::new(4));
    let every_other = |values: ArrayD<f32>, other: f32| {
        let mut index = 0;
        values.mapv(|value| {
            index += 1;
            if (index - 1) / 49 % 2 == 1 { other } else { value }
        })
    };
    let own = |values: &ArrayD<f32>| -> Vec<u32> {
        let rows = values.iter().enumerate().filter(|(index, _)| index / 49 % 2 == 0);
        rows.map(|(_, value)| value.to_bits()).collect()
    };
    for (name, gpu, strategy) in variants::everywhere() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let run = |other: f32| -> Option<[Vec<u32>; 2]> {
                let tensor = |name| {
                    let values = every_other(data::values(name, &shape, 49), other);
                    Tensor::from_array_as(&gpu, &values, dtype).unwrap()
                };
                let mut norm = GpuNorm::new(&gpu, spec.clone()).unwrap();
                norm.set_strategy(strategy);
                let (y, saved) = match norm.forward_saved(&tensor("normal")) {
                    Err(error) if variants::may_be_refused(&gpu, &error) => return None,
                    forward => forward.unwrap(),
                };
                let dx = match norm.backward(&tensor("uniform"), &saved) {
                    Err(error) if variants::may_be_refused(&gpu, &error) => return None,
                    gradients => gradients.unwrap().input.unwrap(),
                };
                Some([y, dx].map(|result| own(&result.to_array().unwrap())))
            };
            let Some(usual) = run(0.5) else { continue };
            for other in [f32::NAN, f32::INFINITY, 6e4] {
                assert!(run(other) == Some(usual.clone()), "{name}, {dtype}: rows beside {other}");
            }
        }
    }
}
