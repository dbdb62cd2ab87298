//! HLSL by glslang, the one compiler of it that Linux distributions have. It parses and types a shader, as DX12's compilers do
//! first; what theirs make of it afterwards is not seen here.

use std::path::Path;
use std::process::Command;

/// What it says against a kernel with this entry point, if anything.
pub fn refuses(hlsl: &str, entry: &str, file: &Path) -> Result<Option<String>, std::io::Error> {
    std::fs::write(file, with_lists(hlsl))?;
    let mut glslang = Command::new("glslangValidator");
    let spirv = file.with_extension("spv");
    glslang.args(["-D", "-S", "comp", "--target-env", "vulkan1.1", "-e", entry, "-o"]).arg(&spirv).arg(file);
    let output = glslang.output()?;
    for file in [file, &spirv] {
        let _ = std::fs::remove_file(file);
    }
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// It does not know how naga writes an array of zeros, `(T[n])0`, which DX12's compilers do: here it is a list of them.
fn with_lists(hlsl: &str) -> String {
    hlsl.lines().map(|line| array_of_zeros(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

fn array_of_zeros(line: &str) -> Option<String> {
    let (before, cast) = line.strip_suffix("])0;")?.rsplit_once('(')?;
    let (element, count) = cast.split_once('[')?;
    let count: usize = count.parse().ok()?;
    let zeros = format!("{{ {} }}", vec![format!("({element})0"); count].join(", "));
    let declared = before.trim_start().contains(' ') && before.ends_with("= ") && before.contains(']');
    Some(match before.trim() {
        _ if declared => format!("{before}{zeros};"),
        "return" => format!("{element} zeros[{count}] = {zeros}; return zeros;"),
        assigned => format!("{{ {element} zeros[{count}] = {zeros}; {assigned} zeros; }}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_zeros_are_lists() {
        for (written, list) in [
            ("    float few[2] = (float[2])0;", "    float few[2] = { (float)0, (float)0 };"),
            ("    return (uint4[1])0;", "uint4 zeros[1] = { (uint4)0 }; return zeros;"),
            ("    own = (Sums[1])0;", "{ Sums zeros[1] = { (Sums)0 }; own = zeros; }"),
        ] {
            assert_eq!(array_of_zeros(written).as_deref(), Some(list));
        }
        assert_eq!(array_of_zeros("    Sums own = (Sums)0;"), None);
        assert_eq!(array_of_zeros("    x = values[1];"), None);
    }
}
