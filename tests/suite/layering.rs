//! The house has floors: a folder of `src/` imports only from those below it, and files of one folder, here and in tests,
//! benches, examples and xtask, import one another in no circle. A sub-folder counts as a file of the folder that it is in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// `src/` from the ground up; `lib.rs` is above all.
const FLOORS: [&str; 10] =
    ["dtype", "error", "group", "spec", "reference", "kernel", "plan", "device", "layer", "unstable"];

/// Every crate's folder of modules.
const CRATES: [&str; 12] = [
    "src",
    "tests/suite",
    "benches",
    "examples/gallery",
    "examples/kit",
    "examples/stylize",
    "examples/train_digits",
    "examples/transformer_block",
    "examples/web",
    "integrations/burn/src",
    "integrations/burn/tests/suite",
    "xtask/src",
];

/// Where a file's module is: its names from the crate's root on.
type Module = Vec<String>;

/// A crate's sources by module, the roots (`lib.rs`, `main.rs`) by none.
type Sources = BTreeMap<Module, String>;

/// A file that imports another one.
type Import = (Module, Module);

fn module(path: &str) -> Module {
    path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn read(folder: &Path, within: &[String], sources: &mut Sources) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let inside = [within, std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            read(&path, &inside, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_root = ["lib", "main", "mod"].contains(&&*name);
            sources.insert(if is_root { within.to_vec() } else { inside }, std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The source without comments; in its own tests, `super` is the file itself.
fn code(source: &str) -> String {
    let code: Vec<&str> = source.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
    let code = code.join("\n");
    match code.split_once("\nmod tests {") {
        Some((code, tests)) => format!("{code}\nmod tests {{{}", tests.replace("super::", "self::")),
        None => code,
    }
}

/// All paths of a use tree: `a::{b, c::d}` has `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, group)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or("").trim().to_owned()];
    };
    let (mut depth, mut begin, mut paths) = (0, 0, vec![]);
    let group = &group[..group.rfind('}').expect("a group ends")];
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let inner = group[begin..at].trim();
                paths.extend(expand(inner).into_iter().filter(|_| !inner.is_empty()));
                begin = at + 1;
            }
            _ => {}
        }
    }
    paths.iter().map(|path| format!("{}{path}", before.trim()).replace("::self", "")).collect()
}

/// What a file names: the paths that it imports or names in full, and those of them that it only hands on.
fn paths(source: &str) -> (Vec<String>, Vec<String>) {
    let (mut used, mut handed_on, mut body) = (vec![], vec![], String::new());
    let code = code(source);
    let mut rest = &*code;
    let is_use = |at: usize, code: &str| {
        code[..at]
            .rsplit('\n')
            .next()
            .is_some_and(|line| ["", "pub", "pub(crate)", "pub(super)"].contains(&line.trim()))
    };
    while let Some(at) = rest.find("use ") {
        let (before, after) = rest.split_at(at);
        if !is_use(at, rest) {
            body.push_str(&rest[..at + 4]);
            rest = &after[4..];
            continue;
        }
        let end = after.find(';').expect("a use ends");
        let public = before.rsplit('\n').next().is_some_and(|line| line.trim().starts_with("pub"));
        if public { &mut handed_on } else { &mut used }.extend(expand(&after[4..end]));
        body.push_str(before);
        rest = &after[end + 1..];
    }
    body.push_str(rest);
    let word = |c: char| c.is_alphanumeric() || c == '_';
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in body.match_indices(start).filter(|(at, _)| !body[..*at].ends_with([':', '_'])) {
            let path = body[at..].split(|c: char| !word(c) && c != ':').next().unwrap_or("");
            used.push(path.trim_end_matches(':').to_owned());
        }
    }
    // What it hands on and uses itself, it imports.
    let words: BTreeSet<&str> = body.split(|c: char| !word(c)).collect();
    used.extend(handed_on.iter().filter(|path| words.contains(path.rsplit("::").next().unwrap())).cloned());
    (used, handed_on)
}

/// The file whose item `path` is, seen from the file `from`; nothing for other crates.
fn resolve(sources: &Sources, from: &Module, path: &str) -> Option<Module> {
    let mut at = from.clone();
    let mut names = path.split("::").peekable();
    match *names.peek()? {
        "crate" => at = vec![],
        "super" | "self" => {}
        first => {
            let child = [&at[..], &[first.to_owned()]].concat();
            if !sources.contains_key(&child) && !is_folder(sources, &child) {
                return None;
            }
        }
    }
    for name in names {
        match name {
            "crate" | "self" => continue,
            "super" => drop(at.pop()),
            name => {
                let child = [&at[..], &[name.to_owned()]].concat();
                if sources.contains_key(&child) || is_folder(sources, &child) {
                    at = child;
                    continue;
                }
                let handed_on = sources.get(&at).map(|source| paths(source).1).unwrap_or_default();
                let path = handed_on.into_iter().find(|path| path.rsplit("::").next() == Some(name));
                return Some(path.and_then(|path| resolve(sources, &at, &path)).unwrap_or(at));
            }
        }
    }
    Some(at)
}

fn is_folder(sources: &Sources, module: &Module) -> bool {
    sources.keys().any(|other| other.len() > module.len() && other.starts_with(module))
}

fn imports(sources: &Sources) -> BTreeSet<Import> {
    let all = sources.iter().flat_map(|(from, source)| {
        let targets = paths(source).0.into_iter().filter_map(|path| resolve(sources, from, &path));
        targets.map(|to| (from.clone(), to)).collect::<Vec<_>>()
    });
    all.filter(|(from, to)| from != to).collect()
}

