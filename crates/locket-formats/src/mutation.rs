//! Broken copies of a sound file, for tests.

/// Calls `check` with `count` broken copies of `bytes`: a few bytes changed, a piece cut out, doubled or moved, or the
/// end missing. The copies are the same on every run.
pub(crate) fn each(bytes: &[u8], count: u64, mut check: impl FnMut(&[u8])) {
    assert!(!bytes.is_empty());
    for case in 0..count {
        let mut random = Random(case.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995);
        let mut copy = bytes.to_vec();
        for _ in 0..=random.below(3) {
            mutate(&mut copy, &mut random);
        }
        check(&copy);
    }
}

/// A splitmix64 generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => {
            let end = at + random.below(bytes.len() - at);
            bytes.drain(at..end);
        }
        2 => {
            let end = at + random.below((bytes.len() - at).min(64));
            let piece = bytes[at..end].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
        4 => bytes[at] ^= 1 << random.below(8),
        5 => {
            let end = (at + 1 + random.below(8)).min(bytes.len());
            bytes[at..end].fill(0xff);
        }
        _ => bytes[at] = random.next() as u8,
    }
}
