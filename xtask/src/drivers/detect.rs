//! Looks for drivers in the places where the Vulkan loader and the dynamic linker look.

use std::collections::HashMap;
use std::env::{self, consts::ARCH};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::driver::Driver;

/// A file tree and its environment: the host's, or a test's.
pub struct System {
    root: PathBuf,
    env: HashMap<OsString, OsString>,
}

impl System {
    pub fn host() -> Self {
        Self { root: "/".into(), env: env::vars_os().collect() }
    }

    pub fn missing(&self, wanted: &[Driver]) -> Vec<Driver> {
        wanted.iter().copied().filter(|driver| !self.has(*driver)).collect()
    }

    /// The name of the variable that replaces the loader's search for drivers, where one is set.
    pub fn icd_override(&self) -> Option<&'static str> {
        ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().find(|name| self.var(name).is_some())
    }

    fn has(&self, driver: Driver) -> bool {
        match driver {
            Driver::Vulkan => self.has_loader() && !self.icds().is_empty(),
            Driver::Lavapipe => self.has_loader() && self.has_icd("lvp_icd"),
            Driver::Radv => self.has_loader() && self.has_icd("radeon_icd"),
            Driver::MesaEgl => {
                self.has_library(|file| file == "libEGL.so.1")
                    && self.has_library(|file| file == "libEGL_mesa.so.0")
                    && self.has_gallium()
            }
            Driver::SwiftShader => self.has_loader() && self.swiftshader().is_some(),
        }
    }

    /// SwiftShader's file. Chromium's is where no loader looks by itself.
    pub fn swiftshader(&self) -> Option<PathBuf> {
        let chromiums = || self.root.join("usr/lib/chromium/vk_swiftshader_icd.json");
        let mut found = self.icds().into_iter().chain(self.icd_override().is_none().then(chromiums));
        found.find(|file| name(file).starts_with("vk_swiftshader_icd") && file.is_file())
    }

    fn has_loader(&self) -> bool {
        self.has_library(|file| file == "libvulkan.so.1")
    }

    /// Mesa's OpenGL drivers are one library since 24.2, and one file each in `dri` before.
    fn has_gallium(&self) -> bool {
        self.has_library(|file| file.starts_with("libgallium-"))
            || self.library_dirs().iter().any(|dir| dir.join("dri/swrast_dri.so").exists())
    }

    fn has_library(&self, wanted: impl Fn(&str) -> bool) -> bool {
        // `exists` follows links: one without its target does not count.
        self.library_dirs().iter().flat_map(|dir| files(dir)).any(|file| wanted(name(&file)) && file.exists())
    }

    fn library_dirs(&self) -> Vec<PathBuf> {
        let mut dirs = self.paths("LD_LIBRARY_PATH");
        for base in ["lib", "lib64", "usr/lib", "usr/lib64", "usr/local/lib", "usr/local/lib64"] {
            let base = self.root.join(base);
            // Debian's own folder for each architecture.
            dirs.extend(files(&base).into_iter().filter(|dir| name(dir).starts_with(&format!("{ARCH}-linux-gnu"))));
            dirs.push(base);
        }
        dirs
    }

    fn has_icd(&self, start: &str) -> bool {
        self.icds().iter().any(|icd| name(icd).starts_with(start))
    }

    /// The files by which Vulkan drivers announce themselves.
    fn icds(&self) -> Vec<PathBuf> {
        let candidates = match self.icd_override() {
            // Each entry is a file or a folder.
            Some(variable) => {
                self.paths(variable).into_iter().flat_map(|path| [vec![path.clone()], files(&path)].concat()).collect()
            }
            None => self.data_dirs().iter().flat_map(|dir| files(&dir.join("vulkan/icd.d"))).collect::<Vec<_>>(),
        };
        candidates.into_iter().filter(|file| name(file).ends_with(".json") && file.is_file()).collect()
    }

    fn data_dirs(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> =
            ["etc", "usr/local/etc", "usr/local/share", "usr/share"].iter().map(|dir| self.root.join(dir)).collect();
        for variable in ["XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS"] {
            dirs.extend(self.paths(variable));
        }
        for home in self.paths("HOME") {
            dirs.extend([home.join(".config"), home.join(".local/share")]);
        }
        dirs
    }

    fn paths(&self, variable: &str) -> Vec<PathBuf> {
        self.var(variable).map(|value| env::split_paths(value).collect()).unwrap_or_default()
    }

    fn var(&self, name: &str) -> Option<&OsString> {
        self.env.get(&OsString::from(name)).filter(|value| !value.is_empty())
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Driver::{Lavapipe, MesaEgl, Radv, SwiftShader, Vulkan};

    /// An empty root of its own for each test.
    struct Root(System);

    impl Root {
        fn new(test: &str) -> Self {
            let root = env::temp_dir().join(format!("gpunorm-xtask-{}-{test}", std::process::id()));
            fs::create_dir_all(&root).unwrap();
            Self(System { root, env: HashMap::new() })
        }

        fn add(&self, path: &str) -> &Self {
            let path = self.0.root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
            self
        }

        fn set(&mut self, variable: &str, path: &str) {
            self.0.env.insert(variable.into(), self.0.root.join(path).into());
        }

        fn missing(&self) -> Vec<Driver> {
            self.0.missing(&[Vulkan, Lavapipe, MesaEgl])
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.root);
        }
    }

    #[test]
    fn an_empty_system_has_no_driver() {
        assert_eq!(Root::new("empty").missing(), [Vulkan, Lavapipe, MesaEgl]);
    }

    #[test]
    fn finds_debians_mesa() {
        let root = Root::new("debian");
        let lib = format!("usr/lib/{ARCH}-linux-gnu");
        root.add("usr/share/vulkan/icd.d/lvp_icd.x86_64.json").add(&format!("{lib}/libvulkan.so.1"));
        assert_eq!(root.missing(), [MesaEgl]);
        root.add(&format!("{lib}/libEGL.so.1")).add(&format!("{lib}/libEGL_mesa.so.0"));
        assert_eq!(root.missing(), [MesaEgl]);
        root.add(&format!("{lib}/dri/swrast_dri.so"));
        assert_eq!(root.missing(), []);
    }

    #[test]
    fn finds_a_new_mesa_in_lib64() {
        let root = Root::new("fedora");
        root.add("usr/share/vulkan/icd.d/lvp_icd.json").add("usr/lib64/libvulkan.so.1");
        root.add("usr/lib64/libEGL.so.1").add("usr/lib64/libEGL_mesa.so.0").add("usr/lib64/libgallium-25.1.4.so");
        assert_eq!(root.missing(), []);
    }

    #[test]
    fn a_real_gpus_driver_is_not_lavapipe() {
        let root = Root::new("nvidia");
        root.add("etc/vulkan/icd.d/nvidia_icd.json").add("usr/lib/libvulkan.so.1");
        assert_eq!(root.missing(), [Lavapipe, MesaEgl]);
    }

    #[test]
    fn radv_is_found_by_its_own_file() {
        let root = Root::new("radv");
        root.add("usr/share/vulkan/icd.d/lvp_icd.x86_64.json").add("usr/lib/libvulkan.so.1");
        assert_eq!(root.0.missing(&[Radv]), [Radv]);
        root.add("usr/share/vulkan/icd.d/radeon_icd.x86_64.json");
        assert_eq!(root.0.missing(&[Radv]), []);
    }

    #[test]
    fn a_driver_without_the_loader_does_not_count() {
        let root = Root::new("no-loader");
        root.add("usr/share/vulkan/icd.d/lvp_icd.json");
        root.add("usr/share/vulkan/icd.d/radeon_icd.json");
        assert_eq!(root.missing(), [Vulkan, Lavapipe, MesaEgl]);
        assert_eq!(root.0.missing(&[Radv]), [Radv]);
    }

    #[test]
    fn another_architectures_loader_does_not_count() {
        let root = Root::new("other-arch");
        root.add("usr/share/vulkan/icd.d/lvp_icd.json").add("usr/lib/other-linux-gnu/libvulkan.so.1");
        assert_eq!(root.missing(), [Vulkan, Lavapipe, MesaEgl]);
    }

    #[test]
    fn finds_a_driver_in_the_users_folders() {
        let mut root = Root::new("home");
        root.add("data/vulkan/icd.d/lvp_icd.json").add("opt/lib/libvulkan.so.1");
        root.set("XDG_DATA_HOME", "data");
        root.set("LD_LIBRARY_PATH", "opt/lib");
        assert_eq!(root.missing(), [MesaEgl]);
    }

    #[test]
    fn the_override_replaces_the_search() {
        let mut root = Root::new("override");
        root.add("usr/share/vulkan/icd.d/lvp_icd.json").add("usr/lib/libvulkan.so.1").add("own/radeon_icd.json");
        root.set("VK_ICD_FILENAMES", "own/radeon_icd.json");
        assert_eq!(root.missing(), [Lavapipe, MesaEgl]);
        root.set("VK_DRIVER_FILES", "usr/share/vulkan/icd.d");
        assert_eq!(root.missing(), [MesaEgl]);
        assert_eq!(root.0.icd_override(), Some("VK_DRIVER_FILES"));
    }

    #[test]
    fn finds_chromiums_swiftshader_or_the_one_that_is_named() {
        let mut root = Root::new("swiftshader");
        let debians = "usr/lib/chromium/vk_swiftshader_icd.json";
        root.add("usr/lib/libvulkan.so.1");
        assert_eq!(root.0.missing(&[SwiftShader]), [SwiftShader]);
        root.add(debians);
        assert_eq!(root.0.missing(&[SwiftShader, Vulkan]), [Vulkan]);
        assert_eq!(root.0.swiftshader(), Some(root.0.root.join(debians)));
        root.add("own/vk_swiftshader_icd.json");
        root.set("VK_DRIVER_FILES", "own");
        assert_eq!(root.0.swiftshader(), Some(root.0.root.join("own/vk_swiftshader_icd.json")));
        root.add("lvp_icd.json");
        root.set("VK_DRIVER_FILES", "lvp_icd.json");
        assert_eq!(root.0.swiftshader(), None);
    }

    #[test]
    fn an_override_that_names_no_file_hides_everything() {
        let mut root = Root::new("dangling");
        root.add("usr/share/vulkan/icd.d/lvp_icd.json").add("usr/lib/libvulkan.so.1");
        root.set("VK_DRIVER_FILES", "nowhere/lvp_icd.json");
        assert_eq!(root.missing(), [Vulkan, Lavapipe, MesaEgl]);
    }
}
