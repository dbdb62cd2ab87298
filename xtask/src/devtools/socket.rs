//! A WebSocket to a program on this machine (RFC 6455), as much of it as DevTools speaks.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const LAST: u8 = 0x80;
const MASKED: u8 = 0x80;

pub struct Socket(BufReader<TcpStream>);

impl Socket {
    /// By an address like `ws://127.0.0.1:9222/devtools/page/1`. What is said later than `patience` is an error.
    pub fn open(address: &str, patience: Duration) -> Result<Socket> {
        let (host, path) = address.trim_start_matches("ws://").split_once('/').unwrap_or((address, ""));
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(patience))?;
        // The key only keeps caches away.
        write!(
            stream,
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if !line.contains(" 101 ") {
            return Err(Error::other(format!("no WebSocket: {line}")));
        }
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line)?;
        }
        Ok(Socket(reader))
    }

    pub fn send(&mut self, text: &str) -> Result<()> {
        let mut frame = vec![LAST | TEXT];
        match text.len() {
            length @ ..126 => frame.push(MASKED | length as u8),
            length => {
                frame.push(MASKED | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // A mask of zeros changes nothing.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.0.get_mut().write_all(&frame)
    }

    /// The next message, of however many frames.
    pub fn receive(&mut self) -> Result<String> {
        let mut message = vec![];
        loop {
            let [kind, length] = self.read()?;
            let length = match length {
                126 => u64::from(u16::from_be_bytes(self.read()?)),
                127 => u64::from_be_bytes(self.read()?),
                length => u64::from(length),
            };
            if kind & 15 == CLOSE {
                return Err(Error::other("the browser has closed the tab"));
            }
            Read::by_ref(&mut self.0).take(length).read_to_end(&mut message)?;
            if kind & LAST != 0 {
                return String::from_utf8(message).map_err(Error::other);
            }
        }
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
