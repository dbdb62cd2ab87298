//! What the processes that share a batch tell one another of a call: what has to be the same on all of them, and what each has found.

use crate::error::{Error, Result};
use crate::spec::{Mode, Momentum, NormSpec};

/// What has to be the same, in the order of [`Told::agreed`].
const AGREED: [&str; 7] = ["pass", "layer", "norm", "channels", "mode", "eps", "momentum"];
/// Where numbers are none.
const CUMULATIVE: u64 = u64::MAX;
const NOTHING: u64 = u64::MAX - 1;

/// Which pass a process is in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// What a process tells of a layer's call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    agreed: [u64; 7],
    /// Of each channel, in this process's share.
    pub values: u64,
    /// What it has found of the channels, unless its share is empty.
    pub found: Vec<u8>,
}

/// The same, or why there is nothing to tell.
pub(super) type Message = Result<Told, String>;

impl Told {
    /// Of the `layer`th layer of a group.
    pub fn new(direction: Direction, layer: u64, spec: &NormSpec, mode: Mode, values: usize) -> Told {
        let bits = |value: f32| u64::from(value.to_bits());
        let momentum = match spec.momentum() {
            Some(Momentum::Fixed(momentum)) => bits(momentum),
            Some(Momentum::Cumulative) => CUMULATIVE,
            None => NOTHING,
        };
        let channels = spec.parameter_shape().iter().product::<usize>() as u64;
        let switchable = matches!(spec, NormSpec::Switchable(_));
        let [pass, norm] = [matches!(direction, Direction::Backward), switchable].map(u64::from);
        let mode = u64::from(mode == Mode::Evaluation);
        let agreed = [pass, layer, norm, channels, mode, bits(spec.eps()), momentum];
        Told { agreed, values: values as u64, found: vec![] }
    }
}

/// One of [`AGREED`], for people.
fn shown(what: &str, value: u64) -> String {
    let one_of = |names: [&str; 2]| names.get(value as usize).map_or(value.to_string(), |name| name.to_string());
    match what {
        "pass" => one_of(["forward", "backward"]),
        "norm" => one_of(["batch norm", "switchable norm"]),
        "mode" => one_of(["training", "evaluation"]),
        "momentum" if value == CUMULATIVE => "cumulative".into(),
        "momentum" if value == NOTHING => "none".into(),
        "eps" | "momentum" => f32::from_bits(value as u32).to_string(),
        _ => value.to_string(),
    }
}

/// The bytes of what is told of several layers at once.
pub(super) fn encode(messages: &[Message]) -> Vec<u8> {
    let mut bytes = vec![];
    for message in messages {
        let (numbers, rest) = match message {
            Ok(told) => ([&[0][..], &told.agreed, &[told.values]].concat(), &*told.found),
            Err(reason) => (vec![1, 0, 0, 0, 0, 0, 0, 0, 0], reason.as_bytes()),
        };
        let numbers = numbers.into_iter().chain([rest.len() as u64]);
        bytes.extend(numbers.flat_map(u64::to_le_bytes));
        bytes.extend(rest);
    }
    bytes
}

