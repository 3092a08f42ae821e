//! What no wall stops: a worker that hides bits in how it answers, and somebody who reads them. The capacity is measured.
//!
//! The worker is told a message, as if it had seen it in a picture, and sends it under all layers: to its own broker by when it answers
//! and by how long the answer is, and to any process of the machine by how much memory it has mapped, which `/proc` shows to all.
//! The codes are plain ones; a cleverer one may carry more, so that the figures are what can be had at least.

mod sender;

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

pub use sender::serve;

use crate::{Broker, Options, Program, SandboxError, WorkerCommand};

/// The role of a worker that sends: a program whose `main` finds [`crate::worker::requested`] and this role calls [`serve`].
pub const ROLE: &str = "covert";

/// Kinds of requests: take the message, answer late, answer at length, map memory.
const MESSAGE: u32 = 1;
const TIME: u32 = 2;
const SIZE: u32 = 3;
const MEMORY: u32 = 4;

/// Symbols at the front that the receiver knows and learns the levels from, for each level.
const TRAINING: usize = 32;
/// Room for a reply, so that 16 bits can be told by its length.
const REPLY_BYTES: usize = 1 << 16;
const WITHIN: Duration = Duration::from_secs(20);

/// Steps of delay that are tried, in nanoseconds, with how many levels.
const DELAYS: [(u64, u32); 8] = [
    (1_000, 2),
    (3_000, 2),
    (10_000, 2),
    (30_000, 2),
    (100_000, 2),
    (3_000, 4),
    (10_000, 4),
    (10_000, 16),
];
/// Periods of a bit that are tried in mapped memory, in nanoseconds.
const PERIODS: [u64; 4] = [20_000, 50_000, 100_000, 300_000];

/// A channel at the setting that carried most.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Short and unique.
    pub name: &'static str,
    /// Who sends what to whom.
    pub what: &'static str,
    /// The setting that carried most.
    pub setting: String,
    /// Symbols that were sent and decoded.
    pub symbols: u32,
    /// Bits of one symbol.
    pub bits_per_symbol: f64,
    /// Symbols in a second.
    pub symbols_per_second: f64,
    /// Share of the symbols that were decoded wrongly.
    pub error_rate: f64,
    /// What is left with a perfect code against such errors: bits in a second.
    pub bits_per_second: f64,
}

/// Measures all channels with a message of this many bytes, on a worker with all layers.
///
/// # Errors
///
/// If a worker cannot be started or fails.
pub fn measure(program: &Program, seed: u64, message_bytes: usize) -> Result<Vec<Channel>, SandboxError> {
    let message = random_bytes(seed, message_bytes.clamp(2, 1 << 12));
    let mut broker = Broker::start(WorkerCommand::new(
        program.clone(),
        ROLE,
        Options {
            reply_bytes: REPLY_BYTES,
            ..Options::default()
        },
    ))?;
    broker.request(MESSAGE, &[&message], WITHIN)?;
    let mut times = Vec::new();
    for (step_ns, levels) in DELAYS {
        times.push(by_time(&mut broker, &message, step_ns, levels)?);
    }
    let size = by_size(&mut broker, &message)?;
    let mut memory = Vec::new();
    for period_ns in PERIODS {
        memory.extend(by_memory(&mut broker, &message, period_ns)?);
    }
    Ok([best(times), Some(size), best(memory)].into_iter().flatten().collect())
}

fn best(channels: Vec<Channel>) -> Option<Channel> {
    channels.into_iter().max_by(|a, b| a.bits_per_second.total_cmp(&b.bits_per_second))
}

/// Information in a symbol of `levels` equally likely values of which a share `error` arrives as any other, in bits.
fn information(levels: f64, error: f64) -> f64 {
    // Worse than by chance: the receiver reads past the sender, and what it reads is not the message.
    if error >= 1.0 - 1.0 / levels {
        return 0.0;
    }
    let plogp = |p: f64| if p > 0.0 { p * p.log2() } else { 0.0 };
    let others = if levels > 2.0 { error * (levels - 1.0).log2() } else { 0.0 };
    (levels.log2() + plogp(error) + plogp(1.0 - error) - others).max(0.0)
}

