//! The random numbers behind every scene: a seeded stream, and a lattice noise for textures.
//!
//! Everything here is integer arithmetic and single IEEE-754 operations on `f32`, so the same seed gives the
//! same bits on every machine. No operating-system entropy, no clock.

/// Scrambles 64 bits so that neighbouring inputs give unrelated outputs.
///
/// The multipliers and shifts are those of the SplitMix64 finaliser (Steele, Lea, Flood: "Fast splittable
/// pseudorandom number generators", 2014).
pub(crate) fn mix(value: u64) -> u64 {
    let mut bits = value;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A stream of random numbers that is a function of its seed alone.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The stream number `stream` of `seed`; different pairs give unrelated streams.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self {
            state: mix(mix(seed ^ 0x6c6f_636b_6574_2d31).wrapping_add(stream)),
        }
    }

    /// The next 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        // The odd constant is 2^64 divided by the golden ratio: the state visits every value once.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number in `[0, 1)` with 24 random bits.
    pub(crate) fn unit(&mut self) -> f32 {
        unit_from_bits((self.bits() >> 32) as u32)
    }

    /// A number in `[low, high)`.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A number around 0 between -1 and 1, small values more likely than large ones.
    pub(crate) fn centred(&mut self) -> f32 {
        self.unit() + self.unit() - 1.0
    }

    /// True with the given chance.
    pub(crate) fn chance(&mut self, chance: f32) -> bool {
        self.unit() < chance
    }

    /// A whole number in `0..count`.
    ///
    /// # Panics
    /// If `count` is 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        assert!(count > 0, "a choice needs at least one option");
        // The product's high half is an unbiased enough index: the error is below count / 2^32.
        (((self.bits() >> 32) * count as u64) >> 32) as usize
    }

    /// One of the options, all equally likely.
    pub(crate) fn choose<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.below(options.len())]
    }
}

fn unit_from_bits(bits: u32) -> f32 {
    (bits >> 8) as f32 / 16_777_216.0
}

/// A random number in `[0, 1)` that belongs to a lattice point and a salt.
pub(crate) fn lattice(x: i32, y: i32, salt: u32) -> f32 {
    // Odd multipliers keep the map from (x, y, salt) to the sum well spread; two rounds of shift and
    // multiply then hide the lattice (constants of the "lowbias32" search, Wellons 2018).
    let mut bits = (x as u32)
        .wrapping_mul(0x9e37_79b1)
        .wrapping_add((y as u32).wrapping_mul(0x85eb_ca77))
        .wrapping_add(salt.wrapping_mul(0xc2b2_ae3d));
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x846c_a68b);
    unit_from_bits(bits ^ (bits >> 16))
}

/// The largest whole number not above `value`. Baseline x86-64 has no instruction for it and would call a
/// function; this is the hottest spot of a picture.
fn floor(value: f32) -> i32 {
    let towards_zero = value as i32;
    towards_zero.wrapping_sub(i32::from(towards_zero as f32 > value))
}

/// Smooth noise in `[0, 1)`: lattice values blended with a cubic step, one lattice cell per unit.
pub(crate) fn noise(x: f32, y: f32, salt: u32) -> f32 {
    let (cell_x, cell_y) = (floor(x), floor(y));
    let (part_x, part_y) = (x - cell_x as f32, y - cell_y as f32);
    let blend_x = part_x * part_x * (3.0 - 2.0 * part_x);
    let blend_y = part_y * part_y * (3.0 - 2.0 * part_y);
    let (right, below) = (cell_x.wrapping_add(1), cell_y.wrapping_add(1));
    let top_left = lattice(cell_x, cell_y, salt);
    let top = top_left + (lattice(right, cell_y, salt) - top_left) * blend_x;
    let bottom_left = lattice(cell_x, below, salt);
    let bottom = bottom_left + (lattice(right, below, salt) - bottom_left) * blend_x;
    top + (bottom - top) * blend_y
}

/// Noise with detail: `octaves` layers, each twice as fine and half as strong, scaled back to `[0, 1)`.
pub(crate) fn layered_noise(x: f32, y: f32, octaves: u32, salt: u32) -> f32 {
    let (mut sum, mut weight, mut total, mut scale) = (0.0, 1.0, 0.0, 1.0);
    for octave in 0..octaves {
        sum += weight * noise(x * scale, y * scale, salt.wrapping_add(octave.wrapping_mul(101)));
        total += weight;
        weight *= 0.5;
        scale *= 2.0;
    }
    sum / total
}

#[cfg(test)]
mod tests {
    use super::{Random, lattice, layered_noise};

    #[test]
    fn stream_is_pinned() {
        let mut random = Random::new(1, 2);
        let first = [random.bits(), random.bits()];
        let mut again = Random::new(1, 2);
        assert_eq!(first, [again.bits(), again.bits()]);
        assert_ne!(first[0], Random::new(1, 3).bits());
        assert_ne!(first[0], Random::new(2, 2).bits());
    }

    #[test]
    fn numbers_stay_in_their_range_and_fill_it() {
        let mut random = Random::new(7, 0);
        let draws: Vec<f32> = (0..4000).map(|_| random.unit()).collect();
        let mean = draws.iter().sum::<f32>() / 4000.0;
        assert!(draws.iter().all(|&draw| (0.0..1.0).contains(&draw)));
        // The mean of 4000 uniform draws has a standard deviation of 0.0046; five of them either way.
        assert!((mean - 0.5).abs() < 0.023, "mean {mean}");
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[random.below(5)] = true;
        }
        assert_eq!(seen, [true; 5]);
    }

    #[test]
    fn noise_is_continuous_and_varied() {
        let mut low = 1.0_f32;
        let mut high = 0.0_f32;
        for step in 0..4000 {
            let x = step as f32 * 0.01 - 20.0;
            let value = layered_noise(x, 3.3, 3, 9);
            let near = layered_noise(x + 0.001, 3.3, 3, 9);
            assert!((value - near).abs() < 0.02, "jump at {x}");
            low = low.min(value);
            high = high.max(value);
        }
        assert!(low < 0.3 && high > 0.7, "{low} {high}");
        assert_ne!(lattice(1, 2, 3), lattice(2, 1, 3));
    }
}
