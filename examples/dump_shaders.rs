//! Writes every linked kernel to `target/shaders/`, as a browser would get it, for editors and other compilers
//! (`cargo xtask shaders`).

use std::path::Path;

use gpunorm::unstable::{Kernel, Target};

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/shaders");
    std::fs::create_dir_all(&folder)?;
    let kernels = Kernel::all();
    let browser = Target { browser: true, ..Target::default() };
    for kernel in &kernels {
        std::fs::write(folder.join(format!("{}.wgsl", kernel.permutation())), kernel.link(browser))?;
    }
    println!("{} kernels in {}", kernels.len(), folder.display());
    Ok(())
}