/// The symbol at a place of the message, as both sides read it; the first ones are known to the receiver.
fn symbol(message: &[u8], at: usize, bits: u32) -> u32 {
    let levels = 1 << bits;
    if at < TRAINING * levels {
        return (at % levels) as u32;
    }
    let first = (at - TRAINING * levels) * bits as usize;
    (first..first + bits as usize).fold(0, |symbol, bit| {
        symbol << 1 | u32::from(message[bit / 8 % message.len()] >> (bit % 8) & 1)
    })
}

/// How many symbols carry the message, training included.
fn symbols(message: &[u8], bits: u32) -> usize {
    TRAINING * (1 << bits) + message.len() * 8 / bits as usize
}

fn channel(
    name: &'static str,
    what: &'static str,
    setting: String,
    bits: u32,
    (sent, wrong): (usize, usize),
    seconds: f64,
    all: usize,
) -> Channel {
    let error_rate = wrong as f64 / sent.max(1) as f64;
    let symbols_per_second = all as f64 / seconds.max(1e-9);
    Channel {
        name,
        what,
        setting,
        symbols: sent as u32,
        bits_per_symbol: bits.into(),
        symbols_per_second,
        error_rate,
        bits_per_second: symbols_per_second * information(f64::from(1_u32 << bits), error_rate),
    }
}

fn by_time(broker: &mut Broker, message: &[u8], step_ns: u64, levels: u32) -> Result<Channel, SandboxError> {
    let bits = levels.ilog2();
    let count = symbols(message, bits);
    let mut nanoseconds = Vec::with_capacity(count);
    let started = Instant::now();
    for at in 0..count {
        let sent = Instant::now();
        broker.request(TIME, &[&(at as u64).to_le_bytes(), &step_ns.to_le_bytes(), &[bits as u8]], WITHIN)?;
        nanoseconds.push(sent.elapsed().as_nanos() as u64);
    }
    let seconds = started.elapsed().as_secs_f64();
    let training = TRAINING * levels as usize;
    // The middle of what each level took, and between two of these the border.
    let middles: Vec<u64> = (0..levels as usize)
        .map(|level| {
            let mut times: Vec<u64> = nanoseconds[..training].iter().skip(level).step_by(levels as usize).copied().collect();
            times.sort_unstable();
            times[times.len() / 2]
        })
        .collect();
    let borders: Vec<u64> = middles.windows(2).map(|pair| pair[0].midpoint(pair[1])).collect();
    let decoded = |time: u64| borders.iter().filter(|&&border| time > border).count() as u32;
    let wrong = (training..count).filter(|&at| decoded(nanoseconds[at]) != symbol(message, at, bits)).count();
    Ok(channel(
        "time of the reply",
        "the worker answers later, its broker watches the clock",
        format!("{levels} levels, {} µs apart", step_ns / 1000),
        bits,
        (count - training, wrong),
        seconds,
        count,
    ))
}

