//! Modules import only from their own layer or from below: a module of `src/` in no layer, or one that names a module
//! above its own, fails. The files of a folder are the module of its name.

use std::collections::BTreeMap;
use std::path::Path;

/// From the ground up. `lib.rs` is above all.
const LAYERS: [&[&str]; 5] = [
    &["error", "dtype"],
    &["spec", "geometry", "reference", "state_dict"],
    &["caps", "kernel", "plan"],
    &["gpu", "pipeline", "memory", "tensor", "prepared", "profile"],
    &["encode", "state", "norm"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The source without comments.
fn code(source: &str) -> String {
    source.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// The first names behind every `crate::`, those of a group `crate::{a, b::c}` too.
fn imports(source: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect::<String>();
    let source = code(source);
    let mut found = vec![];
    for (_, rest) in source.match_indices("crate::").map(|(at, path)| source.split_at(at + path.len())) {
        let Some(group) = rest.strip_prefix('{') else {
            found.push(name(rest));
            continue;
        };
        let mut depth = 0;
        let mut begins = true;
        for (at, c) in group.char_indices() {
            match c {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ if begins && !c.is_whitespace() => {
                    found.push(name(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// What `lib.rs` re-exports, by the module that it comes from.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let code = code(lib);
    let mut exports = BTreeMap::new();
    for item in code.split(';').filter_map(|item| item.trim().strip_prefix("pub use ")) {
        let (module, names) = item.split_once("::").expect("pub use module::name");
        for name in names.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| !name.is_empty()) {
            exports.insert(name.to_owned(), module.to_owned());
        }
    }
    exports
}

/// What is wrong with the import of `name` in `module`.
fn complaint(module: &str, name: &str, exports: &BTreeMap<String, String>) -> Option<String> {
    let imported = exports.get(name).map_or(name, String::as_str);
    match (layer(module), layer(imported)) {
        (None, _) => Some(format!("src/{module}.rs is in no layer of this test")),
        (_, None) => Some(format!("src/{module}.rs imports crate::{name}, which is in no layer of this test")),
        (Some(own), Some(other)) if other > own => {
            Some(format!("src/{module}.rs (layer {own}) imports crate::{name} from {imported} (layer {other})"))
        }
        _ => None,
    }
}

/// All sources under `directory`, each with the top module that it belongs to.
fn sources(directory: &Path, top: Option<&str>) -> Vec<(String, String)> {
    let mut found = vec![];
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let module = top.unwrap_or(&name);
        if path.is_dir() {
            found.extend(sources(&path, Some(module)));
        } else {
            found.push((module.to_owned(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

#[test]
fn no_module_imports_from_a_layer_above_its_own() {
    let mut sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), None);
    let lib = sources.iter().position(|(module, _)| module == "lib").expect("lib.rs");
    let exports = exports(&sources.swap_remove(lib).1);
    let mut complaints = vec![];
    let mut count = 0;
    for (module, source) in &sources {
        if layer(module).is_none() {
            complaints.push(format!("src/{module}.rs is in no layer of this test"));
        }
        let imports = imports(source);
        count += imports.len();
        complaints.extend(imports.iter().filter_map(|name| complaint(module, name, &exports)));
    }
    for module in LAYERS.concat() {
        if !sources.iter().any(|(found, _)| found == module) {
            complaints.push(format!("{module} is in a layer of this test, but not in src/"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(count > 40, "only {count} imports were found");
}

#[test]
fn an_upward_import_is_noticed() {
    let source = "
        use crate::error::{Error, Result}; // and crate::norm in a comment
        use crate::{spec::{Mode, NormSpec}, Tensor,
            dtype};
        /// [`Plan`](crate::Plan)
        fn f() -> crate::plan::Plan {}
    ";
    assert_eq!(imports(source), ["error", "spec", "Tensor", "dtype", "plan"]);
    let exports =
        exports("pub mod caps;\npub use dtype::DType;\npub use spec::{\n    A, B,\n};\npub use tensor::Tensor;\n");
    assert_eq!(exports.len(), 4);
    let complains = |module, name| complaint(module, name, &exports).is_some();
    assert!(complains("spec", "Tensor") && complains("plan", "gpu") && complains("error", "B"));
    assert!(complains("plan", "nowhere") && complains("nowhere", "error"));
    assert!(!complains("plan", "caps") && !complains("norm", "Tensor") && !complains("tensor", "DType"));
}
