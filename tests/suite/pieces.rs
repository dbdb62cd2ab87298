//! The folders of `shaders/part` are interfaces: what the pieces of a kernel use of one another is what all alternatives
//! declare.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gpunorm::unstable::{F16, Kernel, Target};

/// The texts under shaders/, by their path there without the extension.
fn texts(folder: &Path, name: &str, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{name}{}", path.file_stem().unwrap().to_str().unwrap());
        if path.is_dir() {
            texts(&path, &format!("{name}/"), found);
        } else if path.extension().is_some_and(|extension| extension == "wgsl") {
            found.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// What a piece calls by name.
#[derive(Debug, PartialEq)]
struct Names<'a> {
    /// Functions, structs, aliases, constants, overrides and variables that it declares.
    declared: BTreeSet<&'a str>,
    /// All that it mentions, but for what comes after a dot.
    used: BTreeSet<&'a str>,
}

fn names(text: &str) -> Names<'_> {
    let (mut declared, mut used) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        let mut code = line.split("//").next().unwrap_or("");
        // Nothing else begins a line that is not indented.
        let top = !code.starts_with([' ', '}']);
        let mut declares = false;
        while let Some(start) = code.find(|c: char| c.is_ascii_alphabetic() || c == '_') {
            let (before, rest) = code.split_at(start);
            let (word, rest) =
                rest.split_at(rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len()));
            if !before.ends_with('.') {
                used.insert(word);
            }
            // Between `var` and its name is where it lies.
            if top && declares && !["storage", "uniform", "workgroup", "private", "read", "read_write"].contains(&word)
            {
                declared.insert(word);
                declares = false;
            }
            declares |= ["fn", "struct", "alias", "const", "override", "var"].contains(&word);
            code = rest;
        }
    }
    Names { declared, used }
}

/// The folder of an alternative, if the piece is one.
fn folder(piece: &str) -> Option<&str> {
    let (folder, _) = piece.strip_prefix("part/")?.rsplit_once('/').expect("pieces lie in folders");
    (folder != "common").then_some(folder)
}

/// What others use of a file, any alternative must have; so the files of a folder, those of folders in it too, declare all
/// that kernels use of any file that lies in it directly. A kernel links one of them at most, and some kernel links it.
#[test]
fn folders_are_interfaces() {
    let mut pieces = BTreeMap::new();
    texts(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shaders")), "", &mut pieces);
    // What the device layer copies with is no kernel of a norm.
    pieces.retain(|piece, _| !piece.starts_with("device/"));
    let names: BTreeMap<&str, Names> = pieces.iter().map(|(piece, text)| (&**piece, names(text))).collect();
    let mut interfaces: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut never: BTreeSet<&str> = names.keys().copied().collect();
    let targets = F16::ALL.map(|f16| Target { f16, ..Target::default() });
    for (kernel, target) in Kernel::all().into_iter().flat_map(|kernel| targets.map(|target| (kernel, target))) {
        let source = kernel.link(target);
        let source = source.strip_prefix("enable f16;\n").unwrap_or(&source);
        let linked: Vec<&str> =
            pieces.iter().filter(|(_, text)| source.contains(&***text)).map(|(piece, _)| &**piece).collect();
        assert_eq!(
            linked.iter().map(|&piece| pieces[piece].len()).sum::<usize>(),
            source.len(),
            "{kernel:?}: {linked:?}"
        );
        let mut chosen = BTreeSet::new();
        for &piece in &linked {
            never.remove(piece);
            let Some(folder) = folder(piece) else { continue };
            assert!(chosen.insert(folder.split('/').next()), "{kernel:?} links two of part/{folder}");
            let others = linked.iter().filter(|&&other| other != piece).flat_map(|other| &names[other].used);
            let used = others.filter(|name| names[piece].declared.contains(*name));
            interfaces.entry(folder).or_default().extend(used);
        }
    }
    assert!(never.is_empty(), "no kernel links {never:?}");
    let mut complaints = vec![];
    for (folder, interface) in &interfaces {
        let inside = names.iter().filter(|(piece, _)| piece.starts_with(&format!("part/{folder}/")));
        for (piece, names) in inside.clone() {
            let missing: Vec<_> = interface.difference(&names.declared).collect();
            if !missing.is_empty() {
                complaints.push(format!("{piece} lacks {missing:?}"));
            }
        }
        if interface.is_empty() || inside.count() < 2 {
            complaints.push(format!("part/{folder} gives no choice: {interface:?}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Texts refer to others by their paths, from shaders/ or from shaders/part.
#[test]
fn references_lead_somewhere() {
    let shaders = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shaders"));
    let mut pieces = BTreeMap::new();
    texts(shaders, "", &mut pieces);
    pieces.insert("README".into(), std::fs::read_to_string(shaders.join("README.md")).unwrap());
    let path = |c: char| !(c.is_ascii_alphanumeric() || "_/.".contains(c));
    let mut count = 0;
    for (piece, text) in &pieces {
        for name in text.split(path).filter_map(|word| word.strip_suffix(".wgsl")) {
            let found = pieces.contains_key(name) || pieces.contains_key(&format!("part/{name}"));
            assert!(found, "{piece} refers to {name}.wgsl");
            count += 1;
        }
    }
    assert!(count > 20, "only {count} references");
}

#[test]
fn names_are_found() {
    let text = "
// A struct in a comment.
alias Unit = vec4<f32>;
override WORKGROUP: u32 = 64u; // const C
@group(0) @binding(5) var<storage, read> moments: array<Unit>;
var<workgroup> partials: array<Unit, WORKGROUP>;

fn load(i: u32) -> Unit {
    var local = moments[i].member;
    return local;
}
";
    let Names { declared, used } = names(text);
    assert_eq!(declared, BTreeSet::from(["Unit", "WORKGROUP", "moments", "partials", "load"]));
    assert!(used.contains("local") && !used.contains("member") && !used.contains("comment"));
}
