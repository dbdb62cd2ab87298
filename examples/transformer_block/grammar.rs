//! A tiny English, in which the verb agrees with its subject whatever stands between: "the cats near the old dog sleep."
//! (Linzen, Dupoux & Goldberg 2016, arXiv:1611.01368).

use example_kit::loss::softmax;
use example_kit::random::Random;
use ndarray::{Array2, s};

use crate::model::Batch;

/// Singular and plural.
const NOUNS: [[&str; 2]; 6] =
    [["cat", "cats"], ["dog", "dogs"], ["box", "boxes"], ["child", "children"], ["mouse", "mice"], ["knife", "knives"]];
const VERBS: [[&str; 2]; 5] = [
    ["is here", "are here"],
    ["sleeps", "sleep"],
    ["was seen", "were seen"],
    ["has gone", "have gone"],
    ["waits", "wait"],
];
const ADJECTIVES: [&str; 4] = ["big", "old", "red", "small"];
const PREPOSITIONS: [&str; 3] = ["behind", "near", "with"];

/// What sentences are made of; a token is a place in it. The first one comes before a sentence, the second ends it.
const LETTERS: &[u8] = b"^. abcdefghijklmnopqrstuvwxyz";
const END: usize = 1;
pub const TOKENS: usize = LETTERS.len();
/// Letters of the longest sentence.
pub const LENGTH: usize = "the small children behind the small children were seen.".len();

/// A sentence, and what nobody can know of it: minus the logarithm of its probability, in nats.
fn sentence(random: &mut Random) -> (String, f32) {
    let mut surprise = 0.0;
    let mut choose = |n: usize| {
        surprise += (n as f32).ln();
        random.below(n)
    };
    let (number, mut text) = noun(&mut choose);
    if choose(2) == 1 {
        text = format!("{text} {} {}", PREPOSITIONS[choose(PREPOSITIONS.len())], noun(&mut choose).1);
    }
    text = format!("{text} {}.", VERBS[choose(VERBS.len())][number]);
    (text, surprise)
}

/// Its number and what it is, with or without an adjective.
fn noun(choose: &mut impl FnMut(usize) -> usize) -> (usize, String) {
    let number = choose(2);
    let adjective = if choose(2) == 1 { format!("{} ", ADJECTIVES[choose(ADJECTIVES.len())]) } else { String::new() };
    (number, format!("the {adjective}{}", NOUNS[choose(NOUNS.len())][number]))
}

/// Whether the grammar has it.
pub fn is_sentence(text: &str) -> bool {
    let parse = || {
        let (number, mut rest) = parse_noun(text.strip_suffix('.')?)?;
        let after = |word: &&str| rest.strip_prefix(' ')?.strip_prefix(*word)?.strip_prefix(' ');
        if let Some(object) = PREPOSITIONS.iter().find_map(after) {
            rest = parse_noun(object)?.1;
        }
        let verb = rest.strip_prefix(' ')?;
        Some(VERBS.iter().any(|verbs| verbs[number] == verb))
    };
    parse() == Some(true)
}

/// Its number, and what follows.
fn parse_noun(text: &str) -> Option<(usize, &str)> {
    let rest = text.strip_prefix("the ")?;
    let rest = ADJECTIVES.iter().find_map(|word| rest.strip_prefix(word)?.strip_prefix(' ')).unwrap_or(rest);
    // Plurals first, since they begin like singulars.
    let numbers = |noun: &[&str; 2]| [1, 0].into_iter().find_map(|n| Some((n, rest.strip_prefix(noun[n])?)));
    NOUNS.iter().find_map(numbers)
}

/// The next sentences, and the mean cross-entropy of who knows the grammar, in nats per letter.
pub fn batch(random: &mut Random, sentences: usize) -> (Batch, f32) {
    // What stands behind a sentence is not looked at by what counts.
    let mut batch = Batch { tokens: Array2::zeros((sentences, LENGTH)), places: vec![], next: vec![] };
    let mut surprise = 0.0;
    for (n, mut tokens) in batch.tokens.outer_iter_mut().enumerate() {
        let (text, of_text) = sentence(random);
        debug_assert!(is_sentence(&text), "{text}");
        surprise += of_text;
        for (at, letter) in text.bytes().enumerate() {
            let token = LETTERS.iter().position(|&other| other == letter).expect("a letter");
            batch.places.push(n * LENGTH + at);
            batch.next.push(token);
            if at + 1 < LENGTH {
                tokens[at + 1] = token;
            }
        }
    }
    let floor = surprise / batch.next.len() as f32;
    (batch, floor)
}

/// Sentences letter by letter, the next one chosen from the scores `[N, TOKENS]` that `predict` has for these tokens `[N, LENGTH]` and
/// places.
pub fn write<E>(
    random: &mut Random,
    sentences: usize,
    mut predict: impl FnMut(&Array2<usize>, &[usize]) -> Result<Array2<f32>, E>,
) -> Result<Vec<String>, E> {
    let mut tokens = Array2::zeros((sentences, LENGTH + 1));
    let mut texts = vec![String::new(); sentences];
    for at in 0..LENGTH {
        if texts.iter().all(|text| text.ends_with('.')) {
            break;
        }
        let places: Vec<usize> = (0..sentences).map(|n| n * LENGTH + at).collect();
        let mut shares = predict(&tokens.slice(s![.., ..LENGTH]).to_owned(), &places)?;
        softmax(shares.view_mut());
        for ((text, shares), mut tokens) in texts.iter_mut().zip(shares.outer_iter()).zip(tokens.outer_iter_mut()) {
            let mut left = random.uniform();
            let chosen = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            tokens[at + 1] = chosen.unwrap_or(END);
            if !text.ends_with('.') {
                text.push(char::from(LETTERS[tokens[at + 1]]));
            }
        }
    }
    Ok(texts)
}
