//! The README is the front page of the repository, of crates.io and of docs.rs: its links and pictures work on each, and what
//! they lead to is in the package.

use std::path::Path;

/// Where docs.rs has the files of a package.
const PACKAGED: &str = "https://docs.rs/crate/gpunorm/latest/source/";

/// The targets of `[…](…)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// By the patterns of a manifest's `include`, of which `/*.md` is the only one with a star.
fn is_included(path: &str, manifest: &str) -> bool {
    let list = manifest.split_once("include = [").and_then(|(_, rest)| rest.split(']').next()).unwrap();
    list.split(',').map(|pattern| pattern.trim().trim_matches('"')).any(|pattern| match pattern {
        "/*.md" => path.ends_with(".md") && !path.contains('/'),
        folder => path.starts_with(&folder[1..]),
    })
}

#[test]
fn links_lead_to_what_is_packaged() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let links = links(&readme);
    assert!(links.len() > 10, "{links:?}");
    for link in &links {
        assert!(link.starts_with("https://"), "{link} works nowhere but beside the source");
        if let Some(path) = link.strip_prefix(PACKAGED) {
            assert!(root.join(path).is_file() && is_included(path, &manifest), "{path}");
        }
    }
    assert_eq!(links.iter().filter(|link| link.starts_with(PACKAGED)).count(), 13, "{links:?}");
}

/// `cargo xtask test-web` builds it for browsers, and runs it.
#[test]
fn the_program_for_browsers_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path| std::fs::read_to_string(root.join(path)).unwrap();
    assert!(read("README.md").contains(&format!("```rust,ignore\n{}```", read("tests/web/readme.rs"))));
}

/// `cargo xtask test-mpi` builds and runs it.
#[test]
fn the_program_for_processes_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path| std::fs::read_to_string(root.join(path)).unwrap();
    assert!(read("README.md").contains(&format!("```rust,ignore\n{}```", read("tests/mpi/readme.rs"))));
}

#[test]
fn what_is_not_packaged_is_noticed() {
    assert_eq!(links("![a](b) and [`c`](https://d/e)"), ["b", "https://d/e"]);
    let manifest = "include = [\"/src\", \"/*.md\"]";
    assert!(is_included("src/lib.rs", manifest) && is_included("README.md", manifest));
    assert!(!is_included("docs/a.png", manifest) && !is_included("docs/README.md", manifest));
}
