// What each norm is called, and what shares a statistic.

import { Norm } from "./gpunorm-web.js";

const eps = (value) => Number(value.toPrecision(2)).toExponential();

export const NORMS = [
  {
    norm: Norm.Batch, title: "Batch", full: "BatchNorm",
    sharing: "a channel of the whole batch",
    effect: "Light, contrast and colour stay as different as they were from picture to picture.",
    rust: ({ c }) => `BatchNorm::new(${c})`, torch: ({ c }) => `nn.BatchNorm2d(${c}`,
  },
  {
    norm: Norm.Layer, title: "Layer", full: "LayerNorm",
    sharing: "a picture, all its channels",
    effect: "Light and contrast become equal, the colour cast stays.",
    rust: ({ c, size }) => `LayerNorm::new([${c}, ${size}, ${size}])`,
    torch: ({ c, size }) => `nn.LayerNorm([${c}, ${size}, ${size}]`,
  },
  {
    norm: Norm.Instance, title: "Instance", full: "InstanceNorm",
    sharing: "a channel of a picture",
    effect: "The colour cast goes as well.",
    rust: ({ c }) => `InstanceNorm::new(${c})\n    .affine(true)`, torch: ({ c }) => `nn.InstanceNorm2d(${c}, affine=True`,
  },
  {
    norm: Norm.Group, title: "Group", full: "GroupNorm",
    sharing: "a group of a picture's channels",
    effect: "With one group it is LayerNorm, with a channel in each InstanceNorm.",
    rust: ({ c, groups }) => `GroupNorm::new(${groups}, ${c})`, torch: ({ c, groups }) => `nn.GroupNorm(${groups}, ${c}`,
  },
  {
    norm: Norm.Switchable, title: "Switchable", full: "SwitchableNorm",
    sharing: "three sets at once, by shares that a net learns",
    effect: "Something of all, as much as you give it.",
    rust: ({ c }) => `SwitchableNorm::new(${c})\n    .weighting(Weighting::Plain)`, torch: null,
    mixes: [["Instance", Norm.Instance], ["Layer", Norm.Layer], ["Batch", Norm.Batch]],
  },
  {
    norm: Norm.Rms, title: "RMS", full: "RmsNorm",
    sharing: "a picture, all its channels; no mean is taken off",
    effect: "Only the strength becomes equal: dark stays near 0.",
    rust: ({ c, size }) => `RmsNorm::new([${c}, ${size}, ${size}])`,
    torch: ({ c, size }) => `nn.RMSNorm([${c}, ${size}, ${size}]`,
    bare: true,
  },
  {
    norm: Norm.Place, title: "Layer, by place", full: "LayerNorm over channels",
    sharing: "one place of a picture, its channels only",
    effect: "What is bright or dark is gone, only the mixture of colours at each place is left.",
    rust: ({ c }) => `LayerNorm::new(${c})\n    .channels_first()`, torch: ({ c }) => `LayerNorm2d(${c}`,
  },
];

/// The layer in Rust, and in PyTorch where it has it.
export function code(norm, settings) {
  const rust = `GpuNorm::new(&gpu,\n    ${norm.rust(settings)}.eps(${eps(settings.eps)}))?`;
  return norm.torch ? `${rust}\n\n${norm.torch(settings)}, eps=${eps(settings.eps)})` : rust;
}
