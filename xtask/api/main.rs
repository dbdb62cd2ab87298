//! Compares what rustdoc says of the crate (JSON) with `docs/public-api.txt`, which reviews see change; `--bless` writes it anew.
//! `unstable`, which promises nothing, is not in it.

use std::error::Error;

use public_api::Builder;
use similar::{ChangeTag, TextDiff};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(json), Some(listed)) = (args.next(), args.next()) else {
        return Err("rustdoc's JSON and the list, please".into());
    };
    let api = Builder::from_rustdoc_json(json)
        .omit_auto_derived_impls(true)
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .build()?;
    let lines = api.items().map(|item| item.to_string()).filter(|line| !line.contains("gpunorm::unstable"));
    let found: String = lines.map(|line| line + "\n").collect();
    if args.next().as_deref() == Some("--bless") {
        std::fs::write(&listed, found)?;
        return Ok(());
    }
    let before = std::fs::read_to_string(&listed)?;
    let diff = TextDiff::from_lines(&before, &found);
    let changes: Vec<String> = diff
        .iter_all_changes()
        .filter(|change| change.tag() != ChangeTag::Equal)
        .map(|change| format!("{}{change}", change.tag()))
        .collect();
    if changes.is_empty() {
        println!("the public interface is what {listed} says, {} lines", found.lines().count());
        return Ok(());
    }
    print!("{}", changes.concat());
    Err(format!("the public interface is not what {listed} says. If it should be: cargo xtask api --bless").into())
}
