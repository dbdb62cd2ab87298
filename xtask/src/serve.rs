//! Serves a folder to a browser on this machine, and takes what its page sends back.

use std::fs;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// A folder that is served until this is dropped.
pub struct Server {
    address: String,
    sent: Receiver<Sent>,
    stopped: Arc<AtomicBool>,
}

/// What a page has POSTed.
pub struct Sent {
    pub path: String,
    pub body: String,
}

impl Server {
    /// On a port of 127.0.0.1, any free one for 0: browsers have WebGPU there without a certificate.
    pub fn start(folder: &Path, port: u16) -> Result<Server> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let address = format!("http://{}", listener.local_addr()?);
        let (sender, sent) = mpsc::channel();
        let folder = folder.to_owned();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten().take_while(|_| !stop.load(Ordering::Relaxed)) {
                let (folder, sender) = (folder.clone(), sender.clone());
                // Browsers open connections that they may never use.
                thread::spawn(move || {
                    if let Ok(Some(sent)) = answer(&folder, &stream) {
                        let _ = sender.send(sent);
                    }
                });
            }
        });
        Ok(Server { address, sent, stopped })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// What pages send, in order; nothing when this time has passed.
    pub fn next(&self, within: Duration) -> Option<Sent> {
        self.sent.recv_timeout(within).ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // It waits for the next caller.
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
    }
}

fn answer(folder: &Path, stream: &TcpStream) -> Result<Option<Sent>> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or(0);
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
    if method == "POST" {
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        reply(stream, "204 No Content", "text/plain", &[])?;
        return Ok(Some(Sent { path: path.to_owned(), body: String::from_utf8_lossy(&body).into_owned() }));
    }
    match file(folder, path).and_then(|file| Some((kind(&file), fs::read(&file).ok()?))) {
        Some((kind, bytes)) => reply(stream, "200 OK", kind, &bytes)?,
        None => reply(stream, "404 Not Found", "text/plain", b"not here")?,
    }
    Ok(None)
}

/// What a path names, never outside of the folder.
fn file(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = path.split('?').next()?.trim_start_matches('/');
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let path = if path.is_empty() { "index.html" } else { path };
    inside.then(|| folder.join(path))
}

fn reply(mut stream: &TcpStream, status: &str, kind: &str, body: &[u8]) -> Result<()> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "webmanifest") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server says to this.
    fn ask(address: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_folder_is_served_and_nothing_beside_it() {
        let folder = std::env::temp_dir().join(format!("gpunorm-serve-{}", std::process::id()));
        fs::create_dir_all(folder.join("inner")).unwrap();
        fs::write(folder.join("inner/index.html"), "<p>").unwrap();
        fs::write(folder.join("secret"), "").unwrap();
        let server = Server::start(&folder.join("inner"), 0).unwrap();
        let _unused = TcpStream::connect(server.address().trim_start_matches("http://")).unwrap();
        let found = ["/", "/index.html?x", "/../secret", "/nothing"].map(|path| {
            let answer = ask(server.address(), &format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n"));
            answer.lines().next().unwrap().trim_start_matches("HTTP/1.1 ").to_owned()
        });
        assert_eq!(found, ["200 OK", "200 OK", "404 Not Found", "404 Not Found"]);
        ask(server.address(), "POST /end HTTP/1.1\r\ncontent-length: 4\r\n\r\ndone");
        let sent = server.next(Duration::from_secs(60)).unwrap();
        assert_eq!((&*sent.path, &*sent.body), ("/end", "done"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
