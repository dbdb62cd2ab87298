//! The page of `examples/web`, used as a person would: clicks, keys, files, a camera, a phone, no network, no GPU.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::browser::Browser;
use crate::devtools::Tab;
use crate::serve::Server;
use crate::steps::{ROOT, Runner, target};
use crate::web;

/// What all files of the page may take, compressed.
const MOST_BYTES: u64 = 500_000;

const DESKTOP: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

const TAB: (&str, u32) = ("Tab", 9);
const LEFT: (&str, u32) = ("ArrowLeft", 37);
const RIGHT: (&str, u32) = ("ArrowRight", 39);

/// A camera that needs no device and no permission.
const CAMERA: [&str; 2] = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

type Done = Result<(), String>;
/// One thing that a person does with the page.
type Part = fn(&mut Visit) -> Done;

struct Visit {
    tab: Tab,
    /// Where screenshots go.
    folder: PathBuf,
}

pub fn run(runner: &Runner) -> Done {
    let folder = web::build(runner)?;
    let start = Instant::now();
    let server = Server::start(&folder, 0).map_err(|error| format!("cannot serve: {error}"))?;
    let browser = Browser::open("about:blank", &[&["--remote-debugging-port=0"], &CAMERA[..]].concat())?;
    let mut visit = Visit { tab: Tab::of(browser.profile())?, folder: target("screenshots")? };
    let parts: [(&str, Part); 6] = [
        ("see", Visit::see),
        ("pictures", Visit::pictures),
        ("check", Visit::check),
        ("measure", Visit::measure),
        ("phone", Visit::phone),
        ("size", Visit::size),
    ];
    visit.open(server.address())?;
    for (name, part) in parts {
        part(&mut visit).map_err(|why| format!("the page, {name}: {why}"))?;
        match &visit.tab.failures()[..] {
            [] => {}
            failures => return Err(format!("the page, {name}: {}", failures.join("\n"))),
        }
    }
    let address = server.address().to_owned();
    visit.without_gpu(&address).map_err(|why| format!("the page without a GPU: {why}"))?;
    drop(server);
    visit.open(&address).map_err(|why| format!("the page without a network: {why}"))?;
    eprintln!("page      {:>6.1} s  screenshots are in {}", start.elapsed().as_secs_f64(), visit.folder.display());
    Ok(())
}

impl Visit {
    fn open(&mut self, address: &str) -> Done {
        self.tab.resize(DESKTOP.0, DESKTOP.1, false)?;
        self.tab.go(address)?;
        self.tab.wait("document.body?.dataset.ready === '' && document.querySelectorAll('#panels canvas').length > 0")
    }

    fn photograph(&mut self, name: &str) -> Done {
        self.tab.photograph(&self.folder.join(format!("{name}.png")))
    }

    /// What is seen of a picture that came out.
    fn output(&mut self, at: usize) -> Result<String, String> {
        self.tab.look(&format!("document.querySelectorAll('.panel:last-child canvas')[{at}].toDataURL()"))
    }

    /// What changes the picture that came out first.
    fn changes(&mut self, what: impl FnOnce(&mut Tab) -> Done) -> Done {
        let before = self.output(0)?;
        what(&mut self.tab)?;
        let other = format!("document.querySelector('.panel:last-child canvas').toDataURL() !== '{before}'");
        self.tab.wait(&other)
    }

    fn see(&mut self) -> Done {
        self.tab.expect("document.querySelectorAll('#panels article').length === 4")?;
        self.photograph("see")?;
        // By mouse: a norm, its groups, and a set of elements that share a statistic.
        self.changes(|tab| tab.click("#norms label:nth-of-type(4)"))?;
        self.tab.expect("document.getElementById('code').textContent.includes('nn.GroupNorm(2, 4, eps=1e-5)')")?;
        self.changes(|tab| tab.click("#groups label:nth-of-type(3)"))?;
        self.tab.expect("document.getElementById('sharing').textContent.includes('16, of 16,384 values')")?;
        self.tab.point("#cubes polygon:last-of-type")?;
        self.tab.wait("/^Set \\d+ of 16/.test(document.getElementById('chosen').textContent)")?;
        self.photograph("see-a-set")?;
        // By keyboard: eps, a weight, the cube.
        for (slider, key) in [("[name=eps]", RIGHT), ("[name=weight-R]", LEFT), ("[name=bias-B]", RIGHT)] {
            self.tab.look(&format!("document.querySelector('{slider}').focus()"))?;
            self.changes(|tab| (0..8).try_for_each(|_| tab.press(key)))?;
        }
        self.tab.point("h1")?;
        self.tab.look("document.getElementById('cubes').focus()")?;
        self.tab.press(RIGHT)?;
        self.tab.wait("document.getElementById('chosen').textContent.startsWith('Set 1 of 16')")?;
        self.changes(|tab| tab.click("[type=reset]"))?;
        // The shares of switchable norm.
        self.changes(|tab| tab.click("#norms label:nth-of-type(5)"))?;
        self.changes(|tab| tab.click_at("[name=mean-Instance]", 0.02))?;
        self.changes(|tab| tab.click_at("[name=variance-Batch]", 0.98))?;
        self.tab.expect("document.querySelectorAll('#cubes figure').length === 3")?;
        self.photograph("see-switchable")?;
        for norm in [6, 7, 3, 2] {
            self.changes(|tab| tab.click(&format!("#norms label:nth-of-type({norm})")))?;
        }
        Ok(())
    }

