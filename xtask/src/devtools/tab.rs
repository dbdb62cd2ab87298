//! A tab, and what a person does with it.

use std::fmt::Display;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::json::{bytes, quote, string};
use super::socket::Socket;

/// A tab that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(120);
const STARTS: Duration = Duration::from_secs(60);

type Result<T> = std::result::Result<T, String>;

pub struct Tab {
    socket: Socket,
    calls: u32,
    /// What went wrong in it by itself.
    failures: Vec<String>,
}

impl Tab {
    /// The tab of the browser that keeps its port in this profile (`--remote-debugging-port=0`).
    pub fn of(profile: &Path) -> Result<Tab> {
        let start = Instant::now();
        let address = loop {
            match address(profile) {
                Some(address) => break address,
                None if start.elapsed() > STARTS => return Err("the browser has opened no tab".into()),
                None => thread::sleep(Duration::from_millis(100)),
            }
        };
        let socket = Socket::open(&address, PATIENCE).map_err(|error| failed(&address, error))?;
        let mut tab = Tab { socket, calls: 0, failures: vec![] };
        for domain in ["Page", "Runtime", "Log"] {
            tab.call(&format!("{domain}.enable"), "")?;
        }
        // Keys go to a window that is in front.
        tab.call("Page.bringToFront", "")?;
        tab.call("Emulation.setFocusEmulationEnabled", "\"enabled\":true")?;
        Ok(tab)
    }

    /// What DevTools answers.
    pub fn call(&mut self, method: &str, parameters: &str) -> Result<String> {
        self.calls += 1;
        let id = self.calls;
        let message = format!("{{\"id\":{id},\"method\":\"{method}\",\"params\":{{{parameters}}}}}");
        self.socket.send(&message).map_err(|error| failed(method, error))?;
        loop {
            let answer = self.socket.receive().map_err(|error| failed(method, error))?;
            if answer.starts_with(&format!("{{\"id\":{id},")) {
                return if answer.contains("\"error\":{") { Err(failed(method, answer)) } else { Ok(answer) };
            }
            let thrown = answer.starts_with("{\"method\":\"Runtime.exceptionThrown\"");
            if thrown || answer.contains("\"level\":\"error\"") {
                self.failures.push(answer);
            }
        }
    }

    /// Uncaught exceptions and errors in the console since the last time.
    pub fn failures(&mut self) -> Vec<String> {
        std::mem::take(&mut self.failures)
    }

    pub fn go(&mut self, address: &str) -> Result<()> {
        self.call("Page.navigate", &format!("\"url\":{}", quote(address))).map(drop)
    }

    /// A window so wide and high, light or dark.
    pub fn resize(&mut self, width: u32, height: u32, dark: bool) -> Result<()> {
        let mobile = width < 600;
        let size = format!("\"width\":{width},\"height\":{height},\"deviceScaleFactor\":1,\"mobile\":{mobile}");
        self.call("Emulation.setDeviceMetricsOverride", &size)?;
        let scheme = if dark { "dark" } else { "light" };
        let media = format!("\"features\":[{{\"name\":\"prefers-color-scheme\",\"value\":\"{scheme}\"}}]");
        self.call("Emulation.setEmulatedMedia", &media).map(drop)
    }

    /// The value of an expression, which may be a promise, as a string.
    pub fn look(&mut self, expression: &str) -> Result<String> {
        let expression = quote(&format!("(async () => String(await ({expression})))()"));
        let parameters = format!("\"expression\":{expression},\"awaitPromise\":true,\"returnByValue\":true");
        let answer = self.call("Runtime.evaluate", &parameters)?;
        match string(&answer, "value") {
            Some(value) if !answer.contains("\"exceptionDetails\"") => Ok(value),
            _ => Err(failed(&expression, answer)),
        }
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) -> Result<()> {
        let start = Instant::now();
        while self.look(expression)? != "true" {
            if start.elapsed() > PATIENCE {
                return Err(format!("after {} s not yet: {expression}", PATIENCE.as_secs()));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// An error unless an expression is true.
    pub fn expect(&mut self, expression: &str) -> Result<()> {
        match &*self.look(expression)? {
            "true" => Ok(()),
            other => Err(format!("{other}: {expression}")),
        }
    }

    /// Moves the mouse to the middle of what a selector finds first.
    pub fn point(&mut self, selector: &str) -> Result<[f64; 2]> {
        self.point_at(selector, 0.5)
    }

    /// As [`point`](Self::point), so far from its left to its right.
    fn point_at(&mut self, selector: &str, across: f64) -> Result<[f64; 2]> {
        let found = self.look(&format!(
            "(() => {{ const found = document.querySelector({0}); found.scrollIntoView({{ block: 'center' }});
             const {{ x, y, width, height }} = found.getBoundingClientRect();
             return `${{x + {across} * width}} ${{y + height / 2}}`; }})()",
            quote(selector)
        ))?;
        let at: Vec<f64> = found.split(' ').filter_map(|number| number.parse().ok()).collect();
        let &[x, y] = &at[..] else { return Err(failed(selector, found)) };
        self.mouse("mouseMoved", [x, y])?;
        Ok([x, y])
    }