/// What these bytes tell, if anything.
fn decode(mut bytes: &[u8]) -> Option<Vec<Message>> {
    let mut messages = vec![];
    while !bytes.is_empty() {
        let (numbers, rest) = bytes.split_first_chunk::<80>()?;
        let (numbers, _) = numbers.as_chunks::<8>();
        let numbers: Vec<u64> = numbers.iter().map(|&bytes| u64::from_le_bytes(bytes)).collect();
        let [failed, ref agreed @ .., values, length] = numbers[..] else { return None };
        let (found, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        messages.push(match failed {
            0 => Ok(Told { agreed: agreed.try_into().ok()?, values, found: found.to_vec() }),
            _ => Err(String::from_utf8_lossy(found).into_owned()),
        });
        bytes = rest;
    }
    Some(messages)
}

/// What all processes tell of each layer, by rank, if they make the same call.
pub(super) fn agreed(gathered: &[Vec<u8>]) -> Result<Vec<Vec<Told>>> {
    let unknown = || Error::group("a process has told what is no layer's");
    let ranks: Vec<Vec<Message>> =
        gathered.iter().map(|bytes| decode(bytes).ok_or_else(unknown)).collect::<Result<_>>()?;
    let failed = |(rank, messages): (usize, &Vec<Message>)| {
        messages.iter().find_map(|message| Some(Error::OtherRank { rank, reason: message.as_ref().err()?.clone() }))
    };
    if let Some(error) = ranks.iter().enumerate().find_map(failed) {
        return Err(error);
    }
    let ranks: Vec<Vec<Told>> = ranks.into_iter().map(|messages| messages.into_iter().flatten().collect()).collect();
    let layers: Vec<u64> = ranks.iter().map(|told| told.len() as u64).collect();
    same("number of layers", &layers)?;
    for layer in 0..layers.first().map_or(0, |&layers| layers as usize) {
        for (place, what) in AGREED.into_iter().enumerate() {
            same(what, &ranks.iter().map(|told| told[layer].agreed[place]).collect::<Vec<_>>())?;
        }
    }
    let mut by_layer = vec![vec![]; layers.first().map_or(0, |&layers| layers as usize)];
    for told in ranks {
        by_layer.iter_mut().zip(told).for_each(|(layer, told)| layer.push(told));
    }
    Ok(by_layer)
}

fn same(what: &'static str, values: &[u64]) -> Result<()> {
    if values.iter().all(|value| value == &values[0]) {
        return Ok(());
    }
    Err(Error::RanksDiffer { what, found: values.iter().map(|&value| shown(what, value)).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{BatchNorm, SwitchableNorm};

    fn told(spec: impl Into<NormSpec>) -> Told {
        Told { found: vec![1, 2, 3], ..Told::new(Direction::Forward, 4, &spec.into(), Mode::Training, 7) }
    }

    #[test]
    fn what_is_told_arrives() {
        let messages = [Ok(told(BatchNorm::new(3))), Err("no memory".to_owned()), Ok(told(SwitchableNorm::new(2)))];
        let bytes = encode(&messages);
        assert_eq!(decode(&bytes).as_deref(), Some(&messages[..]));
        assert_eq!(decode(&[]).as_deref(), Some(&[][..]));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        assert!(matches!(agreed(&[vec![1; 7]]), Err(Error::Group { .. })));
    }

    #[test]
    fn what_differs_is_named() {
        let first = told(BatchNorm::new(3));
        let errors = [
            (told(BatchNorm::new(4)), "the processes do not agree on the channels, by rank: 3, 4"),
            (told(BatchNorm::new(3).eps(0.5)), "the processes do not agree on the eps, by rank: 0.00001, 0.5"),
            (told(BatchNorm::new(3).cumulative_average()), "momentum, by rank: 0.1, cumulative"),
            (told(SwitchableNorm::new(3)), "norm, by rank: batch norm, switchable norm"),
            (
                Told::new(Direction::Backward, 4, &BatchNorm::new(3).into(), Mode::Training, 0),
                "pass, by rank: forward, backward",
            ),
            (Told::new(Direction::Forward, 5, &BatchNorm::new(3).into(), Mode::Training, 0), "layer, by rank: 4, 5"),
            (
                Told::new(Direction::Forward, 4, &BatchNorm::new(3).into(), Mode::Evaluation, 0),
                "mode, by rank: training, evaluation",
            ),
        ];
        for (second, message) in errors {
            let both = [first.clone(), second].map(|told| encode(&[Ok(told)]));
            let error = agreed(&both).unwrap_err().to_string();
            assert!(error.ends_with(message), "{error}");
        }
        let failed = [encode(&[Ok(first.clone())]), encode(&[Err("it is too large".into())])];
        assert_eq!(agreed(&failed).unwrap_err().to_string(), "rank 1 has failed: it is too large");
        let more = [encode(&[Ok(first.clone())]), encode(&[Ok(first.clone()), Ok(first.clone())])];
        assert!(agreed(&more).unwrap_err().to_string().ends_with("number of layers, by rank: 1, 2"));
        let others = Told { values: 0, found: vec![], ..first.clone() };
        assert_eq!(agreed(&[encode(&[Ok(first.clone())]), encode(&[Ok(others.clone())])]).unwrap(), [[first, others]]);
    }
}
