//! As much of JSON as DevTools' messages need.

/// A string as JSON.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted += &format!("\\u{:04x}", c as u32),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// The first string of this name.
pub fn string(message: &str, name: &str) -> Option<String> {
    let (_, rest) = message.split_once(&format!("\"{name}\":"))?;
    let mut chars = rest.trim_start().strip_prefix('"')?.chars();
    let (mut text, mut units) = (String::new(), vec![]);
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'u' => {
                    // Two halves of one character come one after the other.
                    units.push(u16::from_str_radix(&chars.as_str()[..4], 16).ok()?);
                    chars = chars.as_str()[4..].chars();
                    if let Ok(decoded) = String::from_utf16(&units) {
                        text += &decoded;
                        units.clear();
                    }
                }
                c => text.push(c),
            },
            c => text.push(c),
        }
    }
}

/// Bytes that came as base64.
pub fn bytes(base64: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = base64.bytes().filter(|&c| c != b'=').map(value).collect();
    let of = |four: &[u8]| {
        let word = four.iter().fold(0u32, |word, &digit| word << 6 | u32::from(digit)) << (6 * (4 - four.len()));
        word.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_as_they_went() {
        let text = "a \"b\"\\\n\u{1}é σ² 🙂";
        assert_eq!(string(&format!("{{\"id\":1,\"value\":{}}}", quote(text)), "value"), Some(text.into()));
        assert_eq!(string(r#"{"value": "\ud83d\ude42\t\u00d7"}"#, "value"), Some("🙂\t×".into()));
        assert_eq!(string("{\"value\":3}", "value"), None);
    }

    #[test]
    fn base64_is_decoded() {
        for (base64, text) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9v+/8=", "foo\u{fb}\u{ff}")]
        {
            let expected: Vec<u8> = text.chars().map(|c| c as u8).collect();
            assert_eq!(bytes(base64), expected, "{base64}");
        }
    }
}