    pub fn click(&mut self, selector: &str) -> Result<()> {
        self.click_at(selector, 0.5)
    }

    /// As [`click`](Self::click), so far from its left to its right: of a slider, a value.
    pub fn click_at(&mut self, selector: &str, across: f64) -> Result<()> {
        let at = self.point_at(selector, across)?;
        self.mouse("mousePressed", at)?;
        self.mouse("mouseReleased", at)
    }

    fn mouse(&mut self, kind: &str, [x, y]: [f64; 2]) -> Result<()> {
        let held = if kind == "mouseMoved" { "" } else { ",\"button\":\"left\",\"clickCount\":1" };
        self.call("Input.dispatchMouseEvent", &format!("\"type\":\"{kind}\",\"x\":{x},\"y\":{y}{held}")).map(drop)
    }

    /// Presses a key by its name and its number on Windows.
    pub fn press(&mut self, (key, code): (&str, u32)) -> Result<()> {
        for kind in ["rawKeyDown", "keyUp"] {
            let key =
                format!("\"type\":\"{kind}\",\"key\":\"{key}\",\"code\":\"{key}\",\"windowsVirtualKeyCode\":{code}");
            self.call("Input.dispatchKeyEvent", &key)?;
        }
        Ok(())
    }

    /// Presses Enter, which is a character too.
    pub fn enter(&mut self) -> Result<()> {
        for kind in ["keyDown\",\"text\":\"\\r", "keyUp"] {
            let key = format!("\"type\":\"{kind}\",\"key\":\"Enter\",\"code\":\"Enter\",\"windowsVirtualKeyCode\":13");
            self.call("Input.dispatchKeyEvent", &key)?;
        }
        Ok(())
    }

    /// Chooses a file in the dialog of an input.
    pub fn choose(&mut self, selector: &str, file: &Path) -> Result<()> {
        let expression = quote(&format!("document.querySelector({})", quote(selector)));
        let found = self.call("Runtime.evaluate", &format!("\"expression\":{expression}"))?;
        let object = string(&found, "objectId").ok_or_else(|| failed(selector, found))?;
        let file = quote(&file.display().to_string());
        self.call("DOM.setFileInputFiles", &format!("\"files\":[{file}],\"objectId\":{}", quote(&object))).map(drop)
    }

    /// Drags a file onto what a selector finds first, and lets it go.
    pub fn drop_file(&mut self, selector: &str, file: &Path) -> Result<()> {
        let [x, y] = self.point(selector)?;
        let file = quote(&file.display().to_string());
        // A page may change under the first.
        for kind in ["dragEnter", "dragOver", "dragOver", "drop"] {
            let data = format!("{{\"items\":[],\"files\":[{file}],\"dragOperationsMask\":1}}");
            let event = format!("\"type\":\"{kind}\",\"x\":{x},\"y\":{y},\"data\":{data}");
            self.call("Input.dispatchDragEvent", &event)?;
        }
        Ok(())
    }

    /// All of the page, also what is below the window, as a PNG.
    pub fn photograph(&mut self, file: &Path) -> Result<()> {
        let size = "`\"width\":${innerWidth},\"height\":${document.documentElement.scrollHeight}`";
        let clip = format!("{{\"x\":0,\"y\":0,{},\"scale\":1}}", self.look(size)?);
        let parameters = format!("\"captureBeyondViewport\":true,\"clip\":{clip}");
        let answer = self.call("Page.captureScreenshot", &parameters)?;
        let png = bytes(&string(&answer, "data").ok_or("no picture of the page")?);
        fs::write(file, png).map_err(|error| failed(&file.display().to_string(), error))
    }
}

/// Where the first page of this profile's browser is spoken to, once there is one.
fn address(profile: &Path) -> Option<String> {
    let told = fs::read_to_string(profile.join("DevToolsActivePort")).ok()?;
    let host = format!("127.0.0.1:{}", told.lines().next()?);
    let mut stream = TcpStream::connect(&host).ok()?;
    write!(stream, "GET /json/list HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut pages = String::new();
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    // Chromium may leave the connection open.
    let _ = stream.read_to_string(&mut pages);
    string(&pages, "webSocketDebuggerUrl")
}

fn failed(what: &str, why: impl Display) -> String {
    format!("{what}: {why}")
}