fn by_size(broker: &mut Broker, message: &[u8]) -> Result<Channel, SandboxError> {
    const BITS: u32 = 16;
    let count = message.len() / 2;
    let mut wrong = 0;
    let started = Instant::now();
    for (at, pair) in message.as_chunks::<2>().0.iter().enumerate() {
        let length = broker.request(SIZE, &[&(at as u64).to_le_bytes()], WITHIN)?.bytes.len();
        wrong += usize::from(length != usize::from(u16::from_le_bytes(*pair)));
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(channel(
        "size of the reply",
        "the worker answers at length, its broker counts the bytes",
        format!("room for {REPLY_BYTES} bytes; an owner who expects one length closes this"),
        BITS,
        (count, wrong),
        seconds,
        count,
    ))
}

/// None where the file cannot be read.
fn by_memory(broker: &mut Broker, message: &[u8], period_ns: u64) -> Result<Option<Channel>, SandboxError> {
    /// Before the first bit, so that both sides are awake.
    const LEAD_NS: u64 = 3_000_000;
    let Some(statm) = broker.pid().and_then(|pid| File::open(format!("/proc/{pid}/statm")).ok()) else {
        return Ok(None);
    };
    let count = symbols(message, 1);
    let start = sender::now_ns() + LEAD_NS;
    let over = AtomicBool::new(false);
    let (seen, sent) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen: Vec<(u64, u64)> = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let pages = mapped_pages(&statm).unwrap_or(0);
                seen.push((sender::now_ns(), pages));
            }
            seen
        });
        let parts = [start.to_le_bytes(), period_ns.to_le_bytes()];
        let sent = broker.request(MEMORY, &[&parts[0], &parts[1]], WITHIN).map(drop);
        over.store(true, Ordering::Relaxed);
        (watcher.join().unwrap_or_default(), sent)
    });
    sent?;
    // What is seen in the second half of a period, when the sender has had time.
    let mut sums = vec![(0_u64, 0_u64); count];
    for (at_ns, pages) in seen {
        let Some(since) = at_ns.checked_sub(start) else { continue };
        let at = (since / period_ns) as usize;
        if since % period_ns * 2 > period_ns && at < count {
            sums[at] = (sums[at].0 + pages, sums[at].1 + 1);
        }
    }
    let mean = |at: usize| (sums[at].1 > 0).then(|| sums[at].0 as f64 / sums[at].1 as f64);
    let training = TRAINING * 2;
    let level = |which: usize| {
        let means: Vec<f64> = (which..training).step_by(2).filter_map(mean).collect();
        means.iter().sum::<f64>() / means.len().max(1) as f64
    };
    let border = f64::midpoint(level(0), level(1));
    // A watcher that did not run meanwhile knows that it has missed a bit: that is a gap, no error.
    let read: Vec<bool> = (training..count)
        .filter_map(|at| mean(at).map(|pages| u32::from(pages > border) == symbol(message, at, 1)))
        .collect();
    let wrong = read.iter().filter(|right| !**right).count();
    Ok(Some(channel(
        "size of the memory",
        "the worker maps and unmaps memory, any process reads /proc/PID/statm",
        format!("a bit in {} µs, {} of {} seen", period_ns / 1000, read.len(), count - training),
        1,
        (read.len(), wrong),
        (count - training) as f64 * period_ns as f64 / 1e9,
        read.len(),
    )))
}

fn mapped_pages(statm: &File) -> io::Result<u64> {
    let mut bytes = [0_u8; 64];
    let length = statm.read_at(&mut bytes, 0)?;
    let text = std::str::from_utf8(&bytes[..length]).unwrap_or_default();
    Ok(text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0))
}

fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::{information, symbol, symbols};

    #[test]
    fn information_is_that_of_a_symmetric_channel() {
        for (levels, error, bits) in [
            (2.0, 0.0, 1.0),
            (2.0, 0.5, 0.0),
            // 1 - H(0.11) is a half: the usual example.
            (2.0, 0.11, 0.500_084),
            (16.0, 0.0, 4.0),
            (4.0, 0.75, 0.0),
            (2.0, 0.76, 0.0),
        ] {
            assert!((information(levels, error) - bits).abs() < 1e-6, "{levels} {error}");
        }
    }

    #[test]
    fn a_message_is_cut_into_symbols() {
        let message = [0b1010_0101, 0xff];
        for bits in [1, 2, 4] {
            let training = 32 << bits;
            assert_eq!(symbols(&message, bits), training + 16 / bits as usize);
            let read: Vec<u32> = (training..symbols(&message, bits)).map(|at| symbol(&message, at, bits)).collect();
            let ones: u32 = read.iter().map(|symbol| symbol.count_ones()).sum();
            assert_eq!(ones, 12, "{read:?}");
        }
        assert_eq!((symbol(&message, 0, 1), symbol(&message, 1, 1), symbol(&message, 2, 1)), (0, 1, 0));
    }
}
