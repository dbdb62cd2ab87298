//! Writes every linked kernel for editors and other compilers (`cargo xtask shaders`): the WGSL that a browser would get, and
//! what naga makes of it for Metal (`--msl`) and DX12 (`--hlsl`), as wgpu's backends have it made; and has that HLSL compiled.

use std::error::Error;
use std::path::{Path, PathBuf};

use gpunorm::unstable::{F16, Kernel, Target};
use rayon::prelude::*;

mod glslang;
#[path = "../suite/translation.rs"]
#[allow(dead_code, reason = "the suite has more of it")]
mod translation;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("the folder to write to?")?);
    let languages: Vec<String> = args.collect();
    let wanted = |language: &str| languages.iter().any(|arg| arg == language);
    std::fs::create_dir_all(&folder)?;
    let kernels = Kernel::all();
    let browser = Target { browser: true, ..Target::default() };
    for kernel in &kernels {
        std::fs::write(file(&folder, *kernel, "wgsl"), kernel.link(browser))?;
    }
    println!("{} kernels in {}", kernels.len(), folder.display());
    if wanted("--msl") {
        for kernel in &kernels {
            let (module, info) = translation::with_overrides(*kernel, F16::Integer, &[]);
            std::fs::write(file(&folder, *kernel, "metal"), translation::msl(&module, &info)?)?;
        }
        println!("their MSL beside them, which no compiler here knows");
    }
    if wanted("--hlsl") {
        let compile = |kernel: &Kernel| compile_hlsl(&folder, *kernel).map_err(|error| format!("{kernel:?}: {error}"));
        let refused: Vec<_> = kernels.par_iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        let refused: Vec<_> = refused.into_iter().flatten().collect();
        println!("their HLSL beside them, of which glslang compiles {}", kernels.len() - refused.len());
        if let Some(first) = refused.first() {
            return Err(format!("{} of them it refuses, the first one so:\n{first}", refused.len()).into());
        }
    }
    Ok(())
}

fn file(folder: &Path, kernel: Kernel, extension: &str) -> PathBuf {
    folder.join(format!("{}.{extension}", kernel.permutation()))
}

/// What its compiler says against it, if anything.
fn compile_hlsl(folder: &Path, kernel: Kernel) -> Result<Option<String>, Box<dyn Error>> {
    let (module, info) = translation::with_overrides(kernel, F16::Integer, &[]);
    let hlsl = translation::hlsl(&module, &info)?;
    std::fs::write(file(folder, kernel, "hlsl"), &hlsl)?;
    Ok(glslang::refuses(&hlsl, kernel.name(), &file(folder, kernel, "glslang.hlsl"))?)
}
