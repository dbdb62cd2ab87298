//! Kernels for runtimes other than this crate's own: with their overrides' values in the text, and bindings numbered in order.

use std::fmt::Write;

use super::binding::Binding;
use super::kernels::Kernel;
use super::target::Target;

impl Kernel {
    /// What it binds, and whether it writes it, by the numbers of a [baked](Self::bake) kernel: from 0 on, the uniform last.
    pub fn arguments(self) -> Vec<(Binding, bool)> {
        let mut arguments = self.bindings();
        arguments.sort_by_key(|&(binding, _)| (binding == Binding::Params, binding));
        arguments
    }

    /// The WGSL of this kernel as runtimes take it that pass no overrides, number bindings by their place among the arguments of a
    /// dispatch, and let tensors share buffers (CubeCL; an app with an arena): with these values of its overrides, others at their
    /// defaults. The entry point is called [`name`](Self::name), [`arguments`](Self::arguments) are in group 0.
    ///
    /// All storage is `read_write`. WebGPU has no buffer bound for reading and for writing in one dispatch, whatever the offsets, but
    /// twice for writing. That what is written overlaps nothing else is for the runtime to see to.
    pub fn bake(self, target: Target, constants: &[(&'static str, u32)]) -> String {
        let arguments = self.arguments();
        let mut source = String::new();
        for line in self.link(target).lines() {
            bake_line(line, constants, &arguments, &mut source);
            source.push('\n');
        }
        source
    }
}

/// Overrides and buffers are declared in a line each, which nothing precedes (shaders/README.md).
fn bake_line(line: &str, constants: &[(&'static str, u32)], arguments: &[(Binding, bool)], source: &mut String) {
    // Writing into a string does not fail.
    let _ = if let Some((name, declared)) = line.strip_prefix("override ").and_then(|line| line.split_once(": ")) {
        let value = constants.iter().find(|(constant, _)| *constant == name).map(|&(_, value)| value);
        match (value, declared.split_once(" = ")) {
            (Some(value), Some(("bool", _))) => write!(source, "const {name}: bool = {};", value != 0),
            (Some(value), Some((ty, _))) => write!(source, "const {name}: {ty} = {value}u;"),
            _ => write!(source, "const {name}: {declared}"),
        }
    } else if let Some((number, declared)) =
        line.strip_prefix("@group(0) @binding(").and_then(|line| line.split_once(')'))
    {
        let place = arguments.iter().position(|(binding, _)| number.parse() == Ok(*binding as u32));
        let declared = declared.replacen("var<storage, read>", "var<storage, read_write>", 1);
        write!(source, "@group(0) @binding({}){declared}", place.unwrap_or(arguments.len()))
    } else {
        source.write_str(line)
    };
}
