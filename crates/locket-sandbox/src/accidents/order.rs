//! What a worker is told to do wrong, in front of the picture that it is sent.

use crate::attempts::{MISTAKES, Mistake, Target};

/// Bytes of a number.
const NUMBER: usize = 4;
/// In place of a mistake's number: none.
const NONE: u32 = u32::MAX;

/// A mistake that a worker is to make at one stage of its work, or none.
#[derive(Debug, Clone)]
pub struct Order {
    mistake: Option<&'static Mistake>,
    stage: u32,
    target: Target,
}

impl Order {
    /// Takes the order from the front of a request; the rest is the picture. None if this is no such request.
    pub fn decode(request: &[u8]) -> Option<(Self, &[u8])> {
        let number = |at: usize| {
            let bytes = request.get(at * NUMBER..(at + 1) * NUMBER)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let (mistake, stage, length) = (number(0)?, number(1)?, number(2)?);
        let rest = request.get(3 * NUMBER..)?;
        let (target, picture) = rest.split_at_checked(length as usize)?;
        let mistake = match mistake {
            NONE => None,
            number => Some(MISTAKES.get(number as usize)?),
        };
        let target = Target::decode(target)?;
        Some((Self { mistake, stage, target }, picture))
    }

    /// Makes the mistake if it belongs to this stage; `content` is what the worker has in its hands there.
    pub fn at(&self, stage: usize, content: &[u8]) {
        if let Some(mistake) = self.mistake
            && self.stage as usize == stage
        {
            mistake.make(&self.target, content);
        }
    }
}

/// The front of a request.
pub(super) fn encode(mistake: Option<usize>, stage: usize, target: &str) -> Vec<u8> {
    let mistake = mistake.map_or(NONE, |number| number as u32);
    let mut bytes = Vec::with_capacity(3 * NUMBER + target.len());
    for number in [mistake, stage as u32, target.len() as u32] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(target.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn a_request_without_an_order_is_none() {
        for request in [&b""[..], b"short", &[0xff; 12], &[0xff; 200], &[0; 200]] {
            assert!(Order::decode(request).is_none(), "{request:?}");
        }
    }
}