/// The two entries of one folder that an import goes between; `.` is the folder's own file.
fn entries((from, to): &Import) -> (Module, [String; 2]) {
    let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let entry = |module: &Module| module.get(common).cloned().unwrap_or(".".into());
    (from[..common].to_vec(), [entry(from), entry(to)])
}

/// Those that one comes back from to where one began, in each folder.
fn circles(imports: &BTreeSet<Import>) -> Vec<String> {
    let mut folders: BTreeMap<Module, BTreeSet<[String; 2]>> = BTreeMap::new();
    for import in imports {
        let (folder, edge) = entries(import);
        folders.entry(folder).or_default().insert(edge);
    }
    let mut circles = vec![];
    for (folder, mut edges) in folders {
        // What imports nothing of the folder any more is in no circle.
        loop {
            let before = edges.len();
            let importing: BTreeSet<String> = edges.iter().map(|[from, _]| from.clone()).collect();
            edges.retain(|[_, to]| importing.contains(to));
            let imported: BTreeSet<String> = edges.iter().map(|[_, to]| to.clone()).collect();
            edges.retain(|[from, _]| imported.contains(from));
            if edges.len() == before {
                break;
            }
        }
        if !edges.is_empty() {
            let edges: Vec<String> = edges.iter().map(|[from, to]| format!("{from} -> {to}")).collect();
            circles.push(format!("{}: {}", folder.join("/"), edges.join(", ")));
        }
    }
    circles
}

/// Imports from the same floor or one above, and what is on no floor.
fn climbs(imports: &BTreeSet<Import>) -> Vec<String> {
    let floor = |module: &Module| match module.first() {
        None => Some(FLOORS.len()),
        Some(name) => FLOORS.iter().position(|floor| floor == name),
    };
    let between = imports.iter().filter(|(from, to)| from.first() != to.first());
    let climbs = between.filter(|(from, to)| floor(from).zip(floor(to)).is_none_or(|(from, to)| to >= from));
    climbs.map(|(from, to)| format!("{} imports from {}", from.join("/"), to.join("/"))).collect()
}

fn sources(folder: &str) -> Sources {
    let mut sources = Sources::new();
    read(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(folder), &[], &mut sources);
    sources
}

#[test]
fn folders_import_from_below_and_files_in_no_circle() {
    let mut complaints = vec![];
    for folder in CRATES {
        let sources = sources(folder);
        assert!(sources.len() > 1, "{folder}: only {} files were found", sources.len());
        let imports = imports(&sources);
        complaints.extend(circles(&imports).iter().map(|circle| format!("{folder}/{circle}")));
    }
    let src = sources("src");
    complaints.extend(climbs(&imports(&src)));
    let found: BTreeSet<&str> = src.keys().filter_map(|module| Some(&**module.first()?)).collect();
    assert_eq!(found, FLOORS.into(), "the folders and files of src/");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// A crate of these files.
fn written(files: &[(&str, &str)]) -> BTreeSet<Import> {
    imports(&files.iter().map(|(path, source)| (module(path), source.to_string())).collect())
}

#[test]
fn imports_are_found_however_they_are_written() {
    let found = written(&[
        ("", "pub use device::Gpu;\npub mod plan;"),
        ("error", "use std::fmt; // use crate::plan::a\n/// [`A`](crate::plan::A)"),
        ("device", "mod memory;\npub use gpu::Gpu;\npub(crate) use memory::{\n    Lease,\n    Pool as P,\n};"),
        ("device::gpu", "use super::Lease;\nuse crate::{error::{Error, Result}, plan::{self}};"),
        ("device::memory", "\nmod tests {\n    use super::*;\n    use crate::Gpu;\n}"),
        ("plan", "fn f() -> crate::error::Error { self::fit::g() }\nmod fit;"),
        ("plan::fit", "use super::super::error;\nuse external::crate_name;"),
    ]);
    let expected = [
        ("device::gpu", "device::memory"),
        ("device::gpu", "error"),
        ("device::gpu", "plan"),
        ("device::memory", "device::gpu"),
        ("plan", "error"),
        ("plan", "plan::fit"),
        ("plan::fit", "error"),
    ];
    assert_eq!(found, expected.iter().map(|(from, to)| (module(from), module(to))).collect());
}

#[test]
fn circles_and_climbs_are_noticed() {
    let two = written(&[("a", "use crate::b::c::C;"), ("b::c", ""), ("b::d", "use crate::a::A;")]);
    assert_eq!(circles(&two), [": a -> b, b -> a"]);
    let own = written(&[("a", "mod b;\npub use b::B;\npub struct A(B);"), ("a::b", "use super::A;")]);
    assert_eq!(circles(&own), ["a: . -> b, b -> ."]);
    let handed_on = written(&[("a", "mod b;\npub use b::B;\npub struct A;"), ("a::b", "use super::A;")]);
    assert!(circles(&handed_on).is_empty() && handed_on.len() == 1);
    let three =
        [("a", "use crate::b::B;"), ("b", "use crate::c::C;"), ("c", "use crate::a::A;"), ("d", "use crate::a;")];
    assert_eq!(circles(&written(&three)), [": a -> b, b -> c, c -> a"]);

    let floors = |from, to| climbs(&BTreeSet::from([(module(from), module(to))])).is_empty();
    assert!(floors("layer::norm", "plan") && floors("plan::fit", "plan::caps") && floors("", "layer"));
    assert!(
        !floors("plan::fit", "device") && !floors("error", "spec") && !floors("plan", "") && !floors("spec", "new")
    );
}
