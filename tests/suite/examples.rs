//! The examples, run as a user runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{Rgb, RgbImage, imageops};

/// The gallery's layout: the corner of the first panel, its size, and the steps to the next column and row.
const CORNER: (u32, u32) = (44, 72);
const PANEL: u32 = 192;
const STEP: (u32, u32) = (208, 322);
const COLUMNS: u32 = 6;
const INPUT: u32 = 0;
const INSTANCE: u32 = 3;

/// Cargo puts examples next to the folder that this test runs from.
fn run<S: AsRef<std::ffi::OsStr>>(example: &str, args: impl IntoIterator<Item = S>) -> Output {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let binary = folder.join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.exists(),
        "{} is missing: `cargo test` builds it, `cargo test --test suite` does not; run `cargo build --examples` first",
        binary.display()
    );
    Command::new(binary).args(args).output().unwrap()
}

fn succeed<S: AsRef<std::ffi::OsStr>>(example: &str, args: impl IntoIterator<Item = S>) -> String {
    let output = run(example, args);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{example}: {}\n{text}\n{errors}", output.status);
    text.into_owned()
}

/// What it says on the way out.
fn fail<S: AsRef<std::ffi::OsStr>>(example: &str, args: impl IntoIterator<Item = S>) -> String {
    let output = run(example, args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{example}: {}\n{errors}", output.status);
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

/// An empty folder for the files of one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The gallery's picture, checked to be of `rows` rows.
fn gallery(photos: &[PathBuf], out: PathBuf, rows: u32) -> RgbImage {
    let text = succeed("gallery", photos.iter().cloned().chain(["--out".into(), out.clone()]));
    assert!(text.contains(&format!("wrote {}", out.display())), "{text}");
    let image = image::open(&out).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (CORNER.0 + COLUMNS * STEP.0 + 4, CORNER.1 + rows * STEP.1 + 60));
    image
}

fn panel(image: &RgbImage, column: u32, row: u32) -> RgbImage {
    imageops::crop_imm(image, CORNER.0 + column * STEP.0, CORNER.1 + row * STEP.1, PANEL, PANEL).to_image()
}

/// The mean distance of two panels' bytes, and the largest.
fn distance(a: &RgbImage, b: &RgbImage) -> (f64, u8) {
    let distances = || a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = distances().map(f64::from).sum();
    (sum / a.as_raw().len() as f64, distances().max().unwrap())
}

#[test]
fn quickstart_shows_every_norm_within_tolerance() {
    let text = succeed("quickstart", ["--quick"]);
    let rows = [
        ("BatchNorm", "training"),
        ("BatchNorm", "evaluation"),
        ("LayerNorm", "both alike"),
        ("InstanceNorm", "both alike"),
        ("InstanceNorm, tracked", "training"),
        ("InstanceNorm, tracked", "evaluation"),
        ("GroupNorm", "both alike"),
        ("SwitchableNorm", "training"),
        ("SwitchableNorm", "evaluation"),
        ("RmsNorm", "both alike"),
    ];
    for ((norm, mode), pass) in rows.into_iter().flat_map(|row| ["forward", "backward"].map(|pass| (row, pass))) {
        let has = |line: &str, cell: &str| line.contains(&format!("  {cell}  "));
        let shown = text.lines().any(|line| line.starts_with(norm) && has(line, mode) && has(line, pass));
        assert!(shown, "no row for {norm}, {mode}, {pass}:\n{text}");
    }
    assert!(text.contains(&format!("All {} rows are within tolerance", 2 * rows.len())), "{text}");
    assert!(fail("quickstart", ["--quicker"]).contains("usage"));
}

#[test]
fn own_training_learns_in_one_pass() {
    let text = succeed("own_training", [""; 0]);
    assert!(text.contains("weight [0.500, 1.500], bias [-0.250, -0.250]"), "{text}");
}

#[test]
fn own_device_needs_one_submission() {
    let text = succeed("own_device", [""; 0]);
    assert!(text.contains("dispatch") && text.contains("in 1 submission"), "{text}");
}

#[test]
fn gallery_shows_what_each_norm_does() {
    let image = gallery(&[], folder("lights").join("new/gallery.png"), 4);
    for row in 0..4 {
        let panels: Vec<RgbImage> = (0..COLUMNS).map(|column| panel(&image, column, row)).collect();
        for a in 0..panels.len() {
            for b in 0..a {
                let (mean, _) = distance(&panels[a], &panels[b]);
                assert!(mean > 2.0, "row {row}: columns {a} and {b} differ by {mean} only");
            }
        }
        // The lights change contrast and brightness of a channel, which instance norm takes out of it.
        let (_, most) = distance(&panels[INSTANCE as usize], &panel(&image, INSTANCE, 0));
        assert!(most <= 1, "instance norm of rows 0 and {row} differ by {most}");
    }
}

#[test]
fn gallery_takes_photos_of_any_size() {
    let folder = folder("photos");
    let wide = RgbImage::from_fn(90, 30, |x, _| Rgb([[200, 0, 0], [0, 200, 0], [0, 0, 200]][x as usize / 30]));
    let tall = RgbImage::from_fn(33, 50, |x, y| Rgb([3 * x as u8, 5 * y as u8, 40]));
    let photos = [folder.join("wide.png"), folder.join("tall.jpg")];
    wide.save(&photos[0]).unwrap();
    tall.save(&photos[1]).unwrap();
    let image = gallery(&photos, folder.join("gallery.png"), 2);
    // Only the middle of a wide photo.
    let shown = panel(&image, INPUT, 0);
    for x in [32, PANEL / 2, PANEL - 32] {
        assert_eq!(shown[(x, PANEL / 2)], Rgb([0, 200, 0]), "at {x}");
    }
    for column in 0..COLUMNS {
        let (mean, _) = distance(&panel(&image, column, 0), &panel(&image, column, 1));
        assert!(mean > 2.0, "column {column}: the photos differ by {mean} only");
    }
    let alone = gallery(&photos[1..], folder.join("alone.png"), 1);
    // With a single picture, the batch is that picture.
    assert!(distance(&panel(&alone, 1, 0), &panel(&alone, INSTANCE, 0)).1 <= 1);
}

#[test]
fn gallery_says_what_it_cannot_read() {
    let folder = folder("unreadable");
    let (missing, text) = (folder.join("missing.png"), folder.join("text.png"));
    std::fs::write(&text, "no picture").unwrap();
    assert!(fail("gallery", [&missing]).contains("missing.png"));
    assert!(fail("gallery", [&text]).contains("text.png is no PNG or JPEG"));
    assert!(fail("gallery", ["--bogus"]).contains("--bogus"));
    assert!(fail("gallery", ["--out"]).contains("--out needs a file"));
}

/// What norms are for: at a learning rate where the bare network stays at chance, `ln 10 = 2.30`, each norm's learns, and
/// faster than one whose inputs were scaled by hand.
#[test]
fn digits_are_learnt_with_a_norm_and_not_without() {
    let out = folder("train_digits");
    let text = succeed("train_digits", ["--steps", "80", "--out", out.to_str().unwrap()]);
    let row = |name: &str| -> Vec<f64> {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in\n{text}"));
        line[name.len()..].split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let bare = row("none");
    assert!(bare[1] > 2.2 || bare[1].is_nan(), "{text}");
    assert!(bare[2] < 20.0, "{text}");
    let scaled = row("none, x / 255")[1];
    assert!(scaled < bare[1], "{text}");
    for norm in ["BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "SwitchableNorm", "RmsNorm"] {
        let [_, loss, accuracy] = row(norm)[..] else { panic!("{text}") };
        assert!(loss < 1.8 && loss < scaled && accuracy > 30.0, "{norm}\n{text}");
    }
    for (file, lines) in [("loss.svg", 8), ("switchable_norm.svg", 6)] {
        let picture = std::fs::read_to_string(out.join(file)).unwrap();
        let drawn = picture.matches("<polyline").count();
        assert!(picture.starts_with("<svg") && drawn >= lines, "{file}: {drawn} lines");
    }
    for wrong in [["--steps", "0"], ["--rate", "fast"], ["--rate", "-1"], ["--rate", "inf"]] {
        assert!(fail("train_digits", wrong).contains(wrong[1]), "{wrong:?}");
    }
    assert!(fail("train_digits", ["--out", "/dev/null/x"]).contains("/dev/null/x"));
    assert!(fail("train_digits", ["--nonsense"]).contains("no such option: --nonsense"));
    assert!(succeed("train_digits", ["--help"]).starts_with("usage: train_digits"));
}

/// Each gradient is what the loss does, also through norms that add to the stream and keep the sum; and it learns.
#[test]
fn transformer_block_learns_to_write() {
    let checked = succeed("transformer_block", ["--check"]);
    for name in ["tokens", "positions", "attention in", "mlp down", "norm", "last norm", "head"] {
        assert!(checked.lines().any(|line| line.starts_with(name)), "no {name} in\n{checked}");
    }
    let out = folder("transformer_block").join("new/loss.svg");
    let words = ["--steps", "40", "--write", "5", "--out"];
    let text = succeed("transformer_block", words.map(Path::new).into_iter().chain([&*out]));
    let line = text.lines().find_map(|line| line.strip_prefix("new sentences: ")).unwrap_or_else(|| panic!("{text}"));
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [loss, floor] = numbers[..] else { panic!("{text}") };
    // Who sees the letter before and no others has 1.45 at best: it has to attend.
    assert!(floor < loss && loss < 1.45, "{text}");
    let picture = std::fs::read_to_string(&out).unwrap();
    assert!(picture.starts_with("<svg") && picture.matches("<polyline").count() >= 2, "{picture}");
    for wrong in [["--steps", "0"], ["--write", "none"], ["--rate", "-1"]] {
        assert!(fail("transformer_block", wrong).contains(wrong[1]), "{wrong:?}");
    }
    assert!(fail("transformer_block", ["sentences"]).contains("no such option: sentences"));
    assert!(succeed("transformer_block", ["--help"]).starts_with("usage: transformer_block"));
}

/// The table's layout: the corner of the content, the size of a panel, and the steps to the next column and row.
const TABLE: (u32, u32) = (44, 326);
const PICTURE: u32 = 224;
const TABLE_STEP: (u32, u32) = (240, 276);

/// The table's panel so many columns and rows from the content.
fn table_panel(table: &RgbImage, column: u32, row: i32) -> RgbImage {
    let y = TABLE.1.checked_add_signed(row * TABLE_STEP.1 as i32).unwrap();
    imageops::crop_imm(table, TABLE.0 + column * TABLE_STEP.0, y, PICTURE, PICTURE).to_image()
}

/// Mean and standard deviation of R, G and B.
fn statistics(panel: &RgbImage) -> [[f64; 2]; 3] {
    [0, 1, 2].map(|channel| {
        let values: Vec<f64> = panel.pixels().map(|pixel| f64::from(pixel.0[channel])).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        [mean, variance.sqrt()]
    })
}

/// Roundings to bytes move a mean by half a step at most, and a deviation too. Nothing here is beyond black or white.
#[test]
fn stylize_gives_the_content_each_styles_statistics() {
    let folder = folder("stylize");
    let ramp = |of: fn(u32, u32) -> [u32; 3]| {
        RgbImage::from_fn(PICTURE, PICTURE, |x, y| Rgb(of(x, y).map(|value| u8::try_from(value).unwrap())))
    };
    let content = ramp(|x, y| [20 + x, 250 - y, (x + y) / 2]);
    let styles =
        [ramp(|x, y| [100 + x / 8, 60 + y / 4, 200 - x / 6]), ramp(|x, y| [90, 120 + (x * y) % 32, 80 + y / 5])];
    let names = ["content", "warm", "flat"].map(|name| folder.join(format!("{name}.png")));
    for (picture, name) in [&content].into_iter().chain(&styles).zip(&names) {
        picture.save(name).unwrap();
    }
    let out = folder.join("new/table.png");
    let text = succeed("stylize", names.iter().cloned().chain(["--out".into(), out.clone()]));
    assert!(text.contains(&format!("wrote {}", out.display())), "{text}");
    let table = image::open(&out).unwrap().to_rgb8();
    assert_eq!(table_panel(&table, 0, 0), content);
    for (style, column) in styles.iter().zip(1..) {
        assert_eq!(&table_panel(&table, column, -1), style);
        let coloured = table_panel(&table, column, 0);
        for (found, expected) in statistics(&coloured).into_iter().zip(statistics(style)) {
            for (found, expected) in found.into_iter().zip(expected) {
                assert!((found - expected).abs() <= 0.5, "column {column}: {found} instead of {expected}");
            }
        }
        // Ink only darkens.
        let drawn = table_panel(&table, column, 1);
        assert!(drawn.as_raw().iter().zip(coloured.as_raw()).all(|(drawn, coloured)| drawn <= coloured));
    }
    // Ramps have no edges to draw; the house that stands in the generated content has.
    let generated = folder.join("generated.png");
    succeed("stylize", ["--out".into(), generated.clone()]);
    let drawing = table_panel(&image::open(&generated).unwrap().to_rgb8(), 0, 1);
    let dark = drawing.pixels().filter(|pixel| pixel.0[0] < 60).count() as f64 / f64::from(PICTURE * PICTURE);
    assert!((0.01..0.2).contains(&dark), "{dark} of the drawing is ink");
    assert!(fail("stylize", &names[..1]).contains("needs a style"));
    assert!(fail("stylize", [&names[0], &folder.join("missing.png")]).contains("missing.png"));
}