    fn pictures(&mut self) -> Done {
        // Browsers take no path with `..`.
        let root = Path::new(ROOT).canonicalize().map_err(|error| format!("{ROOT}: {error}"))?;
        let [chosen, dropped] = ["docs/gallery.png", "docs/stylize.png"].map(|file| root.join(file));
        let names = "[...document.querySelectorAll('#panels h3')].map((name) => name.textContent).join()";
        self.tab.choose("#files", &chosen)?;
        self.tab.wait(&format!("{names} === 'gallery,noon,fog,sunset,night'"))?;
        self.tab.drop_file("#panels", &dropped)?;
        self.tab.wait(&format!("{names} === 'stylize,gallery,noon,fog,sunset,night'"))?;
        self.photograph("see-pictures")?;
        self.tab.click("#panels article:nth-child(6) button")?;
        self.tab.wait(&format!("{names} === 'stylize,gallery,noon,fog,sunset'"))?;
        self.tab.click("#camera")?;
        self.tab.wait(&format!("{names} === 'camera,stylize,gallery,noon,fog,sunset'"))?;
        self.changes(|_| Ok(()))?;
        self.tab.click("#camera")?;
        self.tab.expect("document.getElementById('camera').getAttribute('aria-pressed') === 'false'")?;
        self.tab.click("#landscapes")?;
        self.tab.wait(&format!("{names} === 'noon,fog,sunset,night'"))
    }

    fn check(&mut self) -> Done {
        // By keyboard all the way.
        self.tab.look("document.getElementById('tab-see').focus()")?;
        self.tab.press(RIGHT)?;
        self.tab.expect("!document.getElementById('check').hidden")?;
        self.tab.press(TAB)?;
        self.tab.expect("document.activeElement.id === 'check-all'")?;
        self.tab.enter()?;
        self.tab.wait("/^[✓✗T]/.test(document.getElementById('check-summary').textContent)")?;
        self.tab
            .expect("document.getElementById('check-summary').textContent")
            .or_else(|said| if said.starts_with("✓ All 84 comparisons") { Ok(()) } else { Err(said) })?;
        self.photograph("check")
    }

    fn measure(&mut self) -> Done {
        self.tab.click("#tab-measure")?;
        self.tab.click("#measure-each")?;
        self.tab
            .wait("!document.getElementById('measured').hidden && !document.getElementById('measure-each').disabled")?;
        self.tab.expect("document.querySelectorAll('#measure-table tbody tr').length === 6")?;
        self.photograph("measure")?;
        self.tab.expect("document.getElementById('issue').href.length < 8000")?;
        self.tab.expect(
            "fetch(document.getElementById('json').href).then((file) => file.json())
                .then(({ rows }) => rows.length === 6 && rows.every(({ ratio }) => ratio > 0 && ratio < 10))",
        )
    }

    fn phone(&mut self) -> Done {
        self.tab.resize(PHONE.0, PHONE.1, true)?;
        for part in ["see", "check", "measure"] {
            self.tab.click(&format!("#tab-{part}"))?;
            self.tab.expect("document.documentElement.scrollWidth <= innerWidth")?;
            self.photograph(&format!("phone-{part}"))?;
        }
        self.tab.resize(DESKTOP.0, DESKTOP.1, true)?;
        self.tab.click("#tab-see")?;
        self.photograph("see-dark")
    }

    fn size(&mut self) -> Done {
        let bytes = self.tab.look(
            "caches.open('gpunorm').then((kept) => kept.keys()).then((files) => Promise.all(files.map(async (file) => {
                const zipped = (await fetch(file)).body.pipeThrough(new CompressionStream('gzip'));
                return (await new Response(zipped).arrayBuffer()).byteLength;
            }))).then((sizes) => sizes.reduce((a, b) => a + b))",
        )?;
        eprintln!("page      {bytes} bytes with gzip");
        match bytes.parse() {
            Ok(bytes @ 1..=MOST_BYTES) if bytes > MOST_BYTES / 10 => Ok(()),
            _ => Err(format!("{bytes} bytes with gzip; {MOST_BYTES} is the most")),
        }
    }

    /// The oracle shows what norms do, and the page says why.
    fn without_gpu(&mut self, address: &str) -> Done {
        self.tab.call("Page.addScriptToEvaluateOnNewDocument", "\"source\":\"delete Navigator.prototype.gpu\"")?;
        self.open(address)?;
        self.tab.expect("!document.getElementById('missing').hidden")?;
        self.changes(|tab| tab.click("#norms label:nth-of-type(3)"))?;
        self.photograph("without-gpu")?;
        self.tab.click("#tab-check")?;
        self.tab.expect("document.getElementById('check-all').disabled")
    }
}
