// Switchable norm's layer moments of the samples, batch moments of the channels, then the shares of the means and of
// the variances.
@group(0) @binding(10) var<storage, read> axes: array<vec4<f32>>;
override BATCH: bool = true;

fn axis(i: u32) -> Moments {
    let m = axes[i];
    return Moments(m.x, m.y, m.z, m.w);
}
